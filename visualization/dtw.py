"""Dynamic time warping: the cheapest monotone alignment of two sequences."""

import numpy as np
from scipy.spatial.distance import cdist


def dtw_path(cost: np.ndarray) -> tuple[float, np.ndarray]:
  """Find the cheapest path through a cost matrix, corner to corner.

  Each step goes one row down, one column right, or both; the path's cost is
  the sum over all its cells. Among equally cheap ways into a cell the diagonal
  one is taken, then the one from the row above, then the one from the left.

  Cells on one anti-diagonal depend only on the two anti-diagonals before it,
  so that each is one vector operation: M+N-1 of them instead of M*N cells.

  Args:
    cost: [M, N] float, finite; cost of matching frame i of the first sequence
      with frame j of the second.

  Returns:
    total: The path's cost.
    path: [K, 2] int64, max(M, N) <= K < M+N; pairs (i, j) from (0, 0) to
      (M-1, N-1).

  Raises:
    ValueError: `cost` is empty, not a matrix, or not finite.

  Example:
    >>> total, path = dtw_path(squared_distances(query, candidate))
  """
  cost = np.asarray(cost, np.float64)
  if cost.ndim != 2 or cost.size == 0:
    raise ValueError(
      f"Expected a cost matrix [M, N] with M, N >= 1. Received: {cost.shape}"
    )
  if not np.isfinite(cost).all():
    raise ValueError("Expected a finite cost matrix. Received: NaN or infinity")
  totals = _accumulate(_skew(cost))
  return float(totals[-1, -1]), _trace_back(totals, cost.shape)


def aligned_frames(path: np.ndarray) -> np.ndarray:
  """Make a path one-valued: one candidate frame for each query frame.

  Where the path matches a query frame with several candidate frames, the
  middle one is taken (the earlier of two).

  Args:
    path: [K, 2] int, as `dtw_path` returns it.

  Returns:
    [M] int64, non-decreasing; the candidate frame of each query frame.
  """
  # The candidate frames of one query frame are consecutive.
  _, first, count = np.unique(path[:, 0], return_index=True, return_counts=True)
  return path[first + (count - 1) // 2, 1]


def squared_distances(query: np.ndarray, candidate: np.ndarray) -> np.ndarray:
  """Squared Euclidean distance of every pair of frames.

  Args:
    query: [M, D] float embeddings.
    candidate: [N, D] float embeddings.

  Returns:
    [M, N] float64, not negative.
  """
  return cdist(query, candidate, "sqeuclidean")


def _skew(cost: np.ndarray) -> np.ndarray:
  """Turn anti-diagonals into rows: [M, N] -> [M+N-1, M], inf elsewhere.

  Cell (i, j) goes to (i+j, i). Padding each row to M+N and reading the same
  memory in rows one shorter shifts row i to the right by i.
  """
  m, n = cost.shape
  padded = np.full((m, m + n), np.inf)
  padded[:, :n] = cost
  return padded.ravel()[:-m].reshape(m, m + n - 1).T.copy()


def _accumulate(skewed: np.ndarray) -> np.ndarray:
  """Replace each cost by that of the cheapest path that ends there.

  Args:
    skewed: [M+N-1, M] costs, as `_skew` lays them out.

  Returns:
    [M+N-1, M] totals in the same layout, inf outside the matrix.
  """
  # Two anti-diagonals and one row before the first stand for "no way here".
  totals = np.full((len(skewed) + 2, skewed.shape[1] + 1), np.inf)
  # Entering the first cell is free.
  totals[0, 0] = 0
  for k, costs in enumerate(skewed, start=2):
    # From the diagonal or from above, then from the left.
    before, last = totals[k - 2], totals[k - 1]
    best = np.minimum(np.minimum(before[:-1], last[:-1]), last[1:])
    totals[k, 1:] = costs + best
  return totals[2:, 1:]


def _trace_back(totals: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  i, j = shape[0] - 1, shape[1] - 1
  path = [(i, j)]
  while i > 0 or j > 0:
    steps = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
    ways = [(a, b) for a, b in steps if a >= 0 and b >= 0]
    # `min` keeps the first of equals: diagonal, up, left.
    i, j = min(ways, key=lambda way: totals[way[0] + way[1], way[0]])
    path.append((i, j))
  return np.array(path[::-1], np.int64)
