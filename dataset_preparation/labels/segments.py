"""Segments of a video, and the labels that they give its frames."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Segment(NamedTuple):
  """A phase of a video.

  Attributes:
    label: The phase, 0 or more.
    start: First instant of the phase, in seconds from the first frame.
    end: First instant after the phase, in seconds from the first frame.
  """

  label: int
  start: float
  end: float


def merge_annotators(annotators: Sequence[Sequence[Segment]]) -> list[Segment]:
  """Average annotators and split gaps and overlaps in their middle.

  Args:
    annotators: Segments of each annotator, the same labels in the same order.

  Returns:
    The segments in order of their averaged starts. Each ends where the next
    starts; one that its neighbors cover completely may end before it starts.
  """
  bounds = np.mean([[s[1:] for s in segments] for segments in annotators], 0)
  order = np.argsort(bounds[:, 0], kind="stable")
  starts, ends = bounds[order].T
  middles = (ends[:-1] + starts[1:]) / 2
  return [
    Segment(annotators[0][index].label, float(start), float(end))
    for index, start, end in zip(
      order, [starts[0], *middles], [*middles, ends[-1]], strict=True
    )
  ]


def label_times(
  segments: Sequence[Segment], times: Sequence[float]
) -> list[int]:
  """Label frames by their time stamps.

  A segment holds the instants start <= t < end: the instant at which one ends
  and the next starts belongs to the next, because the event between two phases
  opens the later one. (No boundary of the reference labels in the tests meets a
  frame, so they don't decide it.) Both sides are rounded to microseconds, the
  unit of annotation JSON, so that a boundary taken from a frame's time stamp
  meets this frame.

  A segment that ends before it starts holds no instant and is skipped, even at
  the end of the video: the frames after the last segment have the label of the
  last one that holds any.

  Args:
    segments: From `merge_annotators`, at least one of them not empty.
    times: [F] seconds from the first frame.

  Returns:
    [F] labels. Frames before the first segment have its label, frames after the
    last segment the last's.
  """
  moments = _to_microseconds(times)
  kept = [s for s in segments if s.start < s.end]
  labels = np.full(len(moments), kept[0].label)
  # Each segment ends where the next starts, so the last one begun holds.
  for segment in kept:
    labels[moments >= _to_microseconds(segment.start)] = segment.label
  return labels.tolist()


def _to_microseconds(seconds: float | Sequence[float]) -> np.ndarray:
  return np.rint(np.asarray(seconds, np.float64) * 1e6)
