"""What a task returns."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np


class LazyImages(Mapping):
  """Pictures by tag; each is drawn when it is asked for, as few are."""

  def __init__(self, draw: Mapping[str, Callable[[], np.ndarray]]) -> None:
    """Takes the function that draws the picture of each tag."""
    self._draw = draw

  def __getitem__(self, tag: str) -> np.ndarray:
    """Draws a picture, [H, W, 3] uint8."""
    return self._draw[tag]()

  def __iter__(self) -> Iterator[str]:
    """Goes over the tags."""
    return iter(self._draw)

  def __len__(self) -> int:
    """Counts the tags."""
    return len(self._draw)


@dataclasses.dataclass(frozen=True)
class Result:
  """Numbers and pictures of one task on one data set.

  A number that is not defined is NaN, never 0. A task that could not run at
  all gives `Result.empty()`: NaN, and no scalars, so there is nothing to write.

  Attributes:
    value: The headline number.
    scalars: TensorBoard tag -> number.
    details: Tag -> what judging the numbers takes and is no number itself, of
      the types JSON has: counts, a confusion matrix, the worst videos.
    images: TensorBoard tag -> [H, W, 3] uint8.
  """

  value: float
  scalars: dict[str, float]
  details: dict[str, Any] = dataclasses.field(default_factory=dict)
  images: Mapping[str, np.ndarray] = dataclasses.field(
    default_factory=dict, compare=False
  )

  @classmethod
  def empty(cls) -> Self:
    """The result of a task that could not run on this data set."""
    return cls(value=math.nan, scalars={})
