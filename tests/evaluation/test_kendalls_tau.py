import json
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from evaluation.kendalls_tau import describe, pairwise_taus, tau_b
from tests.helpers import naive_tasks
from tests.helpers.embedded_videos import evaluate, listen, made_videos


def check_pairwise_taus(videos, distance):
  taus = pairwise_taus(videos, distance)
  expected = naive_tasks.pairwise_taus(videos, distance)
  np.testing.assert_allclose(taus, expected, rtol=0, atol=1e-12)
  return taus


def check_tau_b(taus, columns):
  times = np.arange(len(columns))
  expected = [stats.kendalltau(times, column).statistic for column in columns.T]
  np.testing.assert_allclose(taus, expected, rtol=0, atol=1e-12)


def test_needs_no_labels(config, train, val):
  with_labels = evaluate("kendalls_tau", config, train, val)
  del train["labels"], val["labels"]
  assert evaluate("kendalls_tau", config, train, val) == with_labels


@pytest.mark.parametrize(
  "embs",
  [made_videos(1, seed=1)["embs"], [np.full((30, 3), 0.1)] * 3],
  ids=["one video", "collapsed"],
)
def test_videos_without_order_have_no_tau(embs, config, train):
  result, [message] = listen("kendalls_tau", config, train, {"embs": embs})
  assert math.isnan(result.value)
  assert math.isnan(result.scalars["kendalls_tau/toy_val_align_tau"])
  assert result.scalars["kendalls_tau/toy_train_align_tau"] > 0.8
  assert "Kendall's tau of val is NaN" in message
  assert message.endswith("at EVAL.KENDALLS_TAU_STRIDE=5")


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_tau_of_warped_and_reversed_videos(distance, config):
  config.EVAL.KENDALLS_TAU_STRIDE = 1
  config.EVAL.KENDALLS_TAU_DISTANCE = distance
  angles = np.linspace(0, 1.5, 30)

  def video(times):
    return np.stack([np.cos(times), np.sin(times)], 1).astype(np.float32)

  warped = {"embs": [video(angles), video(angles**2 / 1.5)]}
  reversed_ = {"embs": [video(angles), video(angles[::-1])]}
  result = evaluate("kendalls_tau", config, reversed_, warped)
  tau = result.scalars["kendalls_tau/toy_train_align_tau"]
  assert tau == pytest.approx(-1, abs=1e-12)
  # Some frames of the slow part share a neighbor, and tau-b knows ties.
  assert 0.95 < result.value <= 1
  # Where each frame has a neighbor of its own, tau is 1.
  dense = video(np.linspace(0, 1.5, 3000) ** 2 / 1.5)
  taus = pairwise_taus([video(angles), dense], distance)
  assert taus[0, 1] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
  ("names", "distinct"),
  [
    (["a", "b", "backwards", "d"], ["a", "b", "backwards", "d"]),
    (["a", "b", "a", ""], ["a (video 0)", "b", "a (video 2)", ""]),
    # The number given to one must not be the name of another.
    (["b", "a", "a", "a (video 1)"], ["b", None, "a (video 2)", None]),
  ],
)
def test_names_the_worst_videos(names, distinct, config):
  val = made_videos(4, seed=0) | {"names": names}
  val["embs"][2] = val["embs"][2][::-1]
  result = evaluate("kendalls_tau", config, val, val)
  details = result.details["kendalls_tau/toy_val"]
  found = details["video_taus"]
  assert len(found) == 4 and set(filter(None, distinct)) <= set(found)
  assert list(found)[0] == distinct[2]
  assert details["videos"] == 4
  assert details["frames"] == sum(len(x[::5]) for x in val["embs"])
  assert len(details["worst_pairs"]) == 5
  for query, candidate, tau in details["worst_pairs"]:
    assert distinct[2] in (query, candidate) and tau < 0
    assert {query, candidate} < set(found)
  assert json.dumps(details)


