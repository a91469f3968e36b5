"""Nearest frames by embedding, in every video at once."""

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.utils import gen_batches
from threadpoolctl import threadpool_limits

# Squared distances that differ by less, relative to the squared norms of the
# frames they are between, are equal up to rounding; the earlier frame is the
# neighbor then.
_TOLERANCE = 1e-12
# Distances that are in memory at a time.
_MAX_DISTANCES = 2**23


def join_videos(
  videos: Sequence[np.ndarray], distance: str
) -> tuple[np.ndarray, np.ndarray]:
  """Join videos, moved to where squared Euclidean order as other distances.

  Args:
    videos: V arrays [L_i, D] of embeddings, finite and not empty.
    distance: `sqeuclidean` or `cosine`. The cosine distance to a zero vector,
      which is undefined, is taken as that of a right angle.

  Returns:
    [F, D] float64 frames, the videos one after another, and [V], the first row
    of each.
  """
  frames = np.concatenate(videos).astype(np.float64)
  lengths = [len(video) for video in videos]
  if distance == "cosine":
    norms = np.linalg.norm(frames, axis=1, keepdims=True)
    # The squared distance of unit vectors is twice their cosine distance.
    frames /= np.where(norms > 0, norms, 1)
  # A common offset would cost the distances their last digits. A few frames
  # that are far out do not move the median, and would move the mean.
  frames -= np.median(frames, axis=0)
  return frames, np.cumsum(lengths) - lengths


def chunk_rows(num_rows: int, num_columns: int) -> Iterator[slice]:
  """Cut the rows of a matrix of distances so that a part fits in memory."""
  return gen_batches(num_rows, max(1, _MAX_DISTANCES // num_columns))


def round_frames(frames: np.ndarray) -> np.ndarray:
  """Return [F, D] frames as float32, in a unit that makes none exceed 1."""
  unit = max(frames.max(), -frames.min()) or 1
  return (frames / unit).astype(np.float32)


def square_norms(frames: np.ndarray) -> np.ndarray:
  """Compute the [F] squared norms of [F, D] frames."""
  return np.einsum("fd,fd->f", frames, frames)


def find_near(
  queries: np.ndarray, candidates: np.ndarray, norms: np.ndarray, k: int = 1
) -> np.ndarray:
  """Find all frames that are among the k nearest, up to rounding.

  Time O(Q C D), memory O(Q C).

  Args:
    queries: [Q, D] frames.
    candidates: [C, D] frames of the same type: float64; or float32, in half the
      time, which finds all that float64 does and more.
    norms: [C] squared norms of the candidates.
    k: At most C.

  Returns:
    [Q, C] bool, true k times or more in each row.
  """
  limits = np.finfo(queries.dtype)
  tolerance = _TOLERANCE
  if limits.dtype == np.float32:  # Sums of D products, all rounded one way.
    tolerance = limits.eps * (queries.shape[1] + 8)
  slack = tolerance * norms + limits.tiny
  # Without the norm of the query, which all distances of a row have in common.
  lower = (-2 * queries) @ candidates.T
  lower += norms - slack
  upper = lower + 2 * slack
  # The minimum takes a tenth of the time.
  kth = upper.min(axis=1) if k == 1 else np.partition(upper, k - 1)[:, k - 1]
  kth += 2 * tolerance * square_norms(queries)
  return lower <= kth[:, np.newaxis]


def nearest_neighbors(
  frames: np.ndarray, starts: np.ndarray
) -> Iterator[np.ndarray]:
  """Find each frame's nearest frame in each video.

  V videos of L frames take time O(V^2 L^2 D), in float32 but for frames of
  which it can't tell the nearest; those are compared in float64. Memory is
  O(V L D), including the neighbors of one video, [L, V], at a time.

  Args:
    frames: [F, D], the videos one after another.
    starts: [V], the first row of each video.

  Yields:
    For each video in turn, [L, V] index of the neighbor in each video; of
    equals, the first. The type is the smallest signed one that holds all L.
  """
  videos = np.split(frames, starts[1:])
  norms = [square_norms(video) for video in videos]
  rounded = np.split(round_frames(frames), starts[1:])
  rounded_norms = [square_norms(video) for video in rounded]
  longest = max(map(len, videos))
  # The products are too small for the threads of BLAS, which wait busily for
  # cores that others use.
  with threadpool_limits(limits=1, user_api="blas"):
    for queries, rounded_queries in zip(videos, rounded, strict=True):
      shape = len(queries), len(videos)
      neighbors = np.empty(shape, np.min_scalar_type(-longest))
      for part in chunk_rows(len(queries), longest):
        for v, candidates in enumerate(videos):
          near = find_near(rounded_queries[part], rounded[v], rounded_norms[v])
          nearest = near.argmax(axis=1)
          unsure = near.sum(axis=1, dtype=np.int32) > 1
          if unsure.any():
            near = find_near(queries[part][unsure], candidates, norms[v])
            nearest[unsure] = near.argmax(axis=1)
          neighbors[part, v] = nearest
      yield neighbors
