import json
import math

import numpy as np

import config as configuration
from evaluation import TASKS, Metric, Result, metrics, runner


def result(value, loss, title=""):
  val = Metric("algo_loss", "val", "", "loss", loss)
  train = Metric("algo_loss", "train", "", "loss", 1.0, title)
  return Result(value, [val, train])


def test_mean_of_the_data_sets_that_gave_a_number():
  nan = math.nan
  results = {
    "a": {"t": result(0.5, nan), "u": result(nan, nan)},
    "b": {"t": result(nan, 3.0), "u": result(nan, nan)},
    "c": {"t": result(1.0, 6.0), "u": Result.empty()},
  }

  def gather(task):
    found = {name: {task: by_task[task]} for name, by_task in results.items()}
    return {m.tag: m.value for m in runner.gather_metrics(found)}

  scalars = gather("t")
  assert scalars["metrics/all_t"] == 0.75
  assert math.isnan(scalars["metrics/b_t"])
  assert scalars["algo_loss/val_loss"] == 4.5
  assert scalars["algo_loss/train_loss"] == 1
  scalars = gather("u")
  assert math.isnan(scalars["metrics/all_u"])
  assert math.isnan(scalars["algo_loss/val_loss"])
  assert "metrics/c_u" not in scalars


def test_a_line_holds_scalars_details_and_titles(tmp_path):
  results = {"a": {"t": result(0.5, math.nan, "title")}}
  writer = runner.open_writer(tmp_path)
  runner.log_results(tmp_path, writer, 3, results, False, {"max_embs": 2})
  line = json.loads((tmp_path / "eval_logs/metrics.jsonl").read_text())
  assert line == {
    **{"step": 3, "metrics/a_t": 0.5, "metrics/all_t": 0.5},
    **{"algo_loss/val_loss": None, "algo_loss/train_loss": 1.0},
    "details": {"max_embs": 2, "titles": {"algo_loss/train_loss": "title"}},
  }
  assert list(metrics.read(tmp_path, max_embs=2)) == [3]


def test_what_several_tasks_find_is_told_once(caplog):
  config = configuration.load()
  names = ["classification", "event_completion", "few_shot_classification"]
  tasks = {name: TASKS[name](config) for name in names}
  videos = {"embs": [np.zeros((4, 2))], "labels": [np.full(4, -1)]}
  splits = dict.fromkeys(("train", "val"), videos)
  results = runner.run_on_embeddings(tasks, "toy", splits)
  [told] = caplog.messages
  assert "no usable frame labels in train and val" in told
  assert all(result.scalars == {} for result in results.values())
