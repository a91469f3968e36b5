"""Kendall's tau: whether nearest neighbors come in the order of time."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from easydict import EasyDict

from embeddings.types import AnyVideos
from evaluation import plots
from evaluation.frame_selection import strided_videos, warn
from evaluation.metric import Metric
from evaluation.nearest_neighbors import join_videos, nearest_neighbors
from evaluation.result import Result

# Pairs of videos that are named because they are aligned worst.
_NUM_WORST = 5


class KendallsTau:
  """Agreement of two videos' order of time, paper section 4.1. Needs no labels.

  For every ordered pair of videos of a split, the frames of the first are
  matched to their nearest neighbors in the second; tau-b compares the order
  of the matches with the order of the frames. Headline: validation.
  """

  def __init__(self, config: EasyDict) -> None:
    self._stride = config.EVAL.KENDALLS_TAU_STRIDE
    self._distance = config.EVAL.KENDALLS_TAU_DISTANCE

  def evaluate_embeddings(
    self, dataset_name: str, train: AnyVideos, val: AnyVideos
  ) -> Result:
    """Compute the mean tau of each split.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos.
      val: Validation videos.

    Returns:
      Metrics `kendalls_tau/{d}_{train,val}_align_tau`, in [-1, 1]; NaN, with a
      warning, when no pair of videos has a defined tau. Details of each split:
      numbers of videos and frames, and what `describe` finds. Images of
      the similarity of the first two validation videos, and of the pair with
      the lowest tau.
    """
    metrics, details, images = [], {}, {}
    for split, videos in (("train", train), ("val", val)):
      strided = strided_videos(dataset_name, split, videos, self._stride)
      names, embs = [v.name for v in strided], [v.embs for v in strided]
      taus = pairwise_taus(embs, self._distance)
      defined = taus[~np.isnan(taus)]
      mean = float(defined.mean()) if len(defined) else math.nan
      if not len(defined):
        warn(
          f"{dataset_name}: Kendall's tau of {split} is NaN, none of its"
          f" {len(embs)} videos with finite embeddings orders another's frames"
          f" at EVAL.KENDALLS_TAU_STRIDE={self._stride}"
        )
      metric = Metric("kendalls_tau", split, dataset_name, "align_tau", mean)
      metrics.append(metric)
      used = {"videos": len(embs), "frames": sum(map(len, embs))}
      found = used | describe(names, taus)
      details[f"kendalls_tau/{dataset_name}_{split}"] = found
    if len(embs) > 1:  # Of the validation videos, which come last.
      pairs = {"similarity": (0, 1)}
      if len(defined):
        worst = np.unravel_index(np.nanargmin(taus), taus.shape)
        pairs["similarity_worst"] = worst
      for name, pair in pairs.items():
        shown = [embs[i] for i in pair], [names[i] for i in pair]
        draw = functools.partial(plots.draw_similarity, *shown, self._distance)
        images[f"kendalls_tau/{dataset_name}_val_{name}"] = draw
    return Result(mean, metrics, details, images)


def describe(names: Sequence[str], taus: np.ndarray) -> dict[str, Any]:
  """Find which videos a low tau comes from.

  Args:
    names: V different names of videos.
    taus: [V, V], as `pairwise_taus` gives them.

  Returns:
    `video_taus`, the mean tau of the pairs that each video is in, by name, the
    lowest first; `worst_pairs`, up to five of the lowest, as lists of query,
    candidate and tau. What is not defined is left out.
  """
  both = np.concatenate([taus, taus.T], axis=1)
  by_video = {
    name: float(np.nanmean(row))
    for name, row in zip(names, both, strict=True)
    if not np.isnan(row).all()
  }
  order = np.argsort(taus, axis=None, kind="stable")[:_NUM_WORST]  # NaN last.
  worst = np.transpose(np.unravel_index(order, taus.shape))
  pairs = [[names[i], names[j], float(taus[i, j])] for i, j in worst]
  return {
    "video_taus": dict(sorted(by_video.items(), key=lambda item: item[1])),
    "worst_pairs": [pair for pair in pairs if not math.isnan(pair[2])],
  }


def pairwise_taus(videos: Sequence[np.ndarray], distance: str) -> np.ndarray:
  """Compute Kendall's tau-b of every ordered pair of videos.

  V videos of L frames in D dimensions take time O(V^2 L^2 D), as their nearest
  neighbors do, and memory O(V L D + V^2).

  Args:
    videos: V arrays [L_i, D] of embeddings, finite and not empty.
    distance: `sqeuclidean` or `cosine`. The cosine distance to a zero vector,
      which is undefined, is taken as that of a right angle.

  Returns:
    [V, V]; row i holds the taus of video i's frames matched in each video. NaN
    where tau is not defined (all matches are one frame) and on the diagonal.
  """
  if len(videos) < 2:
    return np.full((len(videos), len(videos)), math.nan)
  found = nearest_neighbors(*join_videos(videos, distance))
  taus = np.array([tau_b(neighbors) for neighbors in found])
  np.fill_diagonal(taus, math.nan)
  return taus


def tau_b(neighbors: np.ndarray) -> np.ndarray:
  """Compute Kendall's tau-b between 0..Q-1 and each column.

  (concordant - discordant) / sqrt(pairs * pairs not tied in the column): the
  frames themselves have no ties. Time O(Q^2 V), memory O(Q V).

  Args:
    neighbors: [Q, V] of a signed type that holds Q, a column for each video.

  Returns:
    [V] taus in [-1, 1]; NaN for a column without two different numbers.
  """
  num_frames, num_videos = neighbors.shape
  score = np.zeros(num_videos, np.int64)
  untied = np.zeros(num_videos, np.int64)
  for lag in range(1, num_frames):
    signs = np.sign(neighbors[lag:] - neighbors[:-lag])
    score += signs.sum(axis=0, dtype=signs.dtype)
    untied += np.abs(signs).sum(axis=0, dtype=signs.dtype)
  pairs = num_frames * (num_frames - 1) // 2
  # Without an untied pair there is no order to compare: 0 / NaN is NaN.
  return score / np.sqrt(pairs * np.where(untied > 0, untied, math.nan))
