import math

import numpy as np
import pytest
from scipy import stats

from evaluation.few_shot_classification import half_width
from tests.helpers import naive_tasks
from tests.helpers.embedded_videos import evaluate, listen

TASK = "few_shot_classification"


def test_more_labeled_videos_than_there_are_are_left_out(config, train, val):
  config.EVAL.FEW_SHOT_NUM_LABELED = [1, 5]
  expected = evaluate(TASK, config, train, val)
  config.EVAL.FEW_SHOT_NUM_LABELED = [1, 5, 6, 9]
  result, [message] = listen(TASK, config, train, val)
  assert result == expected
  assert "with 6, 9 labeled videos is left out" in message
  config.EVAL.FEW_SHOT_NUM_LABELED = [9]
  result, messages = listen(TASK, config, train, val)
  assert math.isnan(result.value)
  assert result.scalars == {}


def test_one_episode_has_no_interval(config, train, val):
  config.EVAL.FEW_SHOT_NUM_EPISODES = 1
  result, messages = listen(TASK, config, train, val)
  assert not messages
  assert math.isnan(result.scalars["few_shot_cxn/val_toy_1_ci"])
  assert result.scalars["few_shot_cxn/val_toy_1_accuracy"] > 0.5


def test_every_video_as_label_leaves_nothing_to_chance(config, train, val):
  config.EVAL.FEW_SHOT_NUM_LABELED = [5]
  few_shot = evaluate(TASK, config, train, val)
  all_labels = evaluate("classification", config, train, val)
  assert few_shot.value == pytest.approx(all_labels.value, abs=0.01)
  assert few_shot.scalars["few_shot_cxn/val_toy_5_ci"] < 0.01


def test_half_width_is_that_of_the_t_interval():
  values = np.random.default_rng(0).uniform(size=50)
  scale = values.std(ddof=1) / math.sqrt(50)
  low, high = stats.t.interval(0.95, 49, loc=values.mean(), scale=scale)
  assert half_width(values) == pytest.approx((high - low) / 2, rel=1e-12)
  assert half_width(np.ones(5)) == 0
  assert math.isnan(half_width(np.ones(1)))


def test_an_episode_with_one_phase_predicts_it(config, train, val):
  config.EVAL.FEW_SHOT_NUM_LABELED = [1]
  config.EVAL.FEW_SHOT_NUM_EPISODES = 10
  train["labels"][0][:] = 2
  draw = np.random.RandomState(42)
  assert 0 in {draw.permutation(5)[0] for _ in range(10)}
  result, messages = listen(TASK, config, train, val)
  assert not messages
  expected = naive_tasks.headline(TASK, config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-12)
