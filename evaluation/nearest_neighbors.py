"""Nearest frames by embedding, in every video at once."""

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import gen_batches
from threadpoolctl import threadpool_limits

# Squared distances that differ by less, relative to the squared norms of the
# frames they are between, are equal up to rounding; the earlier frame is the
# neighbor then.
_TOLERANCE = 1e-12
# Distances that are in memory at a time.
_MAX_DISTANCES = 2**21


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
    frames = frames / np.where(norms > 0, norms, 1)
  # A common offset would cost the distances their last digits. A few frames
  # that are far out do not move the median, and would move the mean.
  return frames - np.median(frames, axis=0), np.cumsum(lengths) - lengths


def chunk_rows(num_rows: int, num_columns: int) -> Iterator[slice]:
  """Cut the rows of a matrix of distances so that a part fits in memory."""
  return gen_batches(num_rows, max(1, _MAX_DISTANCES // num_columns))


# The products are too small for the threads of BLAS, which wait busily for
# cores that others use.
@threadpool_limits.wrap(limits=1, user_api="blas")
def nearest_neighbors(frames: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """Find each frame's nearest frame in each video.

  Args:
    frames: [F, D], the videos one after another.
    starts: [V], the first row of each video.

  Returns:
    [F, V] int32 index of the neighbor in its video; of equals, the first.
  """
  slack = _TOLERANCE * (frames**2).sum(axis=1)
  neighbors = np.empty((len(frames), len(starts)), np.int32)
  for video, rows in enumerate(np.split(np.arange(len(frames)), starts[1:])):
    for part in chunk_rows(len(frames), len(rows)):
      distances = euclidean_distances(frames[rows], frames[part], squared=True)
      highest = (distances + slack[rows, np.newaxis]).min(axis=0)
      lowest = distances - slack[rows, np.newaxis]
      near = lowest <= highest + 2 * slack[part]
      neighbors[part, video] = near.argmax(axis=0)
  return neighbors
