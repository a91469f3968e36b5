"""Matches the frames of two videos by their embeddings."""

import difflib
import os
from collections.abc import Iterator, Sequence

import numpy as np

import embeddings
from core.errors import UserError
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from visualization import dtw


def load_comparable(embs_path: str | os.PathLike) -> EmbeddedSplit:
  """Load videos that can be compared.

  Args:
    embs_path: An embeddings file, or a pattern for several.

  Returns:
    Two or more videos with finite embeddings, none without frames.

  Raises:
    UserError: There are no such videos.
  """
  split = embeddings.load_many(embs_path)
  if len(split.videos) < 2:
    raise UserError(
      f"{embs_path}: expected two or more videos, received one; extract more or"
      " use a pattern that matches several files"
    )
  for video in split.videos:
    if not len(video.embs) or not video.finite.all():
      received = "NaN or infinity" if len(video.embs) else "no frames"
      raise UserError(
        f"{embs_path}: expected finite embeddings of every video, received"
        f" {received} in {video.name}; extract them with an earlier checkpoint,"
        " or without this video"
      )
  return split


def find_video(
  videos: Sequence[EmbeddedVideo], name: str | int, flag: str
) -> int:
  """Find a video by its name, or else by its index.

  Args:
    videos: The videos.
    name: The name, or the index from 0.
    flag: The flag that gives it, for messages.

  Returns:
    Its index.

  Raises:
    UserError: There is no such video.
  """
  names = [video.name for video in videos]
  if name in names:
    return names.index(name)
  if str(name).isdecimal() and int(name) < len(names):
    return int(name)
  near = difflib.get_close_matches(str(name), names, 1)
  hint = f"did you mean {near[0]!r}?" if near else "choose one of them"
  raise UserError(
    f"--{flag}: expected the name of a video or its index, 0 to"
    f" {len(names) - 1}, received {name!r}; {hint}"
  )


def match_all(
  videos: Sequence[np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Find for each frame the nearest one in every video.

  Args:
    videos: V arrays [L_i, D] of embeddings.

  Yields:
    For each video in turn, [L, V] rows of the frames that are nearest to its L
    frames, and [L, V] Euclidean distances to them.
  """
  # The help of scripts need not wait for it.
  from evaluation.nearest_neighbors import join_videos, nearest_neighbors

  frames, starts = join_videos(videos, "sqeuclidean")
  parts = np.split(frames, starts[1:])
  for part, rows in zip(parts, nearest_neighbors(frames, starts), strict=True):
    distances = [
      np.linalg.norm(part - other[rows[:, v]], axis=1)
      for v, other in enumerate(parts)
    ]
    yield rows, np.stack(distances, axis=1)


def find_medoid(videos: Sequence[np.ndarray]) -> int:
  """Return the number of the video that is nearest to all others.

  Args:
    videos: Arrays [L_i, D] of embeddings; two are as near as their frames are
      to the nearest frames of the other, on average.

  Returns:
    Its number.
  """
  # [V, V], of the frames of one video to another.
  means = np.array([d.mean(axis=0) for _, d in match_all(videos)])
  return int((means + means.T).sum(axis=0).argmin())


def align(
  reference: np.ndarray, candidate: np.ndarray, use_dtw: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Find the candidate's frame that matches each frame of the reference.

  Args:
    reference: [M, D] float embeddings.
    candidate: [N, D] float embeddings.
    use_dtw: By dynamic time warping, the middle one where it matches several;
      otherwise the nearest neighbor, the first one of equals.

  Returns:
    match: [M] int in 0..N-1.
    cost: [M, N] squared Euclidean distances.
  """
  cost = dtw.squared_distances(reference, candidate)
  if use_dtw:
    return dtw.aligned_frames(dtw.dtw_path(cost)[1]), cost
  return cost.argmin(axis=1), cost
