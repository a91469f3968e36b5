"""Time and memory of the evaluation tasks, against the plain formulation.

Usage: python -m benchmarks.evaluation [--size pouring|squats|long] [--quick]

Plain is what anyone would write: a scikit-learn `SVC()` fitted and scored in
every few-shot episode, SciPy's `cdist` and `kendalltau` for every pair of
videos. Both run in this process, alternately by task, and must agree to 1e-12:
mean and confidence interval of few-shot accuracies, and taus.

`long` are the tasks that compare all videos with all, on 500 of 2,000 frames.
The plain formulation would take hours; it is timed on the pairs and triples of
twelve videos drawn at random, where both must agree, and extrapolated.
"""

import functools
import itertools
import math
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
SIZES = {
  "pouring": (70, 14, 200, 5),
  "squats": (114, 116, 80, 4),
  "long": (2, 500, 2000, 5),
}
_QUICK_SIZE = (4, 5, 40, 3)
_QUICK_SETTINGS = [
  "EVAL.FEW_SHOT_NUM_LABELED=[1,2]",
  "EVAL.FEW_SHOT_NUM_EPISODES=3",
]
_NUM_SAMPLED = 12
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


def match_pairs(videos: dict, config: Any) -> dict[tuple, np.ndarray]:
  """Find nearest neighbors, one pair of videos after the other."""
  embs = [x[:: config.EVAL.KENDALLS_TAU_STRIDE] for x in videos["embs"]]
  return {
    (u, v): cdist(embs[u], embs[v], "sqeuclidean").argmin(axis=1)
    for u, v in itertools.permutations(range(len(embs)), 2)
  }


def score_split(split: str, videos: dict, config: Any) -> dict[str, float]:
  """Score the mean Kendall's tau of a split, one pair after the other."""
  taus = [
    stats.kendalltau(np.arange(len(neighbors)), neighbors).statistic
    for neighbors in match_pairs(videos, config).values()
  ]
  return {f"kendalls_tau/made_{split}_align_tau": float(np.nanmean(taus))}


def score_taus(train: dict, val: dict, config: Any) -> dict[str, float]:
  """Score mean Kendall's taus of both splits."""
  return score_split("train", train, config) | score_split("val", val, config)


def score_retrieval(val: dict, config: Any) -> dict[str, float]:
  """Score the precision at the last K, one video after the other."""
  stride, k = config.EVAL.KENDALLS_TAU_STRIDE, config.EVAL.RETRIEVAL_K[-1]
  embs, labels = ([x[::stride] for x in val[key]] for key in ("embs", "labels"))
  precisions = []
  for i, frames in enumerate(embs):
    distances = cdist(frames, np.concatenate(embs[:i] + embs[i + 1 :]))
    nearest = distances.argsort(axis=1)[:, :k]
    phases = np.concatenate(labels[:i] + labels[i + 1 :])[nearest]
    precisions.append(np.mean(phases == labels[i][:, np.newaxis]))
  return {f"retrieval/val_made_ap@{k}": float(np.mean(precisions))}


def follow_cycles(nearest: dict[tuple, np.ndarray], _: Any) -> dict[str, float]:
  """Score cycles of three videos, one after the other."""
  times = {u: np.arange(len(x)) for (u, _), x in nearest.items()}
  returned = [
    np.mean(nearest[w, u][nearest[v, w][nearest[u, v]]] == times[u])
    for u, v, w in itertools.permutations(times, 3)
  ]
  return {"cycle_consistency/val_made_3way": float(np.mean(returned))}


def compare_sample(
  name: str, steps: list[Callable], train: dict, val: dict, config: Any
) -> None:
  """Print times of a task and of its plain formulation on a sample of videos.

  Args:
    name: Of the task.
    steps: The plain formulation, functions of what came before, at first val,
      and the configuration. The first visits pairs of videos, the next triples.
    train: Training videos.
    val: Validation videos.
    config: The configuration.

  Raises:
    UserError: The two disagree on the sample.
  """
  evaluate, count = TASKS[name](config).evaluate_embeddings, len(val["embs"])
  before = read_peak_memory() / 1024
  ours, _ = time_call(evaluate, "made", train, val)
  peak = read_peak_memory() / 1024
  chosen = np.random.default_rng(0).permutation(count)[:_NUM_SAMPLED]
  found = sample = {key: [val[key][i] for i in chosen] for key in val}
  theirs = 0.0
  for order, step in enumerate(steps, start=2):
    seconds, found = time_call(step, found, config)
    theirs += seconds * math.perm(count, order) / math.perm(len(chosen), order)
  error = find_error(name, evaluate("made", train, sample), found)
  report(
    f"{name}: plain {theirs:.0f} s by {math.perm(len(chosen), 2)} pairs, ours"
    f" {ours:.1f} s, ratio {theirs / ours:.1f}, largest difference {error:.1e},"
    f" peak memory {before:.2f} GiB before, {peak:.2f} GiB after"
  )


def find_error(name: str, result: Any, expected: dict[str, float]) -> float:
  """Return how far a result is off; raise a UserError above 1e-12."""
  error = np.max([abs(result.scalars[tag] - x) for tag, x in expected.items()])
  if not error <= 1e-12:  # Nor NaN.
    raise UserError(f"{name}: differs from the plain formulation by {error}")
  return error


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
  error = find_error(name, result, expected)
  report(
    f"{name}: plain {theirs:.2f} s, ours {ours:.2f} s, ratio"
    f" {theirs / ours:.1f}, largest difference {error:.1e}"
  )


def main() -> None:
  """Measure and prints."""
  num_train, num_val, *kind = _QUICK_SIZE if FLAGS.quick else SIZES[FLAGS.size]
  train, val = make_videos(num_train, *kind, 1), make_videos(num_val, *kind, 2)
  config = configuration.load(settings=_QUICK_SETTINGS if FLAGS.quick else [])
  print(
    f"{FLAGS.size}: {num_train} + {num_val} videos,"
    f" {sum(map(len, train['embs']))} + {sum(map(len, val['embs']))} frames of"
    f" {_DIMENSIONS} dimensions"
  )
  warnings.simplefilter("error")
  if FLAGS.size == "long":
    for name, steps in {
      "kendalls_tau": [functools.partial(score_split, "val")],
      "retrieval": [score_retrieval],
      "cycle_consistency": [match_pairs, follow_cycles],
    }.items():
      compare_sample(name, steps, train, val, config)
    return
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
  flags.DEFINE_bool("quick", False, "Next to nothing, to see that it runs.")
  command_line.run(main)
