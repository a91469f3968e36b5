"""Annotation JSON: segments in microseconds, by one or several annotators.

    {video: {annotator: {"0": [start, end], "1": [start, end]}}}

Annotators are averaged. As published annotations have them, overlaps are
allowed, and so are segments that end before they start.
"""

import reprlib

from core.errors import UserError
from dataset_preparation.labels.phases import PhaseNumbering
from dataset_preparation.labels.segments import Segment, merge_annotators
from dataset_preparation.labels.types import RawSegment, SegmentedVideo

_MICROSECONDS = 1e6
# No time is as large, and NaN is not smaller either.
_ENDLESS = 2**63


def parse_annotations(
  annotators: object, where: str, numbering: PhaseNumbering
) -> SegmentedVideo:
  """Read what all annotators say of a video.

  Args:
    annotators: The JSON value of the video.
    where: File and video, for messages.
    numbering: Numbers the phases.

  Returns:
    The labels.

  Raises:
    UserError: The value has another form, a time is below 0, or the annotators
      differ in their phases.
  """
  _check_object(annotators, where, "{annotator: {label: [start, end]}}")
  segments, raw = [], []
  for name, labels in annotators.items():
    at = f"{where}, annotator {name!r}"
    _check_object(labels, at, "{label: [start, end]}")
    found = []
    for label, value in labels.items():
      raw.append(_parse_bounds(value, f"{at}, label {label}"))
      found.append(Segment(numbering.number(label, at), *raw[-1][1:]))
    segments.append(sorted(found))
  phases = [[segment.label for segment in found] for found in segments]
  for other in phases[1:]:
    if other != phases[0]:
      raise UserError(
        f"{where}: expected the same labels from each annotator, received"
        f" {phases[0]} and {other}; correct them"
      )
  merged = merge_annotators(segments)
  if not any(segment.start < segment.end for segment in merged):
    raise UserError(
      f"{where}: expected [start, end] in microseconds, received only segments"
      " that end before they start; correct them"
    )
  return SegmentedVideo(where, merged, tuple(raw))


def _check_object(value: object, where: str, form: str) -> None:
  if not isinstance(value, dict) or not value:
    raise UserError(
      f"{where}: expected {form}, received {reprlib.repr(value)}; correct it"
    )


def _parse_bounds(bounds: object, where: str) -> RawSegment:
  if not (
    isinstance(bounds, list)
    and len(bounds) == 2
    and all(type(x) in (int, float) and 0 <= x < _ENDLESS for x in bounds)
  ):
    raise UserError(
      f"{where}: expected [start, end] in microseconds from 0, received"
      f" {reprlib.repr(bounds)}; correct it"
    )
  return RawSegment(where, *(bound / _MICROSECONDS for bound in bounds))
