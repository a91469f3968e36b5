"""How videos get their labels."""

import dataclasses
import os
from collections.abc import Sequence

# What frames get that lie in no segment: the label of the nearest, or none.
OUTSIDE_SEGMENTS = ("neighbor", "none")


@dataclasses.dataclass(frozen=True)
class LabelOptions:
  """Options for labeling videos.

  Attributes:
    label_file: A file or folder that `labels.label_file` reads; None for no
      labels of frames.
    phases: Names of the phases in the order of their numbers. By default those
      in `dataset.json`, if it has another split, or as they come in the file.
    expected_segments: Number of segments that each video must have; 0 for any.
    action_label: Label of every video as a whole, -1 for none.
    label_tier: Tier, subject or annotator whose segments count; empty for all,
      which have to agree.
    outside_segments: One of `OUTSIDE_SEGMENTS`.
    resample_labels: Whether a video may have another number of labels than
      frames, of which each gets the nearest.
  """

  label_file: str | os.PathLike | None = None
  phases: Sequence[str] = ()
  expected_segments: int = 0
  action_label: int = -1
  label_tier: str = ""
  outside_segments: str = "neighbor"
  resample_labels: bool = False
