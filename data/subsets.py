"""Subsets of videos."""

from collections.abc import Sequence
from typing import TypeVar

Video = TypeVar("Video")


def first_fraction(videos: Sequence[Video], fraction: float) -> Sequence[Video]:
  """Return the first part of some videos, at least one.

  Args:
    videos: n videos.
    fraction: In [0, 1].

  Returns:
    The first max(1, floor(fraction * n)) videos.
  """
  # 0.29 * 100 is 28.999999999999996 in floating point, and meant to be 29.
  count = int(fraction * len(videos) + 1e-9)
  return videos[: max(1, count)]
