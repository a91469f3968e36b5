"""One phase for every frame of the source, as JSON or as a table.

{video: [phase, phase, ...]}

video,phase
"""

from collections.abc import Sequence

from dataset_preparation.labels.csv_tables import Row
from dataset_preparation.labels.phases import PhaseNumbering
from dataset_preparation.labels.types import LabeledFrames


def parse_frame_list(
  phases: Sequence[object], where: str, numbering: PhaseNumbering
) -> LabeledFrames:
  """Read the JSON list of one video.

  Args:
    phases: The JSON value of the video.
    where: File and video, for messages.
    numbering: Numbers the phases.

  Returns:
    The labels.

  Raises:
    UserError: A value is no phase.
  """
  number = numbering.number
  numbers = [number(x, f"{where}, frame {i}") for i, x in enumerate(phases)]
  return LabeledFrames(where, numbers)


def parse_frame_rows(
  rows: Sequence[Row], where: str, numbering: PhaseNumbering
) -> LabeledFrames:
  """Read the rows of one video, one per frame; see `parse_frame_list`."""
  number = numbering.number
  numbers = [number(row["phase"], f"{where}, row {i}") for i, row in rows]
  return LabeledFrames(f"{where}, row {rows[0][0]} and after", numbers)
