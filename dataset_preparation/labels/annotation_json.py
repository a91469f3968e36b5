"""Annotation JSON: segments in microseconds, by one or several annotators.

    {video: {annotator: {"0": [start, end], "1": [start, end]}}}

Annotators are averaged. As published annotations have them, overlaps are
allowed, and so are segments that end before they start.
"""

import reprlib

from core.errors import UserError
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.tiers import merge_tiers
from dataset_preparation.labels.types import RawSegment, SegmentedVideo

_MICROSECONDS = 1e6
# No time is as large, and NaN is not smaller either.
_ENDLESS = 2**63


def parse_annotations(
  annotators: object, where: str, labeling: Labeling
) -> SegmentedVideo:
  """Read what all annotators say of a video.

  Args:
    annotators: The JSON value of the video.
    where: File and video, for messages.
    labeling: How videos are labeled.

  Returns:
    The labels.

  Raises:
    UserError: The value has another form, a time is below 0, or the annotators
      differ in their phases.
  """
  _check_object(annotators, where, "{annotator: {label: [start, end]}}")
  raw = []
  for name, labels in annotators.items():
    at = f"{where}, annotator {name!r}"
    _check_object(labels, at, "{label: [start, end]}")
    for label, value in labels.items():
      bounds = _parse_bounds(value, f"{at}, label {label}")
      raw.append(RawSegment(f"{at}, label {label}", *bounds, label, (name,)))
  video = merge_tiers(raw, where, labeling, is_lenient=True)
  if not any(segment.start < segment.end for segment in video.segments):
    raise UserError(
      f"{where}: expected [start, end] in microseconds, received only segments"
      " that end before they start; correct them"
    )
  return video


def _check_object(value: object, where: str, form: str) -> None:
  if not isinstance(value, dict) or not value:
    raise UserError(
      f"{where}: expected {form}, received {reprlib.repr(value)}; correct it"
    )


def _parse_bounds(bounds: object, where: str) -> list[float]:
  """Return start and end in seconds."""
  if not (
    isinstance(bounds, list)
    and len(bounds) == 2
    and all(type(x) in (int, float) and 0 <= x < _ENDLESS for x in bounds)
  ):
    raise UserError(
      f"{where}: expected [start, end] in microseconds from 0, received"
      f" {reprlib.repr(bounds)}; correct it"
    )
  return [bound / _MICROSECONDS for bound in bounds]
