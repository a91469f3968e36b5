"""Event completion: how far each key event of the action is away in time.

The paper calls it phase progression.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from easydict import EasyDict
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from threadpoolctl import threadpool_limits

from data.subsets import first_fraction
from embeddings.types import AnyVideos, EmbeddedVideo
from evaluation import frame_selection
from evaluation.metric import Metric
from evaluation.result import Result


class EventCompletion:
  """R² of a linear regression from embeddings to time since each event.

  Phase progression in the paper, section 4.1. The regression is fitted to the
  first part of the labeled training videos, for each of
  `EVAL.CLASSIFICATION_FRACTIONS`, and scored on the frames it was fitted to
  and on all validation frames; R² is averaged over the events whose time
  varies. Headline: validation at the last fraction.
  """

  def __init__(self, config: EasyDict) -> None:
    self._fractions = [float(f) for f in config.EVAL.CLASSIFICATION_FRACTIONS]

  def evaluate_embeddings(
    self, dataset_name: str, train: AnyVideos, val: AnyVideos
  ) -> Result:
    """Compute the scores.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos.
      val: Validation videos.

    Returns:
      Metrics `event_completion/{train,val}_{d}_{f}_score`, at most 1; NaN,
      with a warning, where no event's time varies; with another where that of
      some does not. Empty, with a warning, when a split has no labels or all
      labels are phase 0.
    """
    splits = frame_selection.labeled_videos(dataset_name, train=train, val=val)
    if splits is None:
      return Result.empty()
    num_events = _count_events(dataset_name, splits["train"] + splits["val"])
    if num_events == 0:
      return Result.empty()
    validation = _frames_and_targets(splits["val"], num_events)
    metrics, constant = [], {}
    for fraction in self._fractions:
      used = first_fraction(splits["train"], fraction)
      fitted = _frames_and_targets(used, num_events)
      # The threads of BLAS wait busily for each other, on a busy machine for
      # minutes, and a matrix this small needs none.
      with threadpool_limits(1, "blas"):
        regression = LinearRegression().fit(*fitted)
      for split, (frames, targets) in (("train", fitted), ("val", validation)):
        score = r_squared(targets, regression.predict(frames))
        name = f"{fraction}_score"
        metric = Metric("event_completion", split, dataset_name, name, score)
        metrics.append(metric)
        constant[metric.tag] = np.flatnonzero(~varies(targets))
    _warn_of_constant(dataset_name, constant, num_events)
    used = frame_selection.count_frames(**splits)
    details = {f"event_completion/{dataset_name}_used": used}
    return Result(score, metrics, details)


def time_since_events(labels: np.ndarray, num_events: int) -> np.ndarray:
  """Compute how long ago each phase ended, as a fraction of the video.

  A phase that the video lacks ends where the last earlier one ended, and
  before frame 0 when it has no earlier one.

  Args:
    labels: [L] phases from 0 to `num_events`, -1 where there is none.
    num_events: Ends of phases to give; the last phase's is none.

  Returns:
    [L, num_events] float64, (frame - last frame of the phase) / L: negative
    before the event, at most 1.
  """
  last_frames = np.full(num_events, -1)
  for phase in range(num_events):
    frames = np.flatnonzero(labels == phase)
    last_frames[phase:] = frames[-1] if len(frames) else last_frames[phase]
  times = np.arange(len(labels))[:, np.newaxis]
  return (times - last_frames) / len(labels)


def varies(targets: np.ndarray) -> np.ndarray:
  """Find which of [F, E] targets differ between frames: [E] bool."""
  return (targets != targets[0]).any(axis=0)


def r_squared(targets: np.ndarray, predictions: np.ndarray) -> float:
  """Compute the mean coefficient of determination of several targets.

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
  videos: Sequence[EmbeddedVideo], num_events: int
) -> tuple[np.ndarray, np.ndarray]:
  frames, _ = frame_selection.frames_and_labels(videos)
  targets = [time_since_events(v.labels, num_events)[v.usable] for v in videos]
  return frames, np.concatenate(targets)


def _warn_of_constant(
  dataset_name: str, constant: Mapping[str, np.ndarray], num_events: int
) -> None:
  """Warn of events, by tag, since which the time is equal for all frames."""
  undefined = [t for t, phases in constant.items() if len(phases) == num_events]
  left_out = [
    f"the end of phase {', '.join(map(str, phases))} in {tag}"
    for tag, phases in constant.items()
    if 0 < len(phases) < num_events
  ]
  if undefined:
    frame_selection.warn(
      f"{dataset_name}: {', '.join(undefined)} is NaN, R² needs at least two"
      " frames that differ in their time since an event"
    )
  if left_out:
    frame_selection.warn(
      f"{dataset_name}: the time since an event is the same for all frames, and"
      f" it does not count: {'; '.join(left_out)}"
    )


def _count_events(dataset_name: str, videos: Sequence[EmbeddedVideo]) -> int:
  """Count the events, and warn of labels in which there are none or gaps."""
  num_events = max(video.labels.max() for video in videos)
  if num_events == 0:
    frame_selection.warn(
      f"{dataset_name}: event_completion is skipped, all frames are of phase 0"
      " and an event lies between two phases"
    )
  elif not any((video.labels == 0).any() for video in videos):
    frame_selection.warn(
      f"{dataset_name}: event_completion finds no frame of phase 0, whose end"
      " it takes as an event before each video; labels should count from 0"
    )
  return num_events
