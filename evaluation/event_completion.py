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

from data.subsets import first_fraction
from evaluation.result import Result
from evaluation.usable_frames import (
  LabeledVideo,
  counts,
  frames_and_labels,
  labeled_splits,
)


class EventCompletion:
  """R² of a linear regression from embeddings to time since each event.

  Phase progression in the paper, section 4.1. The regression is fitted to the
  first part of the labeled training videos, for each of
  `EVAL.CLASSIFICATION_FRACTIONS`, and scored on the frames it was fitted to
  and on all validation frames; R² is averaged over the events whose time
  varies. Headline: validation at the last fraction.
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
      Scalars `event_completion/{train,val}_{d}_{f}_score`, at most 1; NaN,
      with a warning, where no event's time varies; with another where that of
      some does not. Empty, with a warning, when a split has no labels or all
      labels are phase 0.
    """
    splits = labeled_splits(dataset_name, train=train, val=val)
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
    _warn_without_phase_0(dataset_name, splits)
    scored = {"val": _frames_and_targets(splits["val"], num_events)}
    scalars, constant = {}, {}
    for fraction in self._fractions:
      scored["train"] = _frames_and_targets(
        first_fraction(splits["train"], fraction), num_events
      )
      regression = LinearRegression().fit(*scored["train"])
      for split in ("train", "val"):
        frames, targets = scored[split]
        tag = f"event_completion/{split}_{dataset_name}_{float(fraction)}_score"
        scalars[tag] = r_squared(targets, regression.predict(frames))
        constant[tag] = np.flatnonzero(~varies(targets)).tolist()
    _warn_of_constant_times(dataset_name, scalars, constant)
    used = {f"event_completion/{dataset_name}_used": counts(splits)}
    # The last tag is that of validation at the last fraction.
    return Result(value=scalars[tag], scalars=scalars, details=used)


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


def varies(targets: np.ndarray) -> np.ndarray:
  """Which of [F, E] targets are not the same for all frames: [E] bool."""
  return (targets != targets[0]).any(axis=0)


def r_squared(targets: np.ndarray, predictions: np.ndarray) -> float:
  """Mean coefficient of determination of several targets.

  Args:
    targets: [F, E].
    predictions: [F, E].

  Returns:
    The mean over the targets that vary, at most 1; NaN if none does, for there
    is no variance to explain.
  """
  varying = varies(targets)
  if not varying.any():
    return math.nan
  return float(r2_score(targets[:, varying], predictions[:, varying]))


def _frames_and_targets(
  videos: Sequence[LabeledVideo], num_events: int
) -> tuple[np.ndarray, np.ndarray]:
  frames, _ = frames_and_labels(videos)
  targets = [
    time_since_events(video.labels, num_events)[video.usable]
    for video in videos
  ]
  return frames, np.concatenate(targets)


def _warn_without_phase_0(
  dataset_name: str, splits: Mapping[str, Sequence[LabeledVideo]]
) -> None:
  videos = [video for split in splits.values() for video in split]
  if not any((video.labels == 0).any() for video in videos):
    warnings.warn(
      f"{dataset_name}: event_completion finds no frame of phase 0, whose end"
      " it takes as an event before each video; labels should count from 0",
      stacklevel=2,
    )


def _warn_of_constant_times(
  dataset_name: str,
  scalars: Mapping[str, float],
  constant: Mapping[str, Sequence[int]],
) -> None:
  """Tells of scores that are NaN, and of events that do not count."""
  undefined = [tag for tag, score in scalars.items() if math.isnan(score)]
  if undefined:
    warnings.warn(
      f"{dataset_name}: {', '.join(undefined)} is NaN, R² needs at least two"
      " frames that differ in their time since an event",
      stacklevel=2,
    )
  left_out = [
    f"the end of phase {', '.join(map(str, events))} in {tag}"
    for tag, events in constant.items()
    if events and tag not in undefined
  ]
  if left_out:
    warnings.warn(
      f"{dataset_name}: the time since an event is the same for all frames,"
      f" and it does not count: {'; '.join(left_out)}",
      stacklevel=2,
    )
