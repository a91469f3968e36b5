import math

import numpy as np
import pytest
from scipy import stats
from sklearn.svm import SVC

from evaluation.few_shot_classification import half_width
from tests.helpers.embedded_videos import blobs, evaluate, listen

TASK = "few_shot_classification"


def test_more_labeled_videos_than_there_are_are_left_out(config, train, val):
  config.EVAL.FEW_SHOT_NUM_LABELED = [1, 5]
  expected = evaluate(TASK, config, train, val)
  config.EVAL.FEW_SHOT_NUM_LABELED = [1, 5, 6, 9]
  result, messages = listen(TASK, config, train, val)
  assert result == expected
  assert len(messages) == 1
  assert "with 6, 9 labeled videos is left out" in messages[0]
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
  low, high = stats.t.interval(
    0.95, 49, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(50)
  )
  assert half_width(values) == pytest.approx((high - low) / 2, rel=1e-12)
  assert half_width(np.ones(5)) == 0
  assert math.isnan(half_width(np.ones(1)))


def test_against_one_svc_an_episode(config):
  nums_labeled, num_episodes = (1, 3, 5), 6
  config.EVAL.FEW_SHOT_NUM_LABELED = list(nums_labeled)
  config.EVAL.FEW_SHOT_NUM_EPISODES = num_episodes

  def made(count, seed):
    videos = [blobs(30, 4, seed + i) for i in range(count)]
    embs, labels = zip(*videos, strict=True)
    return {"embs": list(embs), "labels": list(labels)}

  train, val = made(5, seed=10), made(3, seed=20)
  train["labels"][0][:] = 2  # Alone it makes an episode of a single phase.
  result = evaluate(TASK, config, train, val)
  val_frames, val_labels = (np.concatenate(val[k]) for k in ("embs", "labels"))
  draw, only_first = np.random.RandomState(42), 0
  for k in nums_labeled:
    scores = []
    for _ in range(num_episodes):
      chosen = draw.permutation(5)[:k]
      frames, labels = (
        np.concatenate([train[key][i] for i in chosen])
        for key in ("embs", "labels")
      )
      if chosen.tolist() == [0]:
        only_first += 1
        scores.append((1, np.mean(val_labels == 2)))
      else:
        svc = SVC().fit(frames, labels)
        scores.append(
          (svc.score(frames, labels), svc.score(val_frames, val_labels))
        )
    means = np.mean(scores, axis=0)
    for split, mean in zip(("train", "val"), means, strict=True):
      found = result.scalars[f"few_shot_cxn/{split}_toy_{k}_accuracy"]
      assert found == pytest.approx(mean, abs=1e-12)
  assert only_first
  assert result.value == pytest.approx(means[1], abs=1e-12)
