"""Segment tables: CSV with a row per segment, in seconds.

video,start,end,phase
"""

from collections.abc import Sequence

from core.errors import UserError
from dataset_preparation.labels.csv_tables import Row
from dataset_preparation.labels.phases import PhaseNumbering
from dataset_preparation.labels.segments import Segment, merge_annotators
from dataset_preparation.labels.types import RawSegment, SegmentedVideo


def parse_segment_rows(
  rows: Sequence[Row], where: str, numbering: PhaseNumbering
) -> SegmentedVideo:
  """Read the rows of one video.

  Args:
    rows: The rows, in any order.
    where: File and video, for messages.
    numbering: Numbers the phases.

  Returns:
    The labels.

  Raises:
    UserError: A time is below 0 or no number, a segment ends before it starts,
      or two segments overlap.
  """
  found = []
  for number, row in rows:
    at = f"{where}, row {number}"
    start, end = (_parse_seconds(row[key], key, at) for key in ("start", "end"))
    if end <= start:
      raise UserError(
        f"{at}: expected an end after the start at {start:g} s, received"
        f" {end:g} s; correct it"
      )
    segment = Segment(numbering.number(row["phase"], at), start, end)
    found.append((segment, RawSegment(at, start, end)))
  found.sort(key=lambda pair: pair[0].start)
  segments, raw = zip(*found, strict=True)
  for before, after in zip(raw, raw[1:], strict=False):
    if after.start < before.end:
      raise UserError(
        f"{after.where}: expected segments that don't overlap, received a start"
        f" at {after.start:g} s before the end at {before.end:g} s of"
        f" {before.where.rpartition(', ')[2]}; correct it"
      )
  return SegmentedVideo(
    f"{where}, row {rows[0][0]} and after", merge_annotators([segments]), raw
  )


def _parse_seconds(text: str, key: str, where: str) -> float:
  try:
    seconds = float(text.replace(",", "."))
  except ValueError:
    seconds = -1.0
  if not 0 <= seconds < float("inf"):
    raise UserError(
      f"{where}: expected seconds from 0 as {key}, received {text!r}; correct"
      " it"
    )
  return seconds
