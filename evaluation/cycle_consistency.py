"""Cycle-consistency: whether frames return to themselves through others."""

import math
from collections.abc import Sequence

import numpy as np
from easydict import EasyDict

from embeddings.types import AnyVideos
from evaluation.frame_selection import strided_videos, warn
from evaluation.metric import Metric
from evaluation.nearest_neighbors import join_videos, nearest_neighbors
from evaluation.result import Result


class CycleConsistency:
  """Share of validation frames that cycles of nearest neighbors bring back.

  A frame of video u goes to its nearest frame in v and from there to the
  nearest in u (2way), or through v and a third video w (3way); it is consistent
  if it comes back to itself (TCC, section 3.1; the measure is that of XIRL,
  "Cross-Embodiment Inverse Reinforcement Learning", 2021). The error is how far
  from itself a 2way cycle ends, 0 where it returns, in parts of u's length:
  lower is better. Each is the mean over all v (and w), then over the frames of
  u, then over u. Videos are strided as for Kendall's tau; it is easier to
  return to one of few frames, so compare at one stride only, and a video of a
  single frame, to which all cycles return, is left out. Needs no labels.
  Headline: 2way.
  """

  def __init__(self, config: EasyDict) -> None:
    self._stride = config.EVAL.KENDALLS_TAU_STRIDE
    self._distance = config.EVAL.KENDALLS_TAU_DISTANCE

  def evaluate_embeddings(
    self, dataset_name: str, train: AnyVideos, val: AnyVideos
  ) -> Result:
    """Compute the shares and the error.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Not used.
      val: Validation videos.

    Returns:
      Metrics `cycle_consistency/val_{d}_2way` and `..._3way`, the shares, and
      `..._error`, the mean distance between both ends of 2way cycles divided by
      the video's length, in [0, 1]; NaN, with a warning, with fewer than two
      (for 3way, three) videos.
    """
    strided = strided_videos(dataset_name, "val", val, self._stride)
    videos = [video.embs for video in strided if len(video.embs) > 1]
    if len(videos) < len(strided):
      warn(
        f"{dataset_name}: cycle_consistency leaves out"
        f" {len(strided) - len(videos)} of {len(strided)} val videos, which"
        f" have a single frame at EVAL.KENDALLS_TAU_STRIDE={self._stride}"
      )
    if len(videos) < 3:
      warn(
        f"{dataset_name}: cycle_consistency needs 3 videos, and 2 where a cycle"
        f" has no third; there are {len(videos)} with finite embeddings of two"
        " frames or more"
      )
    values = measure_cycles(videos, self._distance)
    used = {"val": {"videos": len(videos), "frames": sum(map(len, videos))}}
    place = ("cycle_consistency", "val", dataset_name)
    metrics = [Metric(*place, *item) for item in values.items()]
    details = {f"cycle_consistency/{dataset_name}_used": used}
    return Result(values["2way"], metrics, details)


def measure_cycles(
  videos: Sequence[np.ndarray], distance: str
) -> dict[str, float]:
  """Follow cycles through one and through two other videos.

  V videos of L frames in D dimensions take time O(V^2 L^2 D) for the nearest
  neighbors and O(V^3 L) for the cycles. Memory is O(V L D), and two bytes for
  each of the V^2 L neighbors (four, if a video has more than 32768 frames):
  cycles of three visit all of them in no order.

  Args:
    videos: V arrays [L_i, D] of embeddings, finite, of two frames or more.
    distance: `sqeuclidean` or `cosine`.

  Returns:
    `2way` and `3way`, the shares of cycles that end where they began, and
    `error`, the mean distance of end and beginning of the 2way cycles divided
    by the video's length; NaN with fewer than two (for 3way, three) videos.
  """
  measured = {"2way": [], "3way": [], "error": []}
  if len(videos) < 2:
    return dict.fromkeys(measured, math.nan)
  frames, starts = join_videos(videos, distance)
  neighbors = list(nearest_neighbors(frames, starts))
  for i, second in enumerate(neighbors):
    times = np.arange(len(second), dtype=second.dtype)[:, np.newaxis]
    back = np.concatenate([of_video[:, i] for of_video in neighbors])
    others = np.delete(np.arange(len(videos)), i)
    ends = back[starts[others] + second[:, others]]
    measured["2way"].append(np.mean(ends == times))
    measured["error"].append(np.mean(np.abs(ends - times)) / len(times))
    if len(others) > 1:
      num_returned = 0
      for j in others:
        returned = back[starts + neighbors[j][second[:, j]]] == times
        # The third video is another one than the first and the second.
        returned[:, [i, j]] = False
        num_returned += np.count_nonzero(returned)
      num_cycles = len(times) * len(others) * (len(others) - 1)
      measured["3way"].append(num_returned / num_cycles)
  return {
    name: float(np.mean(by_video)) if by_video else math.nan
    for name, by_video in measured.items()
  }
