"""Nearest frames by embedding, in every video at once."""

from collections.abc import Iterator, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

# Squared distances that differ by less, relative to the squared norms of the
# frames they are between, are equal up to rounding; the earlier frame is the
# neighbor then.
_TOLERANCE = 1e-12
# Frames whose distances to all frames are in memory at a time.
_CHUNK = 64
# Distances between frames of one video and others that are in memory at a time.
_MAX_DISTANCES = 2**21


def joined(
  videos: Sequence[np.ndarray], distance: str
) -> tuple[np.ndarray, np.ndarray]:
  """Joins videos, moved to where squared Euclidean order as other distances.

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


def distances_in_chunks(
  frames: np.ndarray,
) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields the squared distances of a few frames at a time to all frames.

  Args:
    frames: [F, D].

  Yields:
    Rows of `frames` and their [R, F] squared distances.
  """
  norms = (frames**2).sum(axis=1)
  for start in range(0, len(frames), _CHUNK):
    rows = slice(start, start + _CHUNK)
    sums = norms[rows, np.newaxis] + norms
    yield rows, sums - (2 * frames[rows]) @ frames.T


# The products are too small for the threads of BLAS, which wait busily for
# cores that others use.
@threadpool_limits.wrap(limits=1, user_api="blas")
def nearest_neighbors(frames: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """Finds each frame's nearest frame in each video.

  Args:
    frames: [F, D], the videos one after another.
    starts: [V], the first row of each video.

  Returns:
    [F, V] int32 index of the neighbor in its video; of equals, the first.
  """
  norms = (frames**2).sum(axis=1)
  # Each distance is known up to a slack for both of its frames. The matrix
  # product is bb + slack - 2ab, of columns (b, bb + slack) and (-2a, 1); aa is
  # the same for all candidates.
  slack = _TOLERANCE * norms
  right = np.column_stack([-2 * frames, np.ones(len(frames))])
  left = np.column_stack([frames, norms + slack])
  ends = np.append(starts[1:], len(frames))
  neighbors = np.empty((len(starts), len(frames)), np.int32)
  for video, (start, end) in enumerate(zip(starts, ends, strict=True)):
    width = max(1, _MAX_DISTANCES // (end - start))
    for first in range(0, len(frames), width):
      queries = slice(first, first + width)
      # Candidates in rows: what follows runs along the rows, which is fast.
      highest = left[start:end] @ right[queries].T
      limits = highest.min(axis=0) + 2 * slack[queries]
      for row in range(end - start - 1, -1, -1):
        near = highest[row] <= limits + 2 * slack[start + row]
        np.copyto(neighbors[video, queries], row, where=near)
  return np.ascontiguousarray(neighbors.T)
