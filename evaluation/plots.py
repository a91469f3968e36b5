"""Plots of results, as TensorBoard takes images: [H, W, 3] uint8."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Up to so many phases, each field of a confusion matrix has room for text.
_MAX_ANNOTATED = 12


def draw_confusion_matrix(
  counts: np.ndarray, phases: Sequence[int], names: Mapping[int, str]
) -> np.ndarray:
  """Draw how often each phase is taken for each other.

  Args:
    counts: [P, P] frames, a row for each true phase.
    phases: P phases.
    names: Names of phases, as far as they have any.

  Returns:
    The image; rows sum to 100 % (a phase without frames has an empty row),
    and the diagonal holds the accuracy of each phase.
  """
  totals = counts.sum(axis=1, keepdims=True)
  shares = counts / np.maximum(totals, 1)
  titles = [f"{p} {textwrap.shorten(names.get(p, ''), 40)}" for p in phases]
  figure, axes = _make_figure(5.2 + 0.08 * max(map(len, titles)), 4.6)
  image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
  axes.set_xticks(range(len(phases)), phases)
  rows = zip(titles, totals[:, 0], strict=True)
  axes.set_yticks(range(len(phases)), [f"{t}  ({n} frames)" for t, n in rows])
  axes.set(xlabel="predicted phase", ylabel="true phase")
  if len(phases) <= _MAX_ANNOTATED:
    for (row, column), share in np.ndenumerate(shares):
      if totals[row]:
        color = "white" if share > 0.5 else "black"
        text = f"{share:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=color)
  figure.colorbar(image, label="share of the true phase")
  return _render(figure)


def draw_similarity(
  videos: Sequence[np.ndarray], names: Sequence[str], distance: str
) -> np.ndarray:
  """Draw how near each frame of one video is to each of another.

  Args:
    videos: Two arrays [M, D] and [N, D].
    names: Of the two.
    distance: `sqeuclidean` or `cosine`.

  Returns:
    The image; the nearest neighbors of the first video's frames are marked,
    and rise from bottom left to top right where the videos are aligned.
  """
  first, second = videos
  # An undefined cosine distance, to a zero vector, stays blank.
  distances = cdist(first, second, distance)
  figure, axes = _make_figure(5.2, 4.6)
  options = {"origin": "lower", "aspect": "auto", "cmap": "viridis_r"}
  image = axes.imshow(np.sqrt(distances).T, **options)
  neighbors = np.where(np.isnan(distances), np.inf, distances).argmin(axis=1)
  axes.plot(neighbors, ".", color="red", label="nearest neighbor")
  axes.legend(loc="upper left", fontsize=8)
  axes.set(xlabel=f"frames of {names[0]}", ylabel=f"frames of {names[1]}")
  figure.colorbar(image, label=f"square root of {distance} distance")
  return _render(figure)


def draw_accuracy_curve(
  accuracies: npt.ArrayLike, amounts: Sequence[float], amount: str, floor: float
) -> np.ndarray:
  """Draw accuracy over the amount of labels.

  Args:
    accuracies: [N, 2] of train and val, in [0, 1].
    amounts: How much was labeled, N numbers.
    amount: What the amounts are.
    floor: Accuracy of always naming the most frequent phase.

  Returns:
    The image.
  """
  figure, axes = _make_figure(5.2, 3.6)
  axes.plot(amounts, accuracies, marker="o", label=["train", "val"])
  axes.axhline(floor, color="gray", linestyle="--", label="majority phase")
  axes.set(ylim=(0, 1.02), xlabel=amount, ylabel="accuracy")
  axes.grid(alpha=0.3)
  axes.legend(loc="lower right")
  return _render(figure)


def _make_figure(width: float, height: float) -> tuple["Figure", "Axes"]:
  # Here, for most evaluations draw nothing.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  # Not pyplot: its figures are global, and need a display to be chosen.
  figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
  FigureCanvasAgg(figure)
  return figure, figure.add_subplot()


def _render(figure: "Figure") -> np.ndarray:
  figure.canvas.draw()
  return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
