"""Transfers what is known of some videos' frames to the frames of another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embeddings.types import EmbeddedVideo
from visualization import dtw
from visualization.matching import align

# Real values count as the same if they differ by at most this share of the
# range of all.
_SAME_VALUE = 0.1
# Keeps weights finite where videos are equal.
_TINY = np.finfo(np.float32).tiny


class _Reference(NamedTuple):
  """The frames of a video of which something is known.

  Attributes:
    embs: [N, D] embeddings.
    values: [N] what is known.
  """

  embs: np.ndarray
  values: np.ndarray


def predict_labels(
  query: EmbeddedVideo, labeled: Sequence[EmbeddedVideo], use_dtw: bool = False
) -> tuple[np.ndarray, np.ndarray]:
  """Predict the phase of each frame of a video from labeled videos.

  Frames of labeled videos without a phase (-1) take no part, so that each frame
  of the query gets one.

  By nearest neighbors, a frame gets the phase of the nearest frame of all
  labeled videos. By dynamic time warping, each labeled video is aligned and
  votes for the phase of the frame that is matched; its votes count by the
  inverse of its mean distance along the alignment.

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
  references = [
    _Reference(video.embs[video.usable], video.labels[video.usable])
    for video in labeled
    if video.usable.any()
  ]
  found, weights = _match(query.embs, references, use_dtw)
  phases = np.unique(found)
  votes = [(weights * (found == phase)).sum(axis=0) for phase in phases]
  labels = phases[np.argmax(votes, axis=0)]
  return labels, _rate(query.embs, references, labels, tolerance=0)


def transfer_values(
  query: EmbeddedVideo,
  references: Sequence[EmbeddedVideo],
  values: Sequence[np.ndarray],
  use_dtw: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
  """Transfer a real number per frame, such as a sensor's, to a video.

  Frames are matched as in `predict_labels`. By dynamic time warping, several
  videos are averaged with the weights of their votes. In the confidence, values
  that differ by more than a tenth of the range of all are other values.

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
  known = [
    _Reference(video.embs[is_known], column[is_known])
    for video, column in zip(references, values, strict=True)
    if (is_known := video.finite & np.isfinite(column)).any()
  ]
  found, weights = _match(query.embs, known, use_dtw)
  estimates = np.average(found, axis=0, weights=weights)
  spread = np.ptp(np.concatenate([reference.values for reference in known]))
  return estimates, _rate(query.embs, known, estimates, _SAME_VALUE * spread)


def _match(
  query: np.ndarray, references: Sequence[_Reference], use_dtw: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Find what each of R references says of each frame of the query.

  Args:
    query: [L, D] embeddings.
    references: The references.
    use_dtw: See `predict_labels`.

  Returns:
    [R, L] values and [R, L] weights.
  """
  if not references:
    raise ValueError("Expected a frame of which something is known.")
  found, distances = [], []
  for embs, values in references:
    match, cost = align(query, embs, use_dtw)
    found.append(values[match])
    distances.append(np.sqrt(cost[np.arange(len(match)), match]))
  found, distances = np.stack(found), np.stack(distances)
  if use_dtw:
    weights = 1 / (distances.mean(axis=1, keepdims=True) + _TINY)
    return found, np.broadcast_to(weights, found.shape)
  nearest = distances.argmin(axis=0)
  return found, np.arange(len(found))[:, None] == nearest


def _rate(
  query: np.ndarray,
  references: Sequence[_Reference],
  values: np.ndarray,
  tolerance: float,
) -> np.ndarray:
  """Rate the [L] values that the frames got, see `predict_labels`.

  Args:
    query: [L, D] embeddings.
    references: What is known.
    values: [L] of the query's frames.
    tolerance: How far a reference's value may be off and still count as equal.

  Returns:
    [L] confidences.
  """
  own, other = np.full((2, len(values)), np.inf)
  for embs, known in references:
    distances = np.sqrt(dtw.squared_distances(query, embs))
    is_same = np.abs(known - values[:, None]) <= tolerance
    own = np.minimum(own, np.where(is_same, distances, np.inf).min(axis=1))
    other = np.minimum(other, np.where(is_same, np.inf, distances).min(axis=1))
  ratio = np.divide(own, other, out=np.ones_like(own), where=other > 0)
  return np.clip(1 - ratio, 0, 1)
