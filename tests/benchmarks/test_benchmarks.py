"""The benchmarks run for minutes; here they run on next to nothing.

What they print is not looked at: speed is not asserted.
"""

import importlib
import math

import numpy as np
import pytest
import tensorflow as tf

import config as configuration
from benchmarks import (
  alignment_loss,
  evaluation,
  made_records,
  measuring,
  preparation,
  startup,
  train_step,
)
from core.errors import UserError
from tcc import deterministic_alignment
from tests.helpers import tiny_run
from tests.helpers.paths import ROOT
from tests.helpers.processes import run_python

FILES = (ROOT / "benchmarks").glob("[!_]*.py")
MAIN = "benchmarks.__main__"
NAMES = sorted({path.stem for path in FILES} - {"made_records", "measuring"})


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_finds_what_it_measures(name):
  assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_a_benchmark_starts_by_itself():
  """As a script: what it needs may have been imported by others in here."""
  done = run_python("-m", "benchmarks.preparation", "--rounds=none")
  assert done.stderr.startswith("error: flag --rounds=none: ")


def test_train_step(tmp_path):
  made_records.write_records(tmp_path, [60, 60])
  settings = train_step.list_settings(tmp_path, quick=True)
  settings.append(f"LOGDIR={tmp_path / 'logs'}")
  arguments = train_step.compare, settings, 2
  # Where there is one replica only.
  assert min(measuring.run_in_new_process(*arguments)) > 0


@pytest.mark.slow
def test_stages_of_the_start_of_training(tmp_path):
  made_records.write_records(tmp_path, [60, 60])
  settings = train_step.list_settings(tmp_path, quick=True)
  arguments = startup.measure_stages, settings, str(tmp_path / "logs")
  stages = measuring.run_in_new_process(*arguments)
  assert stages["second step"] < stages["tracing and first step"]


def test_help_is_measured():
  assert "train" in startup.list_commands()
  busy = "import time\nwhile time.process_time() < 0.1: pass"
  assert min(startup.measure_python("-c", busy)) > 0.05


@pytest.mark.slow
def test_start_of_training(tiny_records, tmp_path):
  settings = [*tiny_run.SETTINGS, f"PATH_TO_TFRECORDS={tiny_records}"]
  logdir = tmp_path / "logs"
  assert startup.measure_startup(settings, str(logdir)) > 0
  assert configuration.load_run(logdir).TRAIN.MAX_ITERS == 1


def test_preparation(tmp_path, monkeypatch):
  monkeypatch.setattr(preparation, "_WIDTH", 96)
  monkeypatch.setattr(preparation, "_HEIGHT", 64)
  folder = tmp_path / "videos"
  folder.mkdir()
  preparation.write_clip(folder / "0.mp4", 0.3)
  assert preparation.encode_bare(str(folder / "0.mp4")) > 0
  preparation.lengthen(folder / "0.mp4", tmp_path / "long.mp4", 2)
  assert preparation.encode_bare(str(tmp_path / "long.mp4")) > 0
  preparation.convert_ours(folder, tmp_path / "records")
  assert list((tmp_path / "records").glob("benchmark_train-0-of-*.tfrecord"))


@pytest.mark.parametrize("eager", [True, False])
def test_alignment_loss(eager, capsys):
  alignment_loss.compare((3, 4, 2), repeats=1, eager=eager)
  assert "all pairs" in capsys.readouterr().out
  embs = tf.random.stateless_normal([3, 4, 2], [0, 1])
  losses = alignment_loss.loop_over_pairs(embs), alignment_loss.all_pairs(embs)
  np.testing.assert_allclose(*losses, 1e-5)


def test_memory_of_the_alignment_loss(monkeypatch, capsys):
  alignment_loss.grow(3, repeats=1)
  assert "us a pair" in capsys.readouterr().out
  bound = deterministic_alignment.MAX_PAIRWISE_ELEMENTS
  monkeypatch.setattr(deterministic_alignment, "MAX_PAIRWISE_ELEMENTS", bound)
  mebibytes, seconds = alignment_loss.measure_memory((3, 4, 2), 10, graph=True)
  assert mebibytes >= 0 and seconds > 0


@pytest.fixture
def tiny():
  """Train, val and configuration for seconds."""
  settings = ["EVAL.FEW_SHOT_NUM_LABELED=[1,2]", "EVAL.FEW_SHOT_NUM_EPISODES=3"]
  make, config = evaluation.make_videos, configuration.load(settings=settings)
  return make(4, 20, 3, 1), make(3, 20, 3, 2), config


PLAIN = {
  "few_shot_classification": evaluation.score_few_shot,
  "kendalls_tau": evaluation.score_taus,
}


@pytest.mark.parametrize("task", PLAIN)
def test_evaluation_agrees_with_the_plain_formulation(task, tiny, capsys):
  evaluation.compare(task, PLAIN[task], *tiny)
  assert capsys.readouterr().out.startswith(f"{task}: plain ")


@pytest.mark.parametrize("task", PLAIN)
@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("change", [1e-9, -1e-9, math.nan])
def test_no_difference_from_the_plain_formulation_passes(
  task, which, change, tiny
):
  def changed(*arguments):
    scalars = PLAIN[task](*arguments)
    scalars[list(scalars)[which]] += change
    return scalars

  told = f"{task}: differs from the plain formulation by"
  with pytest.raises(UserError, match=told):
    evaluation.compare(task, changed, *tiny)


@pytest.mark.parametrize("size", evaluation.SIZES)
def test_evaluation_is_quick(size):
  done = run_python("-m", "benchmarks.evaluation", "--quick", f"--size={size}")
  assert done.returncode == 0, done.stderr


def test_a_difference_on_the_sample_does_not_pass(tiny):
  train, val, config = tiny
  steps = [lambda *_: {"kendalls_tau/made_val_align_tau": math.nan}]
  told = "kendalls_tau: differs from the plain formulation by nan"
  with pytest.raises(UserError, match=told):
    evaluation.compare_sample("kendalls_tau", steps, train, val, config)


def test_the_plain_formulation_has_accuracies_and_intervals(tiny):
  assert set(evaluation.score_few_shot(*tiny)) == {
    f"few_shot_cxn/{split}_made_{k}_{value}"
    for split in ("train", "val")
    for k in (1, 2)
    for value in ("accuracy", "ci")
  }


@pytest.mark.slow
def test_all_benchmarks_write_one_page(tmp_path):
  page = tmp_path / "performance.md"
  done = run_python("-m", "benchmarks", "--quick", f"--output={page}")
  assert done.returncode == 0, done.stderr
  titles = [x for x in page.read_text().split("\n") if x.startswith("## ")]
  assert len(titles) == len(importlib.import_module(MAIN)._BENCHMARKS)
