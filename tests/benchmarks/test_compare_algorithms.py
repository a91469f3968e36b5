import re

import pytest

import config as configuration
import evaluate
import train
from benchmarks import compare_algorithms
from core import run_directory
from core.errors import UserError
from evaluation import metrics
from tests.helpers import tiny_run
from tests.helpers.errors import message_of

TASKS = "EVAL.TASKS=[cycle_consistency]"


def unwanted(*arguments):
  raise AssertionError(arguments)


@pytest.mark.slow
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
  monkeypatch.setattr(compare_algorithms, "measure_steps", unwanted)
  (logdir / "budget_minutes.txt").write_text("1")
  settings = [*tiny_run.SETTINGS, f"PATH_TO_TFRECORDS={tiny_records}", TASKS]
  run = compare_algorithms.train_and_evaluate
  for _ in range(2):
    assert list(run("TCC+SaL", settings, 1, tmp_path)) == [0, 3]
    # The second time there is nothing to do.
    monkeypatch.setattr(compare_algorithms, "run_module", unwanted)
  assert [step for step, _ in run_directory.list_checkpoints(logdir)] == [0, 3]


@pytest.fixture
def complete_run(tmp_path, monkeypatch):
  """The log directory of a method, trained for 7 minutes and evaluated."""
  monkeypatch.setattr(compare_algorithms, "run_module", unwanted)
  logdir = tmp_path / "TCC"
  # Precision and number of classes as training settles them.
  settled = ("PRECISION=bfloat16", "CLASSIFICATION.NUM_CLASSES=3")
  config = tiny_run.config("/records/a", logdir, *settled)
  metrics.append(str(logdir), config.TRAIN.MAX_ITERS, {"loss": 0.5})
  configuration.save(config, logdir)
  (logdir / "budget_minutes.txt").write_text("7")
  return logdir


def results_for(logdir, *settings, minutes=7):
  plain = [s for s in tiny_run.SETTINGS if "MAX_ITERS" not in s]
  plain += ["PATH_TO_TFRECORDS=/records/a", "PRECISION=auto"]
  run = compare_algorithms.train_and_evaluate
  return run("TCC", [*plain, *settings], minutes, logdir.parent)


def test_what_the_script_and_training_decide_is_no_other_setting(complete_run):
  results = results_for(complete_run, "CHECKPOINT.SAVE_INTERVAL=9")
  assert results == {4: {"loss": 0.5}}


@pytest.mark.parametrize(
  ("setting", "found", "expected"),
  [
    ("PATH_TO_TFRECORDS=/records/b", "/records/a", "/records/b"),
    ("SEED=9", "0", "9"),
    ("ALIGNMENT.LOSS_TYPE=classification", "regression_mse_var", "class.*"),
    ("PRECISION=float32", "bfloat16", "float32"),
    ("CLASSIFICATION.NUM_CLASSES=5", "3", "5"),
  ],
)
def test_results_of_other_settings_are_refused(
  complete_run, setting, found, expected
):
  key = setting.partition("=")[0]
  assert re.fullmatch(
    f"{complete_run}: expected a run with {key}={expected}, received {found};"
    " choose another --output_dir",
    message_of(results_for, complete_run, setting),
  )


def test_results_of_another_budget_are_refused(complete_run):
  assert message_of(results_for, complete_run, minutes=60) == (
    f"{complete_run}: expected a run with --budget_minutes=60, received 7;"
    " choose another --output_dir"
  )
  (complete_run / "budget_minutes.txt").unlink()
  with pytest.raises(UserError, match="_minutes=7, received no budget;"):
    results_for(complete_run)


def test_the_data_set_is_trained_on(tmp_path):
  arguments = (["TRAINING_ALGO=tcn"], str(tmp_path), "mine", ["SEED=3"])
  settings = compare_algorithms.list_settings(*arguments)
  config = configuration.load([], settings)
  assert config.DATASETS == ["mine"]
  assert config.PATH_TO_TFRECORDS == str(tmp_path)
  assert (config.TRAINING_ALGO, config.SEED) == ("tcn", 3)


def test_every_metric_of_validation_videos_has_a_line():
  columns = {
    "untrained": {"kendalls_tau/a_val_align_tau": 0.1, "metrics/all_tau": 1},
    "TCC": {
      "kendalls_tau/a_train_align_tau": 0.5,
      "kendalls_tau/a_val_align_tau": 0.98765,
      "few_shot_cxn/val_a_1_accuracy": float("nan"),
    },
  }
  assert compare_algorithms.format_metrics(columns).splitlines() == [
    "| metric | untrained | TCC |",
    "| --- | ---: | ---: |",
    "| kendalls_tau/a_val_align_tau | 0.100 | 0.988 |",
    "| few_shot_cxn/val_a_1_accuracy | - | - |",
  ]
