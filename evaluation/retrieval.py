"""Retrieval: whether the nearest frames of other videos are of one's phase."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from easydict import EasyDict

from evaluation.nearest_neighbors import distances_in_chunks, joined
from evaluation.result import Result
from evaluation.usable_frames import LabeledVideo, counts, labeled_splits


class Retrieval:
  """Average precision at K of fine-grained frame retrieval.

  For every frame of a validation video, the share of its K nearest frames among
  the other validation videos that are of its phase; averaged over the frames of
  a video, then over videos (AP@K of CARL, "Frame-wise Action Representations
  for Long Videos via Sequence Contrastive Learning", 2022, section 4.2, and of
  LAV, "Learning by Aligning Videos in Time", 2021). Videos are strided as for
  Kendall's tau, and frames without label are neither asked for nor found.
  Headline: the last K.
  """

  def __init__(self, config: EasyDict) -> None:
    """Takes `EVAL.RETRIEVAL_K` and the two `EVAL.KENDALLS_TAU_*` values."""
    self._ks = config.EVAL.RETRIEVAL_K
    self._stride = config.EVAL.KENDALLS_TAU_STRIDE
    self._distance = config.EVAL.KENDALLS_TAU_DISTANCE

  def evaluate_embeddings(
    self, dataset_name: str, train: Mapping, val: Mapping
  ) -> Result:
    """Computes the precision for each K.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Not used.
      val: Validation videos, as `embeddings.load` returns them.

    Returns:
      Scalars `retrieval/val_{d}_ap@{K}`, in [0, 1]. A K above the number of
      frames that all other videos of some video have is left out with a
      warning; empty, with a warning, without labels or with a single video.
    """
    splits = labeled_splits(dataset_name, val=val)
    if splits is None:
      return Result.empty()
    if len(splits["val"]) == 1:
      warnings.warn(
        f"{dataset_name}: retrieval is skipped, it needs at least two"
        " validation videos with labels and there is one",
        stacklevel=2,
      )
      return Result.empty()
    videos = [_strided(video, self._stride) for video in splits["val"]]
    lengths = [len(labels) for _, labels in videos]
    ks = _possible_ks(dataset_name, self._ks, sum(lengths) - max(lengths))
    if not ks:
      return Result.empty()
    matches = _matches_of_nearest(videos, max(ks), self._distance)
    ends = np.cumsum(lengths)[:-1]
    scalars = {
      f"retrieval/val_{dataset_name}_ap@{k}": float(
        np.mean([rows[:, :k].mean() for rows in np.split(matches, ends)])
      )
      for k in ks
    }
    return Result(
      value=list(scalars.values())[-1],
      scalars=scalars,
      details={f"retrieval/{dataset_name}_used": counts(splits, self._stride)},
    )


def _strided(video: LabeledVideo, stride: int) -> tuple[np.ndarray, np.ndarray]:
  return (
    video.embs[video.usable][::stride],
    video.labels[video.usable][::stride],
  )


def _possible_ks(
  dataset_name: str, ks: Sequence[int], num_candidates: int
) -> list[int]:
  too_large = [k for k in ks if k > num_candidates]
  if too_large:
    warnings.warn(
      f"{dataset_name}: retrieval of {', '.join(map(str, too_large))} frames is"
      f" left out, the other validation videos have {num_candidates} for some"
      " video",
      stacklevel=2,
    )
  return [k for k in ks if k <= num_candidates]


def _matches_of_nearest(
  videos: Sequence[tuple[np.ndarray, np.ndarray]], k: int, distance: str
) -> np.ndarray:
  """Whether the k nearest frames of other videos are of the same phase.

  Args:
    videos: [L_i, D] embeddings and [L_i] labels of each.
    k: At most the number of frames of all other videos.
    distance: `sqeuclidean` or `cosine`.

  Returns:
    [F, k] bool, the nearest first; of equals, the earlier video and frame.
  """
  frames, starts = joined([embs for embs, _ in videos], distance)
  labels = np.concatenate([labels for _, labels in videos])
  video_of = np.searchsorted(starts, np.arange(len(frames)), side="right")
  matches = np.empty((len(frames), k), bool)
  for rows, distances in distances_in_chunks(frames):
    distances[video_of[rows, np.newaxis] == video_of] = np.inf
    nearest = distances.argsort(axis=1, kind="stable")[:, :k]
    matches[rows] = labels[nearest] == labels[rows, np.newaxis]
  return matches