@pytest.mark.parametrize("num_videos", [0, 1, 2, 3, 12])
def test_worst_pairs_against_a_sorted_list(num_videos):
  random = np.random.default_rng(num_videos)
  taus = random.integers(-3, 4, size=(num_videos, num_videos)) / 4
  taus[random.random(taus.shape) < 0.2] = math.nan
  np.fill_diagonal(taus, math.nan)
  names = [f"video {i}" for i in range(num_videos)]
  pairs = [
    [names[i], names[j], taus[i, j]]
    for i, j in np.argwhere(~np.isnan(taus)).tolist()
  ]
  worst = sorted(pairs, key=lambda pair: pair[2])[:5]
  assert describe(names, taus)["worst_pairs"] == worst


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("offset", [0, 1000])
def test_pairwise_taus_against_scipy(distance, offset):
  random = np.random.default_rng(0)
  videos = [
    (random.normal(size=(length, 4)) + offset).astype(np.float32)
    for length in (1, 2, 3, 17, 40, 150)
  ]
  videos.append(np.repeat(videos[4], 3, axis=0))  # a video that stands still
  videos.append(videos[3][:1].repeat(9, axis=0))  # and one that is one image
  assert np.isnan(check_pairwise_taus(videos, distance)).sum() > len(videos)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_frame_far_out_makes_no_others_equal(distance, everywhere):
  random = np.random.default_rng(0)
  times = np.linspace(0, 1, 30)
  videos = []
  for _ in range(4):
    t = times ** random.uniform(0.7, 1.4)
    videos.append(0.1 * np.stack([np.cos(3 * t), np.sin(3 * t), t], axis=1))
  for video in videos if everywhere else videos[1:2]:
    video[11] = 1e5
  assert np.nanmin(check_pairwise_taus(videos, distance)) > 0.7


def test_of_equally_near_frames_the_first_is_the_neighbor():
  random = np.random.default_rng(0)
  images = random.integers(-2, 3, size=(6, 64)).astype(np.float32) / 7
  steps = [np.sort(random.integers(6, size=length)) for length in (30, 41, 53)]
  check_pairwise_taus([images[x] for x in steps], "sqeuclidean")


def test_cosine_distance_to_a_zero_vector_is_that_of_a_right_angle():
  videos = [np.eye(3), np.array([[0, 0, 0], [0, 1, 0], [0, 0, 1.0]])]
  taus = pairwise_taus(videos, "cosine")
  expected = stats.kendalltau([0, 1, 2], [0, 1, 2]).statistic
  assert taus[0, 1] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("length", [2, 3, 30, 150])
def test_tau_b_against_scipy(length):
  random = np.random.default_rng(length)
  columns = random.integers(length, size=(length, 20)).astype(np.int32)
  columns[:, 0] = 1
  columns[:, 1] = np.arange(length)
  columns[:, 2] = -columns[:, 1]
  taus = tau_b(columns)
  check_tau_b(taus, columns)
  assert math.isnan(taus[0])
  assert taus[1:3] == pytest.approx([1, -1], abs=1e-12)
  assert np.isnan(tau_b(columns[:1])).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_tau_b_of_the_largest_differences(dtype):
  last = 127  # Of as many frames as int8 can count.
  forward = np.arange(last + 1)
  columns = [
    forward,
    forward[::-1],
    np.where(forward % 2, 0, last),
    forward // 9,
  ]
  columns = np.stack(columns, axis=1).astype(dtype)
  check_tau_b(tau_b(columns), columns)


def test_tau_b_of_long_videos_takes_little_memory():
  random = np.random.default_rng(0)
  columns = random.integers(900, size=(2000, 2)).astype(np.int32)
  tracemalloc.start()
  taus = tau_b(columns)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  # All pairs of frames at once would take 32 MB for their indices alone.
  assert peak < 4e6
  check_tau_b(taus, columns)
