"""The result of a task."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from evaluation.metric import Metric

if TYPE_CHECKING:
  from matplotlib.figure import Figure

# Tag -> what draws it.
Plots = dict[str, Callable[[], "Figure"]]


@dataclasses.dataclass(frozen=True)
class Result:
  """Numbers and images of one task on one data set.

  A number that is not defined is NaN, never 0. A task that could not run at
  all gives `Result.empty()`: NaN, and no metrics, so there is nothing to write.

  Attributes:
    value: The headline number.
    metrics: All numbers, with their places.
    details: Tag -> what helps to judge the numbers and is no number itself, of
      the types JSON has: counts, a confusion matrix, the worst videos.
    plots: TensorBoard tag -> function that draws the figure: few are asked for.
  """

  value: float
  metrics: Sequence[Metric]
  details: dict[str, Any] = dataclasses.field(default_factory=dict)
  plots: Plots = dataclasses.field(default_factory=dict, compare=False)

  @property
  def scalars(self) -> dict[str, float]:
    """TensorBoard tag -> number."""
    return {metric.tag: metric.value for metric in self.metrics}

  @property
  def images(self) -> dict[str, np.ndarray]:
    """TensorBoard tag -> [H, W, 3] uint8, drawn now."""
    from evaluation.plots import render  # Of no use to those that only train.

    return {tag: render(draw()) for tag, draw in self.plots.items()}

  @classmethod
  def empty(cls) -> Self:
    """Return the result of a task that could not run on this data set."""
    return cls(math.nan, ())
