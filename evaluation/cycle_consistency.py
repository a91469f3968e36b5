"""Cycle-consistency: whether frames return to themselves through others."""

import math
import warnings

import numpy as np
from easydict import EasyDict

from evaluation.frame_selection import AnyVideos, strided_videos
from evaluation.metric import Metric
from evaluation.nearest_neighbors import join_videos, nearest_neighbors
from evaluation.result import Result

# Frames x videos x videos whose cycles are in memory at a time.
_MAX_CYCLES = 2**21


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
    """Computes the shares and the error.

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
    videos = self._videos_with_order(dataset_name, val)
    if len(videos) < 3:
      warnings.warn(
        f"{dataset_name}: cycle_consistency needs 3 videos, and 2 where a cycle"
        f" has no third; there are {len(videos)} with finite embeddings of two"
        " frames or more",
        stacklevel=2,
      )
    values = dict.fromkeys(("2way", "3way", "error"), math.nan)
    if len(videos) >= 2:
      frames, starts = join_videos(videos, self._distance)
      neighbors = nearest_neighbors(frames, starts)
      values["2way"], values["error"] = two_way(neighbors, starts)
      if len(videos) >= 3:
        values["3way"] = three_way(neighbors, starts)
    used = {"val": {"videos": len(videos), "frames": sum(map(len, videos))}}
    return Result(
      values["2way"],
      [
        Metric("cycle_consistency", "val", dataset_name, name, value)
        for name, value in values.items()
      ],
      {f"cycle_consistency/{dataset_name}_used": used},
    )

  def _videos_with_order(
    self, dataset_name: str, val: AnyVideos
  ) -> list[np.ndarray]:
    videos = strided_videos(dataset_name, "val", val, self._stride)
    kept = [video.embs for video in videos if len(video.embs) > 1]
    if len(kept) < len(videos):
      warnings.warn(
        f"{dataset_name}: cycle_consistency leaves out"
        f" {len(videos) - len(kept)} of {len(videos)} val videos, which have a"
        f" single frame at EVAL.KENDALLS_TAU_STRIDE={self._stride}",
        stacklevel=2,
      )
    return kept


def two_way(neighbors: np.ndarray, starts: np.ndarray) -> tuple[float, float]:
  """Goes to another video and back.

  Args:
    neighbors: [F, V] index, in each of at least two videos, of each frame's
      nearest frame.
    starts: [V], the first row of each video.

  Returns:
    The share of cycles that end where they began, and the mean distance of
    end and beginning, divided by the number of frames of the video.
  """
  video_of, index, lengths = _locate_frames(neighbors, starts)
  ends = neighbors[starts + neighbors, video_of[:, np.newaxis]]
  away = np.abs(ends - index[:, np.newaxis]) / lengths[video_of, np.newaxis]
  others = video_of[:, np.newaxis] != np.arange(len(starts))
  returned = (away == 0).mean(axis=1, where=others)
  return (
    _mean_over_videos(returned, starts),
    _mean_over_videos(away.mean(axis=1, where=others), starts),
  )


def three_way(neighbors: np.ndarray, starts: np.ndarray) -> float:
  """Goes through two other videos and back.

  Args:
    neighbors: [F, V] as for `two_way`, of at least three videos.
    starts: [V].

  Returns:
    The share of cycles that end where they began.
  """
  video_of, index, _ = _locate_frames(neighbors, starts)
  rows = starts + neighbors
  videos = np.arange(len(starts))
  returned = np.empty(len(neighbors))
  chunk = max(1, _MAX_CYCLES // len(starts) ** 2)
  for start in range(0, len(neighbors), chunk):
    part = slice(start, start + chunk)
    own = video_of[part, np.newaxis, np.newaxis]
    ends = neighbors[rows[rows[part]], own]
    second, third = videos[:, np.newaxis], videos
    different = (second != own) & (third != own) & (second != third)
    hits = ends == index[part, np.newaxis, np.newaxis]
    returned[part] = hits.mean(axis=(1, 2), where=different)
  return _mean_over_videos(returned, starts)


def _locate_frames(
  neighbors: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Gives each frame's video [F] and index in it [F], and lengths [V]."""
  lengths = np.diff(starts, append=len(neighbors))
  video_of = np.repeat(np.arange(len(starts)), lengths)
  return video_of, np.arange(len(neighbors)) - starts[video_of], lengths


def _mean_over_videos(of_frames: np.ndarray, starts: np.ndarray) -> float:
  return float(np.mean([x.mean() for x in np.split(of_frames, starts[1:])]))
