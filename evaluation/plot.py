"""Plots of runs for papers and slides, each as PNG and SVG.

Usage: python -m evaluation.plot LOGDIR [LOGDIR ...] --out plots
         [--embs_path /tmp/embeddings.npy]

Of the runs: metrics over steps, accuracy over the number of labeled videos, and
the confusion matrix. Of a file of embeddings: Kendall's tau of every pair of
videos, and the frames in two dimensions, by phase and by time. What can't be
drawn from what is there is left out, and a line says what is missing.
"""

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags, logging

import embeddings
from core import command_line
from core.errors import UserError
from core.files import atomic_write, make_folder
from evaluation import kendalls_tau, metrics, plots, report
from evaluation.metric import Metric

if TYPE_CHECKING:
  from matplotlib.figure import Figure

FLAGS = flags.FLAGS

# Dots that a projection has room for.
_MAX_DOTS = 10_000
_DPI = 200

# Title of a run -> what `metrics.read` gives of it.
Runs = Mapping[str, report.Steps]
# Name of a file -> the figure, or what is missing for it.
Drawn = Iterator[tuple[str, "Figure | str"]]


def plot(
  logdirs: Sequence[str],
  out: str | os.PathLike,
  embs_path: str | os.PathLike | None = None,
) -> list[str]:
  """Draw what runs and embeddings give, and log what is left out.

  Args:
    logdirs: Log directories of evaluated runs; may be none.
    out: Folder to write to.
    embs_path: A file of embeddings, or a pattern; None draws runs only.

  Returns:
    Names of the plots; each is there with `.png` and with `.svg`.

  Raises:
    UserError: A run was not evaluated, a file can't be read or written, or
      there is nothing to draw from.
  """
  if not logdirs and not embs_path:
    raise UserError(
      "LOGDIR: expected the log directories of evaluated runs, or --embs_path,"
      " received neither; run python -m evaluation.plot LOGDIR [LOGDIR ...]"
    )
  titles = _choose_titles(logdirs)
  runs = {title: _read_run(logdir) for title, logdir in titles.items()}
  details = {
    title: metrics.read_details(logdir)[max(runs[title])]
    for title, logdir in titles.items()
  }
  folder, written = make_folder(out), []
  drawings = _draw_runs(runs, details), _draw_embeddings(embs_path)
  for name, drawn in itertools.chain(*drawings):
    if isinstance(drawn, str):
      logging.info("%s is left out: %s", name, drawn)
      continue
    name = re.sub(r"[^\w.-]+", "_", name)
    for ending in ("png", "svg"):
      with atomic_write(folder / f"{name}.{ending}") as temporary:
        drawn.savefig(temporary, dpi=_DPI)
    logging.info("Wrote %s.png and .svg", folder / name)
    written.append(name)
  return written


def _choose_titles(logdirs: Sequence[str]) -> dict[str, str]:
  """Name each run as shortly as tells them apart."""
  paths = [os.path.abspath(logdir) for logdir in dict.fromkeys(logdirs)]
  names = [os.path.basename(path) for path in paths]
  if len(set(names)) < len(names):
    shared = os.path.commonpath(paths)
    names = [os.path.relpath(path, shared) for path in paths]
  return dict(zip(names, paths, strict=True))


def _read_run(logdir: str) -> report.Steps:
  steps = metrics.read(logdir)
  if not steps:
    raise UserError(
      f"{logdir}: expected an evaluation of all videos, received none; run"
      f" `python evaluate.py --logdir {logdir}` first"
    )
  return steps


