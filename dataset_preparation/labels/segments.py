"""Segments of a video, and the labels that they give its frames."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_MICROSECONDS = 1e6


class Segment(NamedTuple):
  """A phase of a video.

  Attributes:
    label: The phase, -1 for none.
    start: First instant of the phase, from the first frame, in seconds or
      frames.
    end: First instant after the phase, likewise.
  """

  label: int
  start: float
  end: float


def find_runs(labels: Sequence[int]) -> list[tuple[int, int]]:
  """Find the runs of equal labels.

  Args:
    labels: [L], at least one.

  Returns:
    Of each run, the first frame and the first one after it.
  """
  changes = [t for t in range(1, len(labels)) if labels[t] != labels[t - 1]]
  return list(itertools.pairwise((0, *changes, len(labels))))


def merge_annotators(
  annotators: Sequence[Sequence[Segment]], close_gaps: bool = True
) -> list[Segment]:
  """Average annotators and split overlaps, and gaps, in their middle.

  Args:
    annotators: Segments of each annotator, the same labels in the same order.
    close_gaps: Whether to split gaps, so that each segment ends where the next
      starts.

  Returns:
    The segments in order of their averaged starts. One that its neighbors cover
    completely may end before it starts.
  """
  bounds = np.mean([[s[1:] for s in segments] for segments in annotators], 0)
  order = np.argsort(bounds[:, 0], kind="stable")
  starts, ends = bounds[order].T
  meet = close_gaps | (ends[:-1] > starts[1:])
  middles = (ends[:-1] + starts[1:]) / 2
  starts[1:][meet] = ends[:-1][meet] = middles[meet]
  return [
    Segment(annotators[0][index].label, float(start), float(end))
    for index, start, end in zip(order, starts, ends, strict=True)
  ]


def label_times(
  segments: Sequence[Segment],
  times: Sequence[float],
  fill_outside: bool = True,
) -> list[int]:
  """Label frames by their time stamps, or by their numbers.

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
    times: [F] from the first frame, in the unit of the segments.
    fill_outside: Whether frames before the first segment have its label, and
      frames after the last segment the last's.

  Returns:
    [F] labels; -1 for frames in no segment.
  """
  moments = np.rint(np.multiply(times, _MICROSECONDS))
  kept = [s for s in segments if s.start < s.end]
  bounds = np.rint(np.multiply([s[1:] for s in kept], _MICROSECONDS))
  labels = np.full(len(moments), -1)
  for segment, (start, end) in zip(kept, bounds, strict=True):
    labels[(moments >= start) & (moments < end)] = segment.label
  if fill_outside:
    labels[moments < bounds[0, 0]] = kept[0].label
    labels[moments >= bounds[-1, 1]] = kept[-1].label
  return labels.tolist()
