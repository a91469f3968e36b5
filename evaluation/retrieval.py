"""Retrieval: whether the nearest frames of other videos are of one's phase."""

from collections.abc import Sequence

import numpy as np
from easydict import EasyDict

from embeddings.types import AnyVideos, EmbeddedVideo
from evaluation import frame_selection
from evaluation.metric import Metric
from evaluation.nearest_neighbors import (
  chunk_rows,
  find_near,
  join_videos,
  round_frames,
  square_norms,
)
from evaluation.result import Result

# A squared distance that no rounded frames have.
_FAR = 1e30


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
    self._ks = config.EVAL.RETRIEVAL_K
    self._stride = config.EVAL.KENDALLS_TAU_STRIDE
    self._distance = config.EVAL.KENDALLS_TAU_DISTANCE

  def evaluate_embeddings(
    self, dataset_name: str, train: AnyVideos, val: AnyVideos
  ) -> Result:
    """Compute the precision for each K.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Not used.
      val: Validation videos.

    Returns:
      Metrics `retrieval/val_{d}_ap@{K}`, in [0, 1]. A K above the number of
      frames that all other videos of some video have is left out with a
      warning; empty, with a warning, without labels or with a single video.
    """
    splits = frame_selection.labeled_videos(dataset_name, val=val)
    if splits is None:
      return Result.empty()
    if len(splits["val"]) == 1:
      frame_selection.warn(
        f"{dataset_name}: retrieval is skipped, it needs at least two"
        " validation videos with labels and there is one"
      )
      return Result.empty()
    rows = [np.flatnonzero(v.usable)[:: self._stride] for v in splits["val"]]
    videos = [v.select(r) for v, r in zip(splits["val"], rows, strict=True)]
    lengths = [len(video.labels) for video in videos]
    num_candidates = sum(lengths) - max(lengths)
    ks = [k for k in self._ks if k <= num_candidates]
    if too_large := [str(k) for k in self._ks if k > num_candidates]:
      frame_selection.warn(
        f"{dataset_name}: retrieval of {', '.join(too_large)} frames is left"
        f" out, the other videos of a validation video have {num_candidates}"
      )
    if not ks:
      return Result.empty()
    matches = _match_nearest(videos, max(ks), self._distance)
    of_videos = np.split(matches, np.cumsum(lengths)[:-1])
    metrics = []
    for k in ks:
      value = float(np.mean([rows[:, :k].mean() for rows in of_videos]))
      metrics.append(Metric("retrieval", "val", dataset_name, f"ap@{k}", value))
    used = frame_selection.count_frames(val=videos)
    return Result(value, metrics, {f"retrieval/{dataset_name}_used": used})


def _match_nearest(
  videos: Sequence[EmbeddedVideo], k: int, distance: str
) -> np.ndarray:
  """Find whether the k nearest frames of other videos are of the same phase.

  V videos of L frames in D dimensions, F = V L, take time O(F^2 D) in float32,
  and O(D) in float64 for each pair of frames of which float32 can't tell
  whether it is among the k nearest. Memory is O(F (D + k)).

  Args:
    videos: The videos, all of whose frames are usable.
    k: At most the number of frames of all other videos.
    distance: `sqeuclidean` or `cosine`.

  Returns:
    [F, k] bool, the nearest first; of equals, the earlier video and frame.
  """
  frames, starts = join_videos([video.embs for video in videos], distance)
  labels = np.concatenate([video.labels for video in videos])
  rounded = round_frames(frames)
  norms = square_norms(rounded)
  matches = np.empty((len(frames), k), bool)
  for start, video in zip(starts, videos, strict=True):
    own = np.arange(start, start + len(video.labels))
    norms_of_others = norms.copy()
    norms_of_others[own] = _FAR
    for part in chunk_rows(len(own), len(frames)):
      near = find_near(rounded[own[part]], rounded, norms_of_others, k)
      for query, row in zip(own[part], near, strict=True):
        found = np.flatnonzero(row)
        distances = square_norms(frames[found] - frames[query])
        nearest = found[distances.argsort(kind="stable")[:k]]
        matches[query] = labels[nearest] == labels[query]
  return matches
