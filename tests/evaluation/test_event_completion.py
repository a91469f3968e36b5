import math

import numpy as np
import pytest
from sklearn.metrics import r2_score

from evaluation.event_completion import r_squared, time_since_events, varies
from tests.helpers import naive_tasks
from tests.helpers.embedded_videos import evaluate, listen, made_videos


def test_is_skipped_when_there_is_one_phase(config):
  train, val = made_videos(4, 0, num_phases=1), made_videos(3, 1, num_phases=1)
  result, [message] = listen("event_completion", config, train, val)
  assert result.scalars == {}
  assert "an event lies between two phases" in message
  assert evaluate("classification", config, train, val).value == 1


def test_single_frame_has_no_score(config, train):
  val = made_videos(1, 1, lengths=(1, 2))
  result, [message] = listen("event_completion", config, train, val)
  assert math.isnan(result.value)
  assert "R² needs at least two frames" in message
  assert result.scalars["event_completion/train_toy_1.0_score"] > 0.7


def test_events_whose_time_does_not_vary_do_not_count(config):
  config.EVAL.CLASSIFICATION_FRACTIONS = [1.0]
  train, val = made_videos(6, seed=0), made_videos(4, 1, lengths=(1, 2))
  val["labels"] = [np.array([label]) for label in (0, 1, 0, 1)]
  result, messages = listen("event_completion", config, train, val)
  expected = naive_tasks.headline("event_completion", config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9)
  assert messages == [
    "toy: the time since an event is the same for all frames, and it does not"
    " count: the end of phase 1, 2 in event_completion/val_toy_1.0_score"
  ]
  val["labels"] = 4 * [np.array([3])]
  result, [message] = listen("event_completion", config, train, val)
  assert math.isnan(result.value)
  assert "event_completion/val_toy_1.0_score is NaN, R² needs" in message


@pytest.mark.parametrize(
  ("labels", "last_frames"),
  [
    ([0, 0, 1, 2, 2, 3], [1, 2, 4]),
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
  frames = np.arange(len(labels))[:, np.newaxis]
  np.testing.assert_allclose(times, (frames - last_frames) / len(labels))


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
