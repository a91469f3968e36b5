"""Figures of results, for TensorBoard and for print.

They read in gray and for the color-blind: lines differ in their strokes and
markers too, and maps change evenly in brightness.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from data.known_datasets import pad_names
from media.colors import SAFE_COLORS

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Up to so many phases or videos, a field of a matrix has room for text, and an
# axis for names.
_MAX_ANNOTATED = 15
_MAX_NAMED = 60
_MARKERS = "osD^vP*X"
_STROKES = ("-", "--", "-.", ":")


def draw_confusion_matrix(
  counts: np.ndarray,
  phases: Sequence[int],
  names: Sequence[str],
  title: str = "",
) -> "Figure":
  """Draw how often each phase is taken for each other.

  Args:
    counts: [P, P] frames, a row for each true phase.
    phases: P phases.
    names: P names; empty where there is none.
    title: Title of the figure.

  Returns:
    The figure; rows sum to 100 % (a phase without frames has an empty row), and
    the diagonal holds the accuracy of each phase.
  """
  totals = counts.sum(axis=1, keepdims=True)
  shares = counts / np.maximum(totals, 1)
  named = zip(phases, names, strict=True)
  titles = [f"{p} {textwrap.shorten(name, 40)}" for p, name in named]
  figure, axes = make_figure(5.2 + 0.08 * max(map(len, titles)), 4.6)
  image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
  axes.set_xticks(range(len(phases)), phases)
  rows = zip(titles, totals[:, 0], strict=True)
  axes.set_yticks(range(len(phases)), [f"{t}  ({n} frames)" for t, n in rows])
  axes.set(xlabel="predicted phase", ylabel="true phase", title=title)
  _annotate(axes, np.where(totals > 0, shares, np.nan), "{:.0%}", 0.5)
  figure.colorbar(image, label="share of the true phase")
  return figure


def draw_similarity(
  videos: Sequence[np.ndarray], names: Sequence[str], distance: str
) -> "Figure":
  """Draw how near each frame of one video is to each of another.

  Args:
    videos: Two arrays [M, D] and [N, D].
    names: Of the two.
    distance: `sqeuclidean` or `cosine`.

  Returns:
    The figure; the nearest neighbors of the first video's frames are marked,
    and rise from bottom left to top right where the videos are aligned.
  """
  first, second = videos
  # An undefined cosine distance, to a zero vector, stays blank.
  distances = cdist(first, second, distance)
  figure, axes = make_figure(5.2, 4.6)
  options = {"origin": "lower", "aspect": "auto", "cmap": "viridis_r"}
  image = axes.imshow(np.sqrt(distances).T, **options)
  neighbors = np.where(np.isnan(distances), np.inf, distances).argmin(axis=1)
  dots = {"color": "white", "markeredgecolor": "black", "markersize": 5}
  axes.plot(neighbors, "o", label="nearest neighbor", **dots)
  axes.legend(loc="upper left", fontsize=8)
  axes.set(xlabel=f"frames of {names[0]}", ylabel=f"frames of {names[1]}")
  figure.colorbar(image, label=f"square root of {distance} distance")
  return figure


def draw_accuracy_curve(
  accuracies: npt.ArrayLike, amounts: Sequence[float], amount: str, floor: float
) -> "Figure":
  """Draw accuracy over the amount of labels.

  Args:
    accuracies: [N, 2] of train and val, in [0, 1].
    amounts: How much was labeled, N numbers.
    amount: What the amounts are.
    floor: Accuracy of always naming the most frequent phase.

  Returns:
    The figure.
  """
  figure, axes = make_figure(5.2, 3.6)
  for number, values in enumerate(np.transpose(accuracies)):
    label = ("train", "val")[number]
    axes.plot(amounts, values, label=label, **_line_style(number))
  axes.axhline(floor, color="gray", linestyle=":", label="majority phase")
  axes.set(ylim=(0, 1.02), xlabel=amount, ylabel="accuracy")
  axes.grid(alpha=0.3)
  axes.legend(loc="lower right")
  return figure


def draw_metrics(
  runs: Mapping[str, Mapping[int, Mapping[str, float]]], tags: Mapping[str, str]
) -> "Figure":
  """Draw metrics over the steps of training, one below the other.

  Args:
    runs: Title of a run -> step -> tag -> value.
    tags: Title of a metric -> its tag.

  Returns:
    The figure; a run that lacks a metric has no line there.
  """
  columns = min(len(tags), 3)
  rows = -(-len(tags) // columns)
  figure, grid = make_figure(1 + 3 * columns, 0.8 + 2.4 * rows, rows, columns)
  places = np.ravel(grid)
  for axes, (title, tag) in zip(places, tags.items(), strict=False):
    for number, (run, steps) in enumerate(runs.items()):
      values = [scalars.get(tag, np.nan) for scalars in steps.values()]
      axes.plot([*steps], values, label=run, **_line_style(number))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
  for axes in places[max(0, len(tags) - columns) : len(tags)]:
    axes.set_xlabel("step of training")
  for axes in places[len(tags) :]:
    axes.remove()
  add_legend(figure, places[0])
  return figure


def draw_few_shot(
  curves: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]],
) -> "Figure":
  """Draw the accuracy of runs over the number of labeled videos.

  Args:
    curves: Title of a run -> numbers of labeled videos, mean accuracies, and
      half the width of the 95 % interval of these means (NaN without a band).

  Returns:
    The figure.
  """
  figure, axes = make_figure(5.6, 4.2)
  for number, (run, (amounts, means, widths)) in enumerate(curves.items()):
    style = _line_style(number)
    axes.plot(amounts, means, label=run, **style)
    low, high = np.subtract(means, widths), np.add(means, widths)
    band = {"color": style["color"], "alpha": 0.2, "linewidth": 0}
    axes.fill_between(amounts, low, high, **band)
  amounts = np.unique(np.concatenate([curve[0] for curve in curves.values()]))
  axes.set_xticks(amounts)
  axes.set(
    xlabel="labeled training videos",
    ylabel="validation accuracy\n(band: 95 % interval of the mean over draws)",
  )
  axes.grid(alpha=0.3)
  add_legend(figure, axes)
  return figure


def draw_tau_matrix(taus: np.ndarray, names: Sequence[str]) -> "Figure":
  """Draw Kendall's tau of every ordered pair of videos.

  Args:
    taus: [V, V], row i holding those of video i's frames; NaN = not defined.
    names: Of the videos.

  Returns:
    The figure.
  """
  count = len(names)
  side = min(4 + 0.25 * count, 12)
  figure, axes = make_figure(side + 1.2, side)
  axes.set_facecolor("0.85")  # Where there is no tau.
  lowest = min(0, np.nanmin(taus))
  image = axes.imshow(taus, vmin=lowest, vmax=1, cmap="cividis")
  shown = np.arange(count)[:: -(-count // _MAX_NAMED)]
  labels = [textwrap.shorten(names[i], 24, placeholder="...") for i in shown]
  axes.set_xticks(shown, labels, rotation=90, fontsize=7)
  axes.set_yticks(shown, labels, fontsize=7)
  axes.set(
    xlabel="matched in the frames of",
    ylabel="frames of",
    title=f"Kendall's tau of pairs, mean {np.nanmean(taus):.3f}",
  )
  _annotate(axes, taus, "{:.2f}", (1 + lowest) / 2, dark_is_high=False)
  figure.colorbar(image, label="tau", shrink=0.8)
  return figure


def draw_projection(
  points: np.ndarray,
  times: np.ndarray,
  labels: np.ndarray,
  shares: Sequence[float],
  class_names: Sequence[str] = (),
) -> "Figure":
  """Draw frames in two dimensions, by phase and by time.

  Args:
    points: [F, 2] their places.
    times: [F] in [0, 1], shares of their video.
    labels: [F] phases, -1 = none; the left half is left out if all are none.
    shares: Of the variance, in each of the two dimensions.
    class_names: Names of the phases by number, as far as they are known.

  Returns:
    The figure.
  """
  count = 2 if labels.max() >= 0 else 1
  names = pad_names(class_names, labels.max() + 1)
  figure, panels = make_figure(
    5 * count + 0.6, 5.4, 1, count, sharex=True, sharey=True, squeeze=False
  )
  dots = {"s": 14, "linewidths": 0, "alpha": 0.7, "rasterized": True}
  *phase_panel, time_panel = panels[0]
  for axes in phase_panel:
    for phase in np.unique(labels):
      style = {"color": "0.75", "marker": ".", "label": "no phase"}
      if phase >= 0:
        style = {k: _line_style(phase)[k] for k in ("color", "marker")}
        style["label"] = names[phase]
      axes.scatter(*points[labels == phase].T, **dots, **style)
    axes.set_title("phase", fontsize=10)
    add_legend(figure, axes)
  scatter = time_panel.scatter(*points.T, c=times, cmap="viridis", **dots)
  time_panel.set_title("time", fontsize=10)
  figure.colorbar(scatter, label="share of the video", ax=time_panel)
  for number, axes in enumerate(panels[0]):
    axes.set_xlabel(f"first component ({shares[0]:.0%} of the variance)")
    if number == 0:
      axes.set_ylabel(f"second component ({shares[1]:.0%} of the variance)")
    axes.grid(alpha=0.3)
  return figure


def make_figure(
  width: float, height: float, *shape: int, **options: Any
) -> tuple["Figure", Any]:
  """Make a figure of a size in inches, and its axes, see `subplots`."""
  # Here, for most evaluations draw nothing.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  # Not pyplot: its figures are global, and need a display to be chosen.
  figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
  FigureCanvasAgg(figure)
  return figure, figure.subplots(*shape, **options)


def render(figure: "Figure") -> np.ndarray:
  """Render a figure as TensorBoard takes it: [H, W, 3] uint8."""
  figure.canvas.draw()
  return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _line_style(number: int) -> dict[str, Any]:
  """Return what tells the curve of a number from all others."""
  return {
    "color": SAFE_COLORS[number % len(SAFE_COLORS)],
    "marker": _MARKERS[number % len(_MARKERS)],
    "linestyle": _STROKES[number % len(_STROKES)],
    "markersize": 4,
  }


def _annotate(
  axes: "Axes",
  values: np.ndarray,
  text: str,
  middle: float,
  dark_is_high: bool = True,
) -> None:
  """Write the values of a small matrix into its fields, but for NaN."""
  if len(values) > _MAX_ANNOTATED:
    return
  for (row, column), value in np.ndenumerate(values):
    if not np.isnan(value):
      color = "white" if (value > middle) == dark_is_high else "black"
      options = {"ha": "center", "va": "center", "fontsize": 8}
      axes.text(column, row, text.format(value), color=color, **options)


def add_legend(figure: "Figure", axes: "Axes") -> None:
  """Add a legend below all axes, in as many columns as have room."""
  handles, labels = axes.get_legend_handles_labels()
  room = int(figure.get_figwidth() * 11)
  columns = max(1, room // (8 + max(map(len, labels))))
  options = {"loc": "outside lower center", "frameon": False, "fontsize": 8}
  options["handlelength"] = 3.5  # As much as tells strokes apart.
  figure.legend(handles, labels, ncols=columns, **options)
