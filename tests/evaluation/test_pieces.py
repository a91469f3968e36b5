"""The parts of the tasks against scikit-learn, SciPy and plain loops."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.svm import SVC

import config as configuration
from data.subsets import first_fraction
from evaluation import TASKS, svm
from evaluation.event_completion import r_squared, time_since_events, varies
from evaluation.few_shot_classification import half_width
from evaluation.kendalls_tau import pairwise_taus, tau_b
from evaluation.svm import PhaseClassifier


def blobs(num_frames, num_phases, seed, dim=6):
  random = np.random.default_rng(seed)
  labels = random.integers(num_phases, size=num_frames)
  centers = np.random.default_rng(0).normal(size=(num_phases, dim))
  return centers[labels] + random.normal(size=(num_frames, dim)), labels


@pytest.mark.parametrize("num_phases", [2, 3, 5])
@pytest.mark.parametrize("max_precomputed", [0, 10**6])
def test_phase_classifier_predicts_as_svc(
  num_phases, max_precomputed, monkeypatch
):
  monkeypatch.setattr(svm, "_MAX_PRECOMPUTED", max_precomputed)
  monkeypatch.setattr(svm, "_CHUNK", 100)
  train, val = blobs(250, num_phases, seed=1), blobs(333, num_phases, seed=2)
  classifier, naive = PhaseClassifier().fit(*train), SVC().fit(*train)
  assert np.array_equal(classifier.predict(val[0]), naive.predict(val[0]))
  assert classifier.score(*val) == naive.score(*val)
  assert classifier.train_accuracy == naive.score(*train)
  assert 0.3 < classifier.score(*val) < 0.95


def test_phase_classifier_takes_any_integers_as_phases():
  frames, labels = blobs(200, 3, seed=1)
  names = np.array([7, 2, 100])
  expected = SVC().fit(frames, names[labels]).predict(frames)
  classifier = PhaseClassifier().fit(frames, names[labels])
  assert np.array_equal(classifier.predict(frames), expected)


def test_phase_classifier_of_equal_frames():
  frames, labels = np.ones((6, 3)), np.array([0, 0, 0, 1, 1, 2])
  expected = SVC().fit(frames, labels).predict(frames)
  assert np.array_equal(
    PhaseClassifier().fit(frames, labels).predict(frames), expected
  )


@pytest.mark.parametrize("offset", [0, 1e5])
def test_phase_classifier_with_an_offset(offset):
  (frames, labels), (others, _) = blobs(200, 3, seed=1), blobs(99, 3, seed=2)
  expected = SVC().fit(frames, labels).predict(others)
  classifier = PhaseClassifier().fit(frames + offset, labels)
  # gamma comes from the whole matrix's variance, which no offset changes.
  assert np.array_equal(classifier.predict(others + offset), expected)


def naive_taus(videos, distance):
  taus = np.full((len(videos), len(videos)), math.nan)
  for i, first in enumerate(videos):
    for j, second in enumerate(videos):
      if i != j:
        neighbors = cdist(first, second, distance).argmin(axis=1)
        times = np.arange(len(first))
        taus[i, j] = stats.kendalltau(times, neighbors).statistic
  return taus


@pytest.mark.filterwarnings("ignore:One or more sample arguments")
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
  taus = pairwise_taus(videos, distance)
  expected = naive_taus(videos, distance)
  assert np.isnan(expected).sum() > len(videos)
  np.testing.assert_allclose(taus, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_frame_far_out_makes_no_others_equal(distance, everywhere):
  random = np.random.default_rng(0)
  times = np.linspace(0, 1, 30)
  videos = []
  for _ in range(4):
    t = times ** random.uniform(0.7, 1.4)
    curve = np.stack([np.cos(3 * t), np.sin(3 * t), t], axis=1)
    videos.append(0.1 * curve)
  for video in videos if everywhere else videos[1:2]:
    video[11] = 1e5
  taus = pairwise_taus(videos, distance)
  expected = naive_taus(videos, distance)
  np.testing.assert_allclose(taus, expected, rtol=0, atol=1e-12)
  assert np.nanmin(taus) > 0.7


def test_of_equally_near_frames_the_first_is_the_neighbor():
  random = np.random.default_rng(0)
  images = random.integers(-2, 3, size=(6, 64)).astype(np.float32) / 7
  videos = [
    images[np.sort(random.integers(6, size=length))] for length in (30, 41, 53)
  ]
  expected = naive_taus(videos, "sqeuclidean")
  np.testing.assert_allclose(
    pairwise_taus(videos, "sqeuclidean"), expected, rtol=0, atol=1e-12
  )


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
  expected = [
    stats.kendalltau(np.arange(length), column).statistic
    for column in columns.T
  ]
  taus = tau_b(columns)
  np.testing.assert_allclose(taus, expected, rtol=0, atol=1e-12)
  assert math.isnan(taus[0])


def test_tau_b_of_monotone_columns():
  rising = np.arange(10, dtype=np.int32) ** 2
  taus = tau_b(np.stack([rising, -rising, rising // 50], axis=1))
  assert taus[:2] == pytest.approx([1, -1], abs=1e-12)
  assert 0 < taus[2] < 1


def test_tau_b_of_long_videos_takes_little_memory():
  random = np.random.default_rng(0)
  columns = random.integers(900, size=(2000, 2)).astype(np.int32)
  tracemalloc.start()
  taus = tau_b(columns)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  # All pairs of frames at once would take 32 MB for their indices alone.
  assert peak < 4e6
  expected = [
    stats.kendalltau(np.arange(2000), column).statistic for column in columns.T
  ]
  np.testing.assert_allclose(taus, expected, rtol=0, atol=1e-12)


def test_tau_b_of_one_frame_is_undefined():
  assert np.isnan(tau_b(np.zeros((1, 3), np.int32))).all()


def test_time_since_events_in_closed_form():
  labels = np.array([0, 0, 1, 2, 2])
  expected = [[t - 1, t - 2] for t in range(5)]
  times = time_since_events(labels, num_events=2)
  np.testing.assert_allclose(times, np.array(expected) / 5)


@pytest.mark.parametrize(
  ("labels", "last_frames"),
  [
    ([0, 0, 2, 3], [1, 1, 2]),  # a phase in the middle ends with the earlier
    ([1, 2, 2, 3], [-1, 0, 2]),  # the first phase ends before the video
    ([3, 3, 3, 3], [-1, -1, -1]),
    ([0, 0, 0, 0], [3, 3, 3]),
    ([-1, 0, -1, 1], [1, 3, 3]),  # unlabeled frames take their time
    ([0, 1, 0, 1], [2, 3, 3]),  # a phase that comes back ends the last time
  ],
)
def test_ends_of_phases(labels, last_frames):
  times = time_since_events(np.array(labels), num_events=3)
  expected = (np.arange(4)[:, np.newaxis] - last_frames) / 4
  np.testing.assert_allclose(times, expected)


def test_event_completion_against_one_regression_an_event():
  random = np.random.default_rng(0)

  def made(count):
    labels = [np.sort(random.integers(4, size=30)) for _ in range(count)]
    embs = [x[:, np.newaxis] + random.normal(size=(30, 5)) for x in labels]
    return {"embs": embs, "labels": labels}

  train, val = made(4), made(3)
  for videos in (train, val):
    videos["labels"][0][10:14] = -1

  def joined(videos):
    kept = np.concatenate(videos["labels"]) >= 0
    targets = [
      [
        [(t - np.flatnonzero(x == i)[-1]) / len(x) for i in range(3)]
        for t in range(len(x))
      ]
      for x in videos["labels"]
    ]
    return np.concatenate(videos["embs"])[kept], np.concatenate(targets)[kept]

  (frames, targets), (val_frames, val_targets) = joined(train), joined(val)
  scores = []
  for i in range(3):
    regression = LinearRegression().fit(frames, targets[:, i])
    scores.append(r2_score(val_targets[:, i], regression.predict(val_frames)))
  task = TASKS["event_completion"](configuration.load())
  result = task.evaluate_embeddings("toy", train, val)
  assert result.value == pytest.approx(np.mean(scores), abs=1e-9)


def test_r_squared_of_constant_targets():
  constant, varying = np.full(7, 0.1), np.arange(7.0)
  targets = np.stack([constant, varying], axis=1)
  assert varies(targets).tolist() == [False, True]
  assert r_squared(targets, targets) == 1
  # Naively 0.1 seven times has a tiny variance, and R² would be -1e30; as
  # scikit-learn has it, it would count 0.
  wrong = targets + [1e-3, 1]
  expected = r2_score(varying, varying + 1)
  assert r_squared(targets, wrong) == pytest.approx(expected, abs=1e-12)
  assert math.isnan(r_squared(targets[:, :1], wrong[:, :1]))
  assert math.isnan(r_squared(targets[:1], targets[:1]))


def test_half_width_is_that_of_the_t_interval():
  values = np.random.default_rng(0).uniform(size=50)
  low, high = stats.t.interval(
    0.95, 49, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(50)
  )
  assert half_width(values) == pytest.approx((high - low) / 2, rel=1e-12)
  assert half_width(np.ones(5)) == 0
  assert math.isnan(half_width(np.ones(1)))


def test_an_episode_with_one_phase_predicts_it():
  train = [blobs(30, 4, seed) for seed in range(2)]
  train[0][1][:] = 2
  val = blobs(50, 4, seed=9)
  settings = [
    "EVAL.FEW_SHOT_NUM_LABELED=[1]",
    "EVAL.FEW_SHOT_NUM_EPISODES=20",
  ]
  task = TASKS["few_shot_classification"](configuration.load(settings=settings))
  result = task.evaluate_embeddings(
    "toy",
    {"embs": [x for x, _ in train], "labels": [y for _, y in train]},
    {"embs": [val[0]], "labels": [val[1]]},
  )
  draw = np.random.RandomState(42)
  chosen = np.array([draw.permutation(2)[0] for _ in range(20)])
  assert set(chosen) == {0, 1}
  classifier = SVC().fit(*train[1])
  of_video = {
    "train": [1, classifier.score(*train[1])],
    "val": [np.mean(val[1] == 2), classifier.score(*val)],
  }
  for split, accuracies in of_video.items():
    mean = result.scalars[f"few_shot_cxn/{split}_toy_1_accuracy"]
    expected = np.mean(np.array(accuracies)[chosen])
    assert mean == pytest.approx(expected, abs=1e-12)


def test_few_shot_against_one_svc_an_episode():
  random = np.random.default_rng(0)

  def made(count):
    videos = [blobs(30, 4, seed) for seed in random.integers(10**6, size=count)]
    embs, labels = zip(*videos, strict=True)
    return {"embs": list(embs), "labels": list(labels)}

  train, val = made(5), made(3)
  settings = [
    "EVAL.FEW_SHOT_NUM_LABELED=[1,3,5]",
    "EVAL.FEW_SHOT_NUM_EPISODES=6",
  ]
  task = TASKS["few_shot_classification"](configuration.load(settings=settings))
  result = task.evaluate_embeddings("toy", train, val)
  val_frames = np.concatenate(val["embs"]), np.concatenate(val["labels"])
  draw = np.random.RandomState(42)
  for k in (1, 3, 5):
    scores = []
    for _ in range(6):
      chosen = draw.permutation(5)[:k]
      frames = [
        np.concatenate([train[key][i] for i in chosen])
        for key in ("embs", "labels")
      ]
      classifier = SVC().fit(*frames)
      scores.append((classifier.score(*frames), classifier.score(*val_frames)))
    means = np.mean(scores, axis=0)
    tags = [
      f"few_shot_cxn/{split}_toy_{k}_accuracy" for split in ("train", "val")
    ]
    assert [result.scalars[tag] for tag in tags] == pytest.approx(
      means, abs=1e-12
    )
  assert result.value == pytest.approx(means[1], abs=1e-12)


@pytest.mark.parametrize(
  ("fraction", "total", "count"),
  [(0.1, 12, 1), (0.5, 5, 2), (1.0, 7, 7), (0.29, 100, 29), (0.0, 3, 1)],
)
def test_first_fraction(fraction, total, count):
  assert first_fraction(range(total), fraction) == range(count)
