"""Few-shot phase classification: few labeled videos, many draws of them."""

import functools
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from easydict import EasyDict
from scipy import stats
from threadpoolctl import threadpool_limits

from evaluation import plots
from evaluation.result import LazyImages, Result
from evaluation.svm import PhaseClassifier, majority_accuracy
from evaluation.usable_frames import (
  LabeledVideo,
  counts,
  frames_and_labels,
  labeled_splits,
  usable_labels,
)

_SEED = 42
# Episodes at a time; each has a kernel matrix of up to 130 MB in memory.
_MAX_WORKERS = 8


class FewShotClassification:
  """Accuracy of a classifier of frames when only k videos have labels.

  For each k of `EVAL.FEW_SHOT_NUM_LABELED`, `EVAL.FEW_SHOT_NUM_EPISODES` draws
  of k training videos; each fits a support vector machine. The draws are the
  same in every run. Headline: validation at the last k.
  """

  def __init__(self, config: EasyDict) -> None:
    """Takes the two `EVAL.FEW_SHOT_*` values from the configuration."""
    self._nums_labeled = config.EVAL.FEW_SHOT_NUM_LABELED
    self._num_episodes = config.EVAL.FEW_SHOT_NUM_EPISODES

  def evaluate_embeddings(
    self, dataset_name: str, train: Mapping, val: Mapping
  ) -> Result:
    """Computes mean accuracies over the episodes.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos, as `embeddings.load` returns them.
      val: Validation videos, likewise.

    Returns:
      Scalars `few_shot_cxn/{train,val}_{d}_{k}_accuracy`, in [0, 1], and
      `..._ci`, half the width of the 95 % t-interval, NaN for one episode.
      A k above the number of labeled training videos is left out with a
      warning. Empty, with a warning, when a split has no labels.
    """
    splits = labeled_splits(dataset_name, train=train, val=val)
    if splits is None:
      return Result.empty()
    possible = _nums_possible(
      dataset_name, self._nums_labeled, len(splits["train"])
    )
    random = np.random.RandomState(_SEED)
    episodes = [
      random.permutation(len(splits["train"]))[:num_labeled]
      for num_labeled in possible
      for _ in range(self._num_episodes)
    ]
    accuracies = _accuracies(splits, episodes)
    accuracies = accuracies.reshape(len(possible), self._num_episodes, 2)
    return _summary(dataset_name, possible, accuracies, splits)


def half_width(values: np.ndarray) -> float:
  """Half the width of the 95 % confidence interval of a mean.

  Args:
    values: [N] independent draws.

  Returns:
    Student's t quantile times the standard error; NaN for one value.
  """
  if len(values) < 2:
    return math.nan
  quantile = stats.t.ppf(0.975, len(values) - 1)
  return float(quantile * stats.sem(values))


def _nums_possible(
  dataset_name: str, nums_labeled: Sequence[int], num_videos: int
) -> list[int]:
  too_many = [k for k in nums_labeled if k > num_videos]
  if too_many:
    warnings.warn(
      f"{dataset_name}: few-shot classification with"
      f" {', '.join(map(str, too_many))} labeled videos is left out, the"
      f" training set has {num_videos}",
      stacklevel=2,
    )
  return [k for k in nums_labeled if k <= num_videos]


def _summary(
  dataset_name: str,
  nums_labeled: Sequence[int],
  accuracies: np.ndarray,
  splits: Mapping[str, Sequence[LabeledVideo]],
) -> Result:
  """Averages [K, episodes, 2] accuracies, train and val, over episodes."""
  if not nums_labeled:
    return Result.empty()
  scalars = {}
  for num_labeled, of_episodes in zip(nums_labeled, accuracies, strict=True):
    for split, values in zip(("train", "val"), of_episodes.T, strict=True):
      tag = f"few_shot_cxn/{split}_{dataset_name}_{num_labeled}"
      scalars[f"{tag}_accuracy"] = float(values.mean())
      scalars[f"{tag}_ci"] = half_width(values)
  plot = functools.partial(
    plots.accuracy_curve,
    dict(zip(("train", "val"), accuracies.mean(axis=1).T, strict=True)),
    nums_labeled,
    "labeled videos",
    majority_accuracy(*(usable_labels(splits[s]) for s in ("train", "val"))),
  )
  return Result(
    value=float(accuracies[-1, :, 1].mean()),
    scalars=scalars,
    details={f"few_shot_cxn/{dataset_name}_used": counts(splits)},
    images=LazyImages({f"few_shot_cxn/{dataset_name}_accuracy": plot}),
  )


def _accuracies(
  splits: Mapping[str, Sequence[LabeledVideo]],
  episodes: Sequence[np.ndarray],
) -> np.ndarray:
  """Fits and scores a classifier an episode.

  Args:
    splits: `train` and `val` -> labeled videos.
    episodes: Indices of the training videos of each episode.

  Returns:
    [episodes, 2] accuracies, train (on the episode's own frames) and val.
  """
  val = frames_and_labels(splits["val"])

  def fit_and_score(chosen: np.ndarray) -> tuple[float, float]:
    train = frames_and_labels([splits["train"][i] for i in chosen])
    classifier = PhaseClassifier(*train)
    return classifier.train_accuracy, classifier.accuracy(*val)

  # Episodes side by side, each on one core: their matrices are too small for
  # the threads of BLAS, which also wait busily for cores that others use.
  workers = min(_MAX_WORKERS, os.cpu_count() or 1)
  with (
    threadpool_limits(limits=1, user_api="blas"),
    ThreadPoolExecutor(workers) as pool,
  ):
    return np.array(list(pool.map(fit_and_score, episodes)))
