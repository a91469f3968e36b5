import pytest
import tiny_run

import checkpoints
import config as configuration
import evaluate
import metrics
import train
from benchmarks import compare_algorithms

pytestmark = pytest.mark.usefixtures("one_replica")

TASKS = "EVAL.TASKS=[cycle_consistency]"


def unwanted(*arguments):
  raise AssertionError(arguments)


def test_an_interrupted_run_is_continued_and_a_complete_one_kept(
  tiny_records, tmp_path, monkeypatch
):
  logdir = tmp_path / "TCC_SaL"
  config = tiny_run.config(tiny_records, logdir, TASKS, "TRAIN.MAX_ITERS=0")
  train.train(config)
  evaluate.evaluate(config)
  assert list(metrics.read(logdir)) == [0]
  # As if it had been interrupted after the first of three steps.
  config.TRAIN.MAX_ITERS = 3
  configuration.save(config, logdir)
  monkeypatch.setattr(compare_algorithms, "steps_in", unwanted)
  settings = [*tiny_run.SETTINGS, f"PATH_TO_TFRECORDS={tiny_records}", TASKS]
  flags = [f"--set={setting}" for setting in settings]
  for _ in range(2):
    results = compare_algorithms.train_and_evaluate(
      "TCC+SaL", flags, 1, tmp_path
    )
    assert list(results) == [0, 3]
    # The second time there is nothing to do.
    monkeypatch.setattr(compare_algorithms, "run", unwanted)
  saved = [step for step, _ in checkpoints.list_checkpoints(logdir)]
  assert saved == [0, 3]
