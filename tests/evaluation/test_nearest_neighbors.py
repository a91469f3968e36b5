import numpy as np
import pytest

from evaluation import nearest_neighbors as module
from evaluation.nearest_neighbors import (
  find_near,
  join_videos,
  nearest_neighbors,
  round_frames,
  square_norms,
)

LENGTHS = (1, 2, 17, 40, 3)


def make_case(name):
  """Videos between which float32 tells all, some, or no nearest frames."""
  random = np.random.default_rng(0)
  videos = [random.normal(size=(length, 6)) for length in LENGTHS]
  images = random.integers(-2, 3, size=(5, 6)) / 7
  shift = np.where(np.arange(6) == 2, 1e5, 0)
  return {
    "noise": videos,
    "one dimension": [video[:, :1] for video in videos],
    "repeated": [images[random.integers(5, size=len(x))] for x in videos],
    "almost repeated": [np.round(x) + 1e-9 * x for x in videos],
    "collapsed": [np.full_like(x, 0.1) for x in videos],
    "far out": [np.append(video, [shift], axis=0) for video in videos],
    "two places": [*videos, *(video + shift for video in videos)],
    "tiny": [1e-25 * video for video in videos],
    "tiny beside large": [1e-20 * videos[2], 1e-24 * videos[3], *videos],
    "huge": [1e100 * video for video in videos],
  }[name]


CASES = (
  *("noise", "one dimension", "repeated", "almost repeated", "collapsed"),
  *("far out", "two places", "tiny", "tiny beside large", "huge"),
)


def match_naively(frames, starts):
  """All pairs in float64; of equals up to rounding, the first."""
  slack = 1e-12 * (frames**2).sum(axis=1)
  distances = ((frames[:, np.newaxis] - frames) ** 2).sum(axis=2)
  columns = []
  for rows in np.split(np.arange(len(frames)), starts[1:]):
    highest = (distances[:, rows] + slack[rows]).min(axis=1) + 2 * slack
    near = distances[:, rows] - slack[rows] <= highest[:, np.newaxis]
    columns.append(near.argmax(axis=1))
  return np.stack(columns, axis=1)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("at_a_time", [1, 100, 2**23])
def test_against_all_pairs(case, distance, at_a_time, monkeypatch):
  monkeypatch.setattr(module, "_MAX_DISTANCES", at_a_time)
  frames, starts = join_videos(make_case(case), distance)
  found = list(nearest_neighbors(frames, starts))
  lengths = np.diff([*starts, len(frames)])
  assert [len(neighbors) for neighbors in found] == list(lengths)
  expected = match_naively(frames, starts)
  np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 3, 50])
def test_float32_leaves_out_no_near_frame(case, k):
  frames, _ = join_videos(make_case(case), "sqeuclidean")
  rounded = round_frames(frames)
  assert np.abs(rounded).max() <= 1
  exact = find_near(frames, frames, square_norms(frames), k)
  near = find_near(rounded, rounded, square_norms(rounded), k)
  assert exact.sum(axis=1).min() >= k and near[exact].all()
  distances = ((frames[:, np.newaxis] - frames) ** 2).sum(axis=2)
  nearest = distances.argsort(axis=1, kind="stable")[:, :k]
  assert np.take_along_axis(near, nearest, axis=1).all()


@pytest.mark.parametrize(
  ("longest", "dtype"),
  [
    *((128, np.int8), (129, np.int16)),
    pytest.param(32768, np.int16, marks=pytest.mark.slow),
    pytest.param(32769, np.int32, marks=pytest.mark.slow),
  ],
)
def test_neighbors_are_of_the_smallest_type(longest, dtype):
  videos = [np.arange(longest)[:, np.newaxis], np.array([[longest - 1.0]])]
  frames, starts = join_videos(videos, "sqeuclidean")
  *_, neighbors = nearest_neighbors(frames, starts)
  assert neighbors.dtype == dtype and neighbors.tolist() == [[longest - 1, 0]]
