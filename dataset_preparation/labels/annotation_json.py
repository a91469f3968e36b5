"""JSON by video: segments in microseconds, or a list of frames.

    {video: {annotator: {"0": [start, end], "1": [start, end]}}}
    {video: [phase, phase, ...]}

Annotators are averaged. As published annotations have them, overlaps are
allowed, and so are segments that end before they start. For the list, see
`frame_lists`.
"""

import functools
import reprlib
from collections.abc import ItemsView

from core.errors import UserError
from dataset_preparation.labels.content import Content, Parsers
from dataset_preparation.labels.frame_lists import parse_frame_list
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.tiers import merge_tiers
from dataset_preparation.labels.types import RawSegment, VideoLabels

# No time is as large, and NaN is not smaller either.
_ENDLESS = 2**63


def is_object(content: Content) -> bool:
  """Whether this is a JSON object."""
  return isinstance(content.json, dict)


def read(content: Content) -> Parsers:
  """Return a parser for each video."""
  return {k: functools.partial(_parse, x) for k, x in content.json.items()}


def _parse(value: object, where: str, labeling: Labeling) -> VideoLabels:
  """Read what all annotators say of a video, or the list of its frames.

  Args:
    value: The JSON value of the video.
    where: File and video, for messages.
    labeling: How videos are labeled.

  Returns:
    The labels.

  Raises:
    UserError: The value has another form, a time is below 0, or the annotators
      differ in their phases.
  """
  if isinstance(value, list) and value:
    return parse_frame_list(value, where, labeling)
  raw = []
  form = "{annotator: {label: [start, end]}}"
  for name, labels in _list_items(value, where, form):
    at = f"{where}, annotator {name!r}"
    for label, bounds in _list_items(labels, at, "{label: [start, end]}"):
      one = f"{at}, label {label}"
      raw.append(RawSegment(one, *_parse_bounds(bounds, one), label, (name,)))
  video = merge_tiers(raw, where, labeling, is_lenient=True)
  if not any(segment.start < segment.end for segment in video.segments):
    raise UserError(
      f"{where}: expected [start, end] in microseconds, received only segments"
      " that end before they start; correct them"
    )
  return video


def _list_items(value: object, where: str, form: str) -> ItemsView:
  if not isinstance(value, dict) or not value:
    raise UserError(
      f"{where}: expected {form}, received {reprlib.repr(value)}; correct it"
    )
  return value.items()


def _parse_bounds(bounds: object, where: str) -> list[float]:
  """Return start and end in seconds."""
  is_list = isinstance(bounds, list) and len(bounds) == 2
  if not is_list or not all(
    type(x) in (int, float) and 0 <= x < _ENDLESS for x in bounds
  ):
    raise UserError(
      f"{where}: expected [start, end] in microseconds from 0, received"
      f" {reprlib.repr(bounds)}; correct it"
    )
  return [bound / 1e6 for bound in bounds]
