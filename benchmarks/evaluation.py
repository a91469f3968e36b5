"""Time and memory of the evaluation tasks, against the plain formulation.

Usage: python -m benchmarks.evaluation [--size pouring|squats]

Plain is what anyone would write: a scikit-learn `SVC()` fitted and scored in
every few-shot episode, SciPy's `cdist` and `kendalltau` for every pair of
videos. Both run in this process, alternately by task, and must agree to 1e-12:
mean and confidence interval of few-shot accuracies, and taus.
"""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import flags
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.svm import SVC

import config as configuration
from benchmarks.measuring import read_peak_memory, report, time_call
from core import command_line
from core.errors import UserError
from evaluation import TASKS

FLAGS = flags.FLAGS

# Videos of train and val, frames of a video on average, phases.
SIZES = {"pouring": (70, 14, 200, 5), "squats": (114, 116, 80, 4)}
_DIMENSIONS = 128


def make_videos(
  num_videos: int, mean_frames: int, num_phases: int, seed: int
) -> dict[str, list[np.ndarray]]:
  """Make videos that run along one curve at their own speed, with noise.

  Args:
    num_videos: Number of videos.
    mean_frames: Frames of a video on average.
    num_phases: Number of phases, equally long on average.
    seed: Of all random choices but the curve.

  Returns:
    `embs` and `labels`, as `embeddings.load` returns them.
  """
  curve = np.random.default_rng(0).normal(size=(9, _DIMENSIONS))
  random = np.random.default_rng(seed)
  videos = {"embs": [], "labels": []}
  for _ in range(num_videos):
    length = random.integers(mean_frames // 2, mean_frames * 3 // 2)
    times = np.linspace(0, 1, length) ** random.uniform(0.7, 1.4)
    waves = np.cos(np.pi * times[:, np.newaxis] * np.arange(1, 10))
    drift = np.cumsum(random.normal(size=(length, _DIMENSIONS)), axis=0)
    noise = random.normal(size=drift.shape)
    embs = waves @ curve + 0.15 * drift + 1.5 * noise
    videos["embs"].append(embs.astype(np.float32))
    phases = np.minimum(times * num_phases, num_phases - 1)
    videos["labels"].append(phases.astype(np.int64))
  return videos


def score_few_shot(train: dict, val: dict, config: Any) -> dict[str, float]:
  """Score few-shot accuracies and intervals, one classifier at a time."""
  random = np.random.RandomState(42)
  val_frames = np.concatenate(val["embs"]).astype(np.float64)
  val_labels = np.concatenate(val["labels"])
  scalars = {}
  for k in config.EVAL.FEW_SHOT_NUM_LABELED:
    accuracies = []
    for _ in range(config.EVAL.FEW_SHOT_NUM_EPISODES):
      chosen = random.permutation(len(train["embs"]))[:k]
      embs = [train["embs"][i] for i in chosen]
      frames = np.concatenate(embs).astype(np.float64)
      labels = np.concatenate([train["labels"][i] for i in chosen])
      svc = SVC().fit(frames, labels)
      validation = svc.score(val_frames, val_labels)
      accuracies.append([svc.score(frames, labels), validation])
    by_split = np.transpose(accuracies)
    for split, values in zip(("train", "val"), by_split, strict=True):
      tag = f"few_shot_cxn/{split}_made_{k}"
      scalars[f"{tag}_accuracy"] = float(values.mean())
      # The mean alone would not show two frames that change sides.
      quantile = stats.t.ppf(0.975, len(values) - 1)
      scalars[f"{tag}_ci"] = float(quantile * stats.sem(values))
  return scalars


def score_taus(train: dict, val: dict, config: Any) -> dict[str, float]:
  """Score mean Kendall's taus, one pair of videos after the other."""
  scalars = {}
  stride = config.EVAL.KENDALLS_TAU_STRIDE
  for split, videos in (("train", train), ("val", val)):
    embs = [video[::stride] for video in videos["embs"]]
    taus = []
    for u, v in itertools.permutations(embs, 2):
      neighbors = cdist(u, v, "sqeuclidean").argmin(axis=1)
      taus.append(stats.kendalltau(np.arange(len(u)), neighbors).statistic)
    scalars[f"kendalls_tau/made_{split}_align_tau"] = float(np.nanmean(taus))
  return scalars


def compare(
  name: str,
  plain: Callable,
  train: dict,
  val: dict,
  config: Any,
  num_rounds: int = 1,
) -> None:
  """Print times of a task and of its plain formulation, and their ratio.

  Args:
    name: Of the task.
    plain: Takes train, val and configuration, gives tag -> value.
    train: Training videos.
    val: Validation videos.
    config: The configuration.
    num_rounds: How often each is timed, in turns; medians are printed.

  Raises:
    UserError: The two disagree.
  """
  task = TASKS[name](config)
  rounds = []
  for _ in range(num_rounds):
    ours, result = time_call(task.evaluate_embeddings, "made", train, val)
    theirs, expected = time_call(plain, train, val, config)
    rounds.append((ours, theirs))
  ours, theirs = np.median(rounds, axis=0)
  error = np.max([abs(result.scalars[tag] - x) for tag, x in expected.items()])
  if not error <= 1e-12:  # Nor NaN.
    raise UserError(f"{name}: differs from the plain formulation by {error}")
  report(
    f"{name}: plain {theirs:.2f} s, ours {ours:.2f} s, ratio"
    f" {theirs / ours:.1f}, largest difference {error:.1e}"
  )


def main() -> None:
  """Measure and prints."""
  num_train, num_val, *kind = SIZES[FLAGS.size]
  train, val = make_videos(num_train, *kind, 1), make_videos(num_val, *kind, 2)
  config = configuration.load()
  print(
    f"{FLAGS.size}: {num_train} + {num_val} videos,"
    f" {sum(map(len, train['embs']))} + {sum(map(len, val['embs']))} frames of"
    f" {_DIMENSIONS} dimensions"
  )
  warnings.simplefilter("error")
  total = 0.0
  for name, task in TASKS.items():
    if hasattr(task, "evaluate_embeddings"):
      evaluate = task(config).evaluate_embeddings
      seconds, result = time_call(evaluate, "made", train, val)
      total += seconds
      report(f"{name}: {seconds:.2f} s, headline {result.value:.4f}")
  peak = read_peak_memory() / 1024
  print(f"all tasks: {total:.1f} s, peak memory of the process {peak:.2f} GiB")
  # Fractions of a second: one round would measure noise.
  compare("kendalls_tau", score_taus, train, val, config, num_rounds=9)
  compare("few_shot_classification", score_few_shot, train, val, config)


if __name__ == "__main__":
  flags.DEFINE_enum("size", "pouring", list(SIZES), "Size of which data set.")
  command_line.run(main)
