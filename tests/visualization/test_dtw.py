import numpy as np
import pytest

from visualization import dtw


def naive_path(cost):
  """Cell by cell; ties go diagonal, then up, then left."""
  m, n = cost.shape
  totals = np.full((m, n), np.inf)
  came_from = {}
  for i in range(m):
    for j in range(n):
      best, way = (0.0, None) if i == j == 0 else (np.inf, None)
      for a, b in [(i - 1, j - 1), (i - 1, j), (i, j - 1)]:
        if a >= 0 and b >= 0 and totals[a, b] < best:
          best, way = totals[a, b], (a, b)
      totals[i, j] = best + cost[i, j]
      came_from[i, j] = way
  path, cell = [], (m - 1, n - 1)
  while cell is not None:
    path.append(cell)
    cell = came_from[cell]
  return totals[-1, -1], np.array(path[::-1])


SHAPES = [(1, 1), (1, 6), (6, 1), (2, 2), (7, 7), (5, 12), (12, 5), (30, 41)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_values", [1, 2, 3, 2**20])
def test_equals_naive_loop_also_in_ties(shape, num_values):
  rng = np.random.default_rng(1)
  for _ in range(10):
    cost = rng.integers(0, num_values, shape) / num_values
    total, path = dtw.dtw_path(cost)
    expected_total, expected_path = naive_path(cost)
    assert total == pytest.approx(expected_total, rel=1e-12)
    np.testing.assert_array_equal(path, expected_path)


def test_ties_go_diagonal_then_up_then_left():
  _, path = dtw.dtw_path(np.zeros((3, 3)))
  assert path.tolist() == [[0, 0], [1, 1], [2, 2]]
  # Up and left cost the same, less than the diagonal.
  _, path = dtw.dtw_path(np.array([[5.0, -1.0], [-1.0, 0.0]]))
  assert path.tolist() == [[0, 0], [0, 1], [1, 1]]


def test_recovers_repeated_frames():
  sequence = np.arange(6.0)[:, None]
  repeats = np.array([1, 3, 1, 2, 5, 1])
  repeated = np.repeat(sequence, repeats, axis=0)
  total, path = dtw.dtw_path(dtw.squared_distances(sequence, repeated))
  assert total == 0
  np.testing.assert_array_equal(path[:, 0], np.repeat(np.arange(6), repeats))


def test_aligned_frames_takes_the_middle():
  path = np.transpose([[0, 0, 0, 1, 2, 3, 3, 4], [0, 1, 2, 3, 3, 4, 5, 6]])
  assert dtw.aligned_frames(path).tolist() == [1, 3, 3, 4, 6]


def test_squared_distances_equal_naive_ones():
  rng = np.random.default_rng(4)
  query = rng.normal(size=(7, 3)).astype(np.float32)
  candidate = rng.normal(size=(5, 3)).astype(np.float32)
  naive = [[sum((np.float64(a) - b) ** 2) for b in candidate] for a in query]
  found = dtw.squared_distances(query, candidate)
  np.testing.assert_allclose(found, naive, rtol=1e-12, atol=1e-12)
  # Large norms: rounding must not give negative distances.
  assert (dtw.squared_distances(query + 1e4, query + 1e4) >= 0).all()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4,), (2, 2, 2)])
def test_refuses_what_is_no_matrix(shape):
  with pytest.raises(ValueError, match="Expected a cost matrix"):
    dtw.dtw_path(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_costs_that_are_not_finite(value):
  with pytest.raises(ValueError, match="Expected a finite cost matrix"):
    dtw.dtw_path(np.array([[1.0, value], [0.0, 0.0]]))
