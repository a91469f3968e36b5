"""Kendall's tau: whether nearest neighbours come in the order of time."""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from easydict import EasyDict

from evaluation.result import Result
from evaluation.usable_frames import finite_frames

# Squared distances that differ by less, relative to the squared norms, are
# equal up to rounding; the earlier frame is the neighbour then.
_TOLERANCE = 1e-12
# Frames whose distances to all frames are in memory at a time.
_CHUNK = 64
# Pairs of frames whose order in all videos is compared at a time.
_CHUNK_PAIRS = 4096


class KendallsTau:
  """Agreement of two videos' order of time, paper section 4.1. Needs no labels.

  For every ordered pair of videos of a split, the frames of the first are
  matched to their nearest neighbours in the second; tau-b compares the order
  of the matches with the order of the frames. Headline: validation.
  """

  def __init__(self, config: EasyDict) -> None:
    """Takes the two `EVAL.KENDALLS_TAU_*` values from the configuration."""
    self._stride = config.EVAL.KENDALLS_TAU_STRIDE
    self._distance = config.EVAL.KENDALLS_TAU_DISTANCE

  def evaluate_embeddings(
    self, dataset_name: str, train: Mapping, val: Mapping
  ) -> Result:
    """Computes the mean tau of each split.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos, as `embeddings.load` returns them.
      val: Validation videos, likewise.

    Returns:
      Scalars `kendalls_tau/{d}_{train,val}_align_tau`, in [-1, 1]; NaN, with a
      warning, when no pair of videos has a defined tau.
    """
    taus = {
      split: self._mean_tau(dataset_name, split, videos["embs"])
      for split, videos in (("train", train), ("val", val))
    }
    return Result(
      value=taus["val"],
      scalars={
        f"kendalls_tau/{dataset_name}_{split}_align_tau": tau
        for split, tau in taus.items()
      },
    )

  def _mean_tau(
    self, dataset_name: str, split: str, embs: Sequence[np.ndarray]
  ) -> float:
    finite = finite_frames(dataset_name, split, embs)
    videos = [
      video[ok][:: self._stride]
      for video, ok in zip(embs, finite, strict=True)
      if ok.any()
    ]
    taus = pairwise_taus(videos, self._distance)
    defined = taus[~np.isnan(taus)]
    if not len(defined):
      warnings.warn(
        f"{dataset_name}: Kendall's tau of {split} is NaN, none of its"
        f" {len(videos)} videos with finite embeddings orders the frames of"
        " another",
        stacklevel=2,
      )
      return math.nan
    return float(defined.mean())


def pairwise_taus(videos: Sequence[np.ndarray], distance: str) -> np.ndarray:
  """Computes Kendall's tau-b of every ordered pair of videos.

  Args:
    videos: V arrays [L_i, D] of embeddings, finite and not empty.
    distance: `sqeuclidean` or `cosine`. The cosine distance to a zero vector,
      which is undefined, is taken as that of a right angle.

  Returns:
    [V, V]; row i holds the taus of video i's frames matched in each video. NaN
    where tau is not defined (all matches are one frame) and on the diagonal.
  """
  taus = np.full((len(videos), len(videos)), math.nan)
  if len(videos) < 2:
    return taus
  frames = _comparable(np.concatenate(videos).astype(np.float64), distance)
  ends = np.cumsum([len(video) for video in videos])
  starts = ends - [len(video) for video in videos]
  neighbours = nearest_neighbours(frames, starts)
  for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
    taus[i] = tau_b(neighbours[start:end])
  np.fill_diagonal(taus, math.nan)
  return taus


def _comparable(frames: np.ndarray, distance: str) -> np.ndarray:
  """Moves frames to where squared Euclidean distances order as `distance`."""
  if distance == "cosine":
    norms = np.linalg.norm(frames, axis=1, keepdims=True)
    # The squared distance of unit vectors is twice their cosine distance.
    frames = frames / np.where(norms > 0, norms, 1)
  # A common offset would cost the distances their last digits.
  return frames - frames.mean(axis=0)


def nearest_neighbours(frames: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """Finds each frame's nearest frame in each video.

  Args:
    frames: [F, D], the videos one after another.
    starts: [V], the first row of each video.

  Returns:
    [F, V] int32 index of the neighbour in its video; of equals, the first.
  """
  lengths = np.diff(starts, append=len(frames))
  index_in_video = np.arange(len(frames)) - np.repeat(starts, lengths)
  index_in_video = index_in_video.astype(np.int32)
  no_candidate = np.int32(len(frames))
  all_norms = (frames**2).sum(axis=1)
  neighbours = np.empty((len(frames), len(starts)), np.int32)
  for start in range(0, len(frames), _CHUNK):
    rows = slice(start, start + _CHUNK)
    norms = all_norms[rows, np.newaxis] + all_norms
    distances = norms - (2 * frames[rows]) @ frames.T
    minima = np.minimum.reduceat(distances, starts, axis=1)
    limits = np.repeat(minima, lengths, axis=1) + _TOLERANCE * norms
    candidates = np.where(distances <= limits, index_in_video, no_candidate)
    neighbours[rows] = np.minimum.reduceat(candidates, starts, axis=1)
  return neighbours


def tau_b(neighbours: np.ndarray) -> np.ndarray:
  """Computes Kendall's tau-b between 0..Q-1 and each column.

  (concordant - discordant) / sqrt(pairs * pairs not tied in the column): the
  frames themselves have no ties.

  Args:
    neighbours: [Q, V] int32, a column for each video.

  Returns:
    [V] taus in [-1, 1]; NaN for a column without two different numbers.
  """
  earlier, later = np.triu_indices(len(neighbours), 1)
  score = np.zeros(neighbours.shape[1], np.int64)
  untied = np.zeros(neighbours.shape[1], np.int64)
  for start in range(0, len(earlier), _CHUNK_PAIRS):
    pairs = slice(start, start + _CHUNK_PAIRS)
    signs = np.sign(neighbours[later[pairs]] - neighbours[earlier[pairs]])
    score += signs.sum(axis=0)
    untied += np.count_nonzero(signs, axis=0)
  # Without an untied pair there is no order to compare: 0 / NaN is NaN.
  return score / np.sqrt(len(earlier) * np.where(untied > 0, untied, math.nan))
