"""Transfers what is known of some videos' frames to the frames of another."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from embeddings.types import EmbeddedVideo
from visualization import dtw
from visualization.matching import align

# Real values count as the same if they differ by at most this share of the
# range of all.
_SAME_VALUE = 0.1
# Keeps weights finite where videos are equal.
_TINY = np.finfo(np.float32).tiny
# [N, D] embeddings of frames and [N] what is known of them, for each video.
_Known = list[tuple[np.ndarray, np.ndarray]]


def predict_labels(
  query: EmbeddedVideo, labeled: Sequence[EmbeddedVideo], use_dtw: bool = False
) -> tuple[np.ndarray, np.ndarray]:
  """Predict the phases of a video's frames from labeled videos.

  By nearest neighbors, a frame gets the phase of the nearest frame of all
  labeled videos. By dynamic time warping, each labeled video is aligned and
  votes for the phase of the frame that is matched; its votes count by the
  inverse of its mean distance along the alignment. Frames of labeled videos
  without a phase (-1) take no part, so that each frame of the query gets one.

  The confidence is 1 - (distance of the nearest labeled frame of this phase) /
  (distance of the nearest one of another phase): 0 if another phase is as near,
  1 if there is no other.

  Args:
    query: A video of L frames, with finite embeddings.
    labeled: Videos, at least one with a frame that has a phase.
    use_dtw: By dynamic time warping; otherwise by nearest neighbors.

  Returns:
    [L] int64 phases and [L] float64 confidences in [0, 1].

  Raises:
    ValueError: No frame has a phase.
  """
  known = [
    (video.embs[video.usable], video.labels[video.usable])
    for video in labeled
    if video.usable.any()
  ]
  found, weights = _match(query.embs, known, use_dtw)
  phases = np.unique(found)
  votes = [(weights * (found == phase)).sum(axis=0) for phase in phases]
  labels = phases[np.argmax(votes, axis=0)]
  return labels, _rate(query.embs, known, labels, tolerance=0)


def predict_missing(
  videos: Sequence[EmbeddedVideo], use_dtw: bool
) -> list[EmbeddedVideo]:
  """Give videos without phases those that are predicted from the others'.

  Args:
    videos: Videos with finite embeddings.
    use_dtw: See `predict_labels`.

  Returns:
    All videos, as they are if none has phases.
  """
  labeled = [video for video in videos if video.usable.any()]
  filled = []
  for video in videos:
    if labeled and not video.usable.any():
      labels, _ = predict_labels(video, labeled, use_dtw)
      video = dataclasses.replace(video, labels=labels, is_predicted=True)
    filled.append(video)
  return filled


def transfer_values(
  query: EmbeddedVideo,
  references: Sequence[EmbeddedVideo],
  values: Sequence[np.ndarray],
  use_dtw: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
  """Transfer a real number a frame, such as a sensor's, to a video.

  Frames are matched as in `predict_labels`; values of several aligned videos
  are averaged with the weights of their votes. In the confidence, values that
  differ by more than a tenth of the range of all are other values.

  Args:
    query: A video of L frames, with finite embeddings.
    references: Videos with values.
    values: Of each reference, [N] float; NaN = not known, these frames take no
      part.
    use_dtw: By dynamic time warping; otherwise by nearest neighbors.

  Returns:
    [L] float64 values and [L] float64 confidences in [0, 1].

  Raises:
    ValueError: No frame has a value.
  """
  are_known = [np.isfinite(column) for column in values]
  known = [
    (video.embs[rows], column[rows])
    for video, column, rows in zip(references, values, are_known, strict=True)
    if rows.any()
  ]
  found, weights = _match(query.embs, known, use_dtw)
  estimates = np.average(found, axis=0, weights=weights)
  spread = np.ptp(np.concatenate([column for _, column in known]))
  return estimates, _rate(query.embs, known, estimates, _SAME_VALUE * spread)


def _match(
  query: np.ndarray, known: _Known, use_dtw: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Find the [R, L] values that R videos give L frames, and their weights."""
  if not known:
    raise ValueError("Expected a frame of which something is known.")
  found, distances = [], []
  for embs, values in known:
    match, cost = align(query, embs, use_dtw)
    found.append(values[match])
    distances.append(np.sqrt(cost[np.arange(len(match)), match]))
  found, distances = np.stack(found), np.stack(distances)
  if use_dtw:
    weights = 1 / (distances.mean(axis=1, keepdims=True) + _TINY)
    return found, np.broadcast_to(weights, found.shape)
  return found, np.arange(len(found))[:, None] == distances.argmin(axis=0)


def _rate(
  query: np.ndarray, known: _Known, values: np.ndarray, tolerance: float
) -> np.ndarray:
  """Compute the confidence of [L] values, see `predict_labels`.

  Known values count as the same if they differ by at most the tolerance.
  """
  own, other = np.full((2, len(values)), np.inf)
  for embs, column in known:
    distances = np.sqrt(dtw.squared_distances(query, embs))
    is_same = np.abs(column - values[:, None]) <= tolerance
    own = np.minimum(own, np.where(is_same, distances, np.inf).min(axis=1))
    other = np.minimum(other, np.where(is_same, np.inf, distances).min(axis=1))
  ratio = np.divide(own, other, out=np.ones_like(own), where=other > 0)
  return np.clip(1 - ratio, 0, 1)