def _draw_runs(runs: Runs, details: Mapping[str, Mapping[str, Any]]) -> Drawn:
  """Draw the runs, once for each data set."""
  if not runs:
    missing = "they need LOGDIR, that of an evaluated run"
    yield "metrics, few_shot, confusion", missing
  last = {title: max(steps) for title, steps in runs.items()}
  found = (name for x in runs.values() for name in report.list_datasets(x))
  for dataset in dict.fromkeys(found):
    drawn = "each run has one evaluated step; evaluate.py evaluates all"
    if max(map(len, runs.values())) > 1:
      tags = report.list_columns(runs.values(), dataset)
      drawn = plots.draw_metrics(runs, tags)
    yield f"metrics_{dataset}", drawn
    curves = {
      f"{title}, step {last[title]}": curve
      for title, steps in runs.items()
      if (curve := _find_curve(steps[last[title]], dataset))
    }
    missing = "no run has few_shot_classification in EVAL.TASKS"
    drawn = plots.draw_few_shot(curves) if curves else missing
    yield f"few_shot_{dataset}", drawn
    for title, of_run in details.items():
      drawn = "the run has no classification in EVAL.TASKS"
      if matrix := of_run.get(f"classification/val_{dataset}_confusion"):
        phases = matrix["phases"]
        # Those of older evaluations are not known.
        names = matrix.get("names", [""] * len(phases))
        shown = np.array(matrix["frames"]), phases, names
        heading = f"{title}, step {last[title]}"
        drawn = plots.draw_confusion_matrix(*shown, heading)
      yield f"confusion_{dataset}_{title}", drawn


def _find_curve(
  scalars: Mapping[str, float], dataset: str
) -> tuple[list[int], list[float], list[float]] | None:
  """Find few-shot accuracies, see `plots.draw_few_shot`."""
  found: dict[str, dict[int, float]] = {"{}_accuracy": {}, "{}_ci": {}}
  for tag, value in scalars.items():
    metric = Metric.from_tag(tag)
    place = (metric.task, metric.split, metric.dataset)
    if place == ("few_shot_cxn", "val", dataset):
      found[metric.measure][int(metric.number)] = value
  means, widths = found.values()
  amounts = sorted(means)
  curve = amounts, [means[k] for k in amounts], [widths[k] for k in amounts]
  return curve if amounts else None


def _draw_embeddings(embs_path: str | os.PathLike | None) -> Drawn:
  """Draw what a file of embeddings gives."""
  if not embs_path:
    missing = "they need --embs_path, a file of extract_embeddings.py"
    yield "tau_matrix, projection", missing
    return
  split = embeddings.load_many(embs_path)
  plain = [dataclasses.replace(v, frames=None) for v in split.videos]
  videos = [v.select(np.flatnonzero(v.finite)) for v in plain if v.finite.any()]
  if not videos:
    raise UserError(
      f"{embs_path}: expected finite embeddings, received none; extract them"
      " with an earlier checkpoint"
    )
  embs = [video.embs for video in videos]
  taus = kendalls_tau.pairwise_taus(embs, "sqeuclidean")
  drawn = f"no pair of videos in {embs_path} has a defined tau"
  if not np.isnan(taus).all():
    drawn = plots.draw_tau_matrix(taus, [video.name for video in videos])
  yield "tau_matrix", drawn
  times = [video.steps / max(1, video.seq_len - 1) for video in videos]
  labels = np.concatenate(
    [np.full(len(v.embs), -1) if v.labels is None else v.labels for v in videos]
  )
  points, shares = project(np.concatenate(embs))
  rows = slice(None, None, -(-len(points) // _MAX_DOTS))
  shown = points[rows], np.concatenate(times)[rows], labels[rows]
  if labels.max() < 0:
    yield "projection by phase", f"{embs_path} has no labels"
  yield "projection", plots.draw_projection(*shown, shares, split.class_names)


def project(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Project embeddings onto their two principal components.

  Args:
    frames: [F, D] embeddings, D >= 2.

  Returns:
    points: [F, 2].
    shares: [2] of the variance, in [0, 1].
  """
  centered = frames - frames.mean(axis=0, dtype=np.float64)
  _, values, axes = np.linalg.svd(centered, full_matrices=False)
  variances = values**2
  return centered @ axes[:2].T, variances[:2] / max(variances.sum(), 1e-300)


def main(logdirs: list[str]) -> None:
  """Draw the plots."""
  plot(logdirs, FLAGS.out, FLAGS.embs_path)


if __name__ == "__main__":
  command_line.define_path("out", "plots", "Folder to write the plots to.")
  command_line.define_path(
    "embs_path",
    None,
    "File of embeddings, or a pattern in quotes, for the plots of tau and of"
    " the frames in two dimensions.",
  )
  command_line.run(main, takes_arguments=True)
