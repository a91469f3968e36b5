"""Annotations of videos: segments in a label file, labels of frames out.

A label file is JSON, times in microseconds from the first frame of the video:

    {video: {annotator: {"0": [start, end], "1": [start, end], ...}, ...}, ...}

`read` gives the annotations of all videos; a further format needs a function of
its own beside `read`, all else works on segments.
"""

import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from errors import UserError

_MICROSECONDS = 1e6


class Segment(NamedTuple):
  """A phase of a video.

  Attributes:
    label: The phase, 0 or more.
    start: Seconds from the first frame; the phase's first instant.
    end: Seconds from the first frame; the first instant after the phase.
  """

  label: int
  start: float
  end: float


# Per video, the segments that each annotator drew, in order of their labels.
Annotations = dict[str, list[list[Segment]]]


def read(path: str | os.PathLike) -> Annotations:
  """Reads a label file.

  Args:
    path: A JSON file of the format above.

  Returns:
    By the name of the video, the segments of each annotator.

  Raises:
    UserError: The file is missing or of another format.
  """
  path = pathlib.Path(path)
  try:
    content = json.loads(path.read_text(encoding="utf-8"))
  except OSError as error:
    raise UserError(
      f"{path}: can't read the label file ({error.strerror}); correct"
      " --label_file"
    ) from error
  except ValueError as error:
    raise UserError(
      f"{path}: expected a label file in JSON, received something else"
      f" ({error}); correct it"
    ) from error
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: expected {{video: {{annotator: {{label: [start, end]}}}}}},"
      f" received a {type(content).__name__}"
    )
  return {
    video: _annotators(annotators, f"{path}: video {video!r}")
    for video, annotators in content.items()
  }


def _annotators(annotators: object, where: str) -> list[list[Segment]]:
  if not isinstance(annotators, dict) or not annotators:
    raise UserError(
      f"{where}: expected {{annotator: {{label: [start, end]}}}}, received"
      f" {_shortened(annotators)}"
    )
  return [
    _segments(segments, f"{where}, annotator {name!r}")
    for name, segments in annotators.items()
  ]


def _segments(segments: object, where: str) -> list[Segment]:
  if not isinstance(segments, dict) or not segments:
    raise UserError(
      f"{where}: expected {{label: [start, end]}}, received"
      f" {_shortened(segments)}"
    )
  return sorted(
    _segment(label, bounds, where) for label, bounds in segments.items()
  )


def _segment(label: str, bounds: object, where: str) -> Segment:
  if not (label.isascii() and label.isdigit()):
    raise UserError(
      f"{where}: expected labels '0', '1', ..., received {label!r}"
    )
  if not (
    isinstance(bounds, list)
    and len(bounds) == 2
    and all(type(x) in (int, float) and math.isfinite(x) for x in bounds)
  ):
    raise UserError(
      f"{where}, label {label}: expected [start, end] in microseconds, received"
      f" {_shortened(bounds)}"
    )
  start, end = (float(bound) / _MICROSECONDS for bound in bounds)
  return Segment(int(label), start, end)


def _shortened(value: object) -> str:
  text = repr(value)
  return text if len(text) <= 40 else text[:37] + "..."


def of_video(
  annotations: Annotations,
  video: str,
  path: str | os.PathLike,
  expected_segments: int = 0,
) -> list[Segment]:
  """The merged segments of one video.

  Args:
    annotations: What `read` returned.
    video: Name of the video.
    path: The label file, for messages.
    expected_segments: Number of segments that each annotator has to have drawn;
      0 for any.

  Returns:
    What `merge` returns.

  Raises:
    UserError: The video has no annotation, its annotators drew other segments
      than each other, or another number than expected.
  """
  if video not in annotations:
    known = f"{next(iter(annotations))!r}" if annotations else "none"
    raise UserError(
      f"{path}: has no annotation of video {video!r} (but of {len(annotations)}"
      f" others, the first is {known}); add it, or leave the video out"
    )
  annotators = annotations[video]
  for segments in annotators:
    if expected_segments and len(segments) != expected_segments:
      raise UserError(
        f"{path}: video {video!r} has {len(segments)} segments, expected"
        f" {expected_segments}; correct it, or --expected_segments"
      )
    drawn, others = (_labels_of(x) for x in (segments, annotators[0]))
    if drawn != others:
      raise UserError(
        f"{path}: the annotators of video {video!r} drew different segments,"
        f" {others} and {drawn}; expected the same labels of each"
      )
  merged = merge(annotators)
  if not any(segment.start < segment.end for segment in merged):
    raise UserError(
      f"{path}: all segments of video {video!r} end before they start; expected"
      " [start, end] in microseconds"
    )
  return merged


def _labels_of(segments: Sequence[Segment]) -> list[int]:
  return [segment.label for segment in segments]


def merge(annotators: Sequence[Sequence[Segment]]) -> list[Segment]:
  """Averages annotators, and parts neighbours in the middle of their gap.

  An overlap of neighbours is parted in its middle too.

  Args:
    annotators: Segments of each annotator, the same labels in the same order.

  Returns:
    The segments in order of their averaged starts. Each ends where the next
    starts; one that its neighbours overlap wholly may end before it starts.
  """
  bounds = np.mean([[s[1:] for s in drawn] for drawn in annotators], axis=0)
  order = np.argsort(bounds[:, 0], kind="stable")
  starts, ends = bounds[order].T
  middles = (ends[:-1] + starts[1:]) / 2
  return [
    Segment(annotators[0][index].label, float(start), float(end))
    for index, start, end in zip(
      order, [starts[0], *middles], [*middles, ends[-1]], strict=True
    )
  ]


def of_frames(segments: Sequence[Segment], times: Sequence[float]) -> list[int]:
  """Labels frames by their time stamps.

  A segment holds the instants start <= t < end: the instant at which one ends
  and the next starts belongs to the next, as the event between two phases opens
  the later one. (The reference labels in the tests don't decide it: none of
  their boundaries meets a frame.) Both sides are rounded to microseconds, the
  unit of label files, so that a boundary that was taken from a frame's time
  stamp meets this frame whatever the last bits are.

  A segment that ends before it starts holds no instant and is passed over, even
  at the end of the video: the frames after the last segment have the label of
  the last that holds any.

  Args:
    segments: What `merge` returned, at least one of them not empty.
    times: [F] seconds from the first frame.

  Returns:
    [F] labels. Frames before the first segment have its label, frames after the
    last the last's.
  """
  moments = _to_microseconds(times)
  kept = [s for s in segments if s.start < s.end]
  labels = np.full(len(moments), kept[0].label)
  # Each segment ends where the next starts, so the last one begun holds.
  for segment in kept:
    labels[moments >= _to_microseconds(segment.start)] = segment.label
  return labels.tolist()


def _to_microseconds(seconds: float | Sequence[float]) -> np.ndarray:
  return np.rint(np.asarray(seconds, np.float64) * _MICROSECONDS)
