"""Event completion: how far each key event of the action is away in time.

The paper calls it phase progression.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from easydict import EasyDict
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from evaluation.result import Result
from evaluation.usable_frames import (
  LabelledVideo,
  counts,
  frames_and_labels,
  labelled_splits,
)
from subsets import first_fraction


class EventCompletion:
  """R² of a linear regression from embeddings to time since each event.

  Phase progression in the paper, section 4.1. The regression is fitted to the
  first part of the labelled training videos, for each of
  `EVAL.CLASSIFICATION_FRACTIONS`, and scored on the frames it was fitted to
  and on all validation frames; R² is averaged over events. Headline:
  validation at the last fraction.
  """

  def __init__(self, config: EasyDict) -> None:
    """Takes `EVAL.CLASSIFICATION_FRACTIONS` from the configuration."""
    self._fractions = config.EVAL.CLASSIFICATION_FRACTIONS

  def evaluate_embeddings(
    self, dataset_name: str, train: Mapping, val: Mapping
  ) -> Result:
    """Computes the scores.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos, as `embeddings.load` returns them.
      val: Validation videos, likewise.

    Returns:
      Scalars `event_completion/{train,val}_{d}_{f}_score`, at most 1, NaN with
      a warning for a single frame; empty, with a warning, when a split has no
      labels or all labels are phase 0.
    """
    splits = labelled_splits(dataset_name, train=train, val=val)
    if splits is None:
      return Result.empty()
    num_events = max(
      video.labels.max() for videos in splits.values() for video in videos
    )
    if num_events == 0:
      warnings.warn(
        f"{dataset_name}: event_completion is skipped, all frames are of phase"
        " 0 and an event lies between two phases",
        stacklevel=2,
      )
      return Result.empty()
    val_frames, val_targets = _frames_and_targets(splits["val"], num_events)
    scalars = {}
    for fraction in self._fractions:
      frames, targets = _frames_and_targets(
        first_fraction(splits["train"], fraction), num_events
      )
      regression = LinearRegression().fit(frames, targets)
      scores = {
        "train": r_squared(targets, regression.predict(frames)),
        "val": r_squared(val_targets, regression.predict(val_frames)),
      }
      for split, score in scores.items():
        tag = f"event_completion/{split}_{dataset_name}_{float(fraction)}_score"
        scalars[tag] = score
    _warn_if_undefined(dataset_name, scalars)
    used = {f"event_completion/{dataset_name}_used": counts(splits)}
    return Result(value=scores["val"], scalars=scalars, details=used)


def time_since_events(labels: np.ndarray, num_events: int) -> np.ndarray:
  """How long ago each phase ended, as a fraction of the video.

  A phase that the video lacks ends where the last earlier one ended, and
  before frame 0 when it has no earlier one.

  Args:
    labels: [L] phases from 0 to `num_events`, -1 where there is none.
    num_events: Ends of phases to give; the last phase's is none.

  Returns:
    [L, num_events] float64, (frame - last frame of the phase) / L: negative
    before the event, at most 1.
  """
  last_frames = np.empty(num_events)
  last = -1
  for phase in range(num_events):
    frames = np.flatnonzero(labels == phase)
    last = frames[-1] if len(frames) else last
    last_frames[phase] = last
  times = np.arange(len(labels))[:, np.newaxis]
  return (times - last_frames) / len(labels)


def r_squared(targets: np.ndarray, predictions: np.ndarray) -> float:
  """Mean coefficient of determination of several targets.

  A constant target, which has no variance to explain, counts 1 when predicted
  exactly and 0 otherwise, as scikit-learn has it.

  Args:
    targets: [F, E].
    predictions: [F, E].

  Returns:
    The mean over E, at most 1; NaN for fewer than two frames.
  """
  if len(targets) < 2:
    return math.nan
  # With constants shifted to exact zeros rounding can't give them a variance.
  return float(r2_score(targets - targets[0], predictions - targets[0]))


def _frames_and_targets(
  videos: Sequence[LabelledVideo], num_events: int
) -> tuple[np.ndarray, np.ndarray]:
  frames, _ = frames_and_labels(videos)
  targets = [
    time_since_events(video.labels, num_events)[video.usable]
    for video in videos
  ]
  return frames, np.concatenate(targets)


def _warn_if_undefined(dataset_name: str, scalars: Mapping[str, float]) -> None:
  undefined = [tag for tag, score in scalars.items() if math.isnan(score)]
  if undefined:
    warnings.warn(
      f"{dataset_name}: {', '.join(undefined)} is NaN, R² needs at least two"
      " frames",
      stacklevel=2,
    )
