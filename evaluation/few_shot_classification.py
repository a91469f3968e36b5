"""Few-shot phase classification: few labeled videos, many draws of them."""

import functools
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from easydict import EasyDict
from scipy import stats
from threadpoolctl import threadpool_limits

from embeddings.types import AnyVideos, EmbeddedVideo
from evaluation import frame_selection, plots
from evaluation.metric import Metric
from evaluation.result import Result
from evaluation.svm import PhaseClassifier, majority_accuracy

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
    self._nums_labeled = config.EVAL.FEW_SHOT_NUM_LABELED
    self._num_episodes = config.EVAL.FEW_SHOT_NUM_EPISODES

  def evaluate_embeddings(
    self, dataset_name: str, train: AnyVideos, val: AnyVideos
  ) -> Result:
    """Compute mean accuracies over the episodes.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos.
      val: Validation videos.

    Returns:
      Metrics `few_shot_cxn/{train,val}_{d}_{k}_accuracy`, in [0, 1], and
      `..._ci`, half the width of the 95 % t-interval, NaN for one episode.
      A k above the number of labeled training videos is left out with a
      warning. Empty, with a warning, when a split has no labels.
    """
    splits = frame_selection.labeled_videos(dataset_name, train=train, val=val)
    if splits is None:
      return Result.empty()
    num_videos = len(splits["train"])
    possible = [k for k in self._nums_labeled if k <= num_videos]
    if too_many := [str(k) for k in self._nums_labeled if k > num_videos]:
      frame_selection.warn(
        f"{dataset_name}: few-shot classification with {', '.join(too_many)}"
        f" labeled videos is left out, the training set has {num_videos}"
      )
    if not possible:
      return Result.empty()
    random = np.random.RandomState(_SEED)
    episodes = [
      random.permutation(num_videos)[:k]
      for k in possible
      for _ in range(self._num_episodes)
    ]
    validation = frame_selection.frames_and_labels(splits["val"])
    accuracies = _fit_and_score(splits["train"], validation, episodes)
    accuracies = accuracies.reshape(len(possible), self._num_episodes, 2)
    metric = functools.partial(Metric, "few_shot_cxn", dataset=dataset_name)
    metrics = []
    for k, of_episodes in zip(possible, accuracies, strict=True):
      for split, values in zip(("train", "val"), of_episodes.T, strict=True):
        mean, width = float(values.mean()), half_width(values)
        metrics.append(metric(split, name=f"{k}_accuracy", value=mean))
        metrics.append(metric(split, name=f"{k}_ci", value=width))
    _, labels = frame_selection.frames_and_labels(splits["train"])
    majority = majority_accuracy(labels, validation[1])
    curve = (accuracies.mean(axis=1), possible, "labeled videos", majority)
    draw = functools.partial(plots.draw_accuracy_curve, *curve)
    tag = f"few_shot_cxn/{dataset_name}_"
    details = {f"{tag}used": frame_selection.count_frames(**splits)}
    return Result(mean, metrics, details, {f"{tag}accuracy": draw})


def half_width(values: np.ndarray) -> float:
  """Compute half the width of the 95 % confidence interval of a mean.

  Args:
    values: [N] independent draws.

  Returns:
    Student's t quantile times the standard error; NaN for one value.
  """
  if len(values) < 2:
    return math.nan
  quantile = stats.t.ppf(0.975, len(values) - 1)
  return float(quantile * stats.sem(values))


def _fit_and_score(
  train: Sequence[EmbeddedVideo],
  val: tuple[np.ndarray, np.ndarray],
  episodes: Sequence[np.ndarray],
) -> np.ndarray:
  """Fit and score a classifier an episode.

  Args:
    train: Labeled training videos.
    val: Frames and labels of the validation videos.
    episodes: Indices of the training videos of each episode.

  Returns:
    [episodes, 2] accuracies, train (on the episode's own frames) and val.
  """

  def run_episode(chosen: np.ndarray) -> tuple[float, float]:
    frames = frame_selection.frames_and_labels([train[i] for i in chosen])
    classifier = PhaseClassifier().fit(*frames)
    return classifier.train_accuracy, classifier.score(*val)

  # Episodes side by side, each on one core: their matrices are too small for
  # the threads of BLAS, which also wait busily for cores that others use.
  workers = min(_MAX_WORKERS, os.cpu_count() or 1)
  with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
    return np.array(list(pool.map(run_episode, episodes)))
