import math

import numpy as np

import config as configuration
from evaluation import TASKS, Result, runner


def test_mean_of_the_data_sets_that_gave_a_number():
  def result(value, loss):
    scalars = {"algo_loss/val_loss": loss, "algo_loss/train_loss": 1.0}
    return Result(value, scalars)

  nan = math.nan
  results = {
    "a": {"t": result(0.5, nan), "u": result(nan, nan)},
    "b": {"t": result(nan, 3.0), "u": result(nan, nan)},
    "c": {"t": result(1.0, 6.0), "u": Result.empty()},
  }
  scalars = runner.gather_scalars(
    {name: {"t": of_task["t"]} for name, of_task in results.items()}
  )
  assert scalars["metrics/all_t"] == 0.75
  assert math.isnan(scalars["metrics/b_t"])
  assert scalars["algo_loss/val_loss"] == 4.5
  assert scalars["algo_loss/train_loss"] == 1
  scalars = runner.gather_scalars(
    {name: {"u": of_task["u"]} for name, of_task in results.items()}
  )
  assert math.isnan(scalars["metrics/all_u"])
  assert math.isnan(scalars["algo_loss/val_loss"])
  assert "metrics/c_u" not in scalars


def test_what_several_tasks_find_is_told_once(monkeypatch):
  told = []
  monkeypatch.setattr(
    "absl.logging.warning", lambda text, *args: told.append(text % args)
  )
  config = configuration.load()
  names = ["classification", "event_completion", "few_shot_classification"]
  tasks = {name: TASKS[name](config) for name in names}
  videos = {"embs": [np.zeros((4, 2))], "labels": [np.full(4, -1)]}
  results = runner.run_on_embeddings(
    tasks, "toy", {"train": videos, "val": videos}
  )
  assert len(told) == 1
  assert "no usable frame labels in train and val" in told[0]
  assert all(result.scalars == {} for result in results.values())
