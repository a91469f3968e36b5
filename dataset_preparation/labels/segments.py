"""Segments of a video in, labels of its frames out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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


def merge_annotators(annotators: Sequence[Sequence[Segment]]) -> list[Segment]:
  """Averages annotators, and parts neighbors in the middle of their gap.

  An overlap of neighbors is parted in its middle too.

  Args:
    annotators: Segments of each annotator, the same labels in the same order.

  Returns:
    The segments in order of their averaged starts. Each ends where the next
    starts; one that its neighbors overlap wholly may end before it starts.
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


def label_frames(
  segments: Sequence[Segment], times: Sequence[float]
) -> list[int]:
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
    segments: What `merge_annotators` returned, at least one of them not empty.
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
