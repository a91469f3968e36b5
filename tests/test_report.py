import math
import pathlib
import subprocess
import sys

import pytest

import metrics
from errors import UserError
from evaluation import report

ROOT = pathlib.Path(__file__).parents[1]


def scalars(tau, accuracy, train_tau=0.0, dataset="pouring"):
  return {
    f"classification/val_{dataset}_1.0_accuracy": accuracy,
    f"kendalls_tau/{dataset}_val_align_tau": tau,
    f"kendalls_tau/{dataset}_train_align_tau": train_tau,
    f"metrics/{dataset}_kendalls_tau": tau,
  }


@pytest.fixture
def runs(tmp_path):
  """Two runs; the first was best in the middle, the second knows no tau."""
  tcc, sal = tmp_path / "tcc", tmp_path / "sal_50%"
  metrics.append(tcc, 0, scalars(-0.25, 0.5, 0.0))
  metrics.append(tcc, 10, scalars(0.75, 0.5004, 0.8))
  metrics.append(tcc, 20, scalars(0.5, 0.6, 0.5))
  metrics.append(sal, 0, scalars(math.nan, 0.6004, math.nan))
  return [str(tcc), str(sal)]


def lines_of(text, start):
  return [line for line in text.splitlines() if line.startswith(start)]


def test_markdown_of_the_last_checkpoints(runs):
  tcc, sal = runs
  assert lines_of(report.report(runs), "|") == [
    "| run | step | cls. 100 % | tau |",
    "| --- | ---: | ---: | ---: |",
    # Equal to three digits is equally good.
    f"| {tcc} | 20 | **0.600** | **0.500** |",
    f"| {sal} | 0 | **0.600** | - |",
  ]


def test_best_is_chosen_by_the_tau_of_training_videos(runs):
  tcc, _ = runs
  lines = lines_of(report.report(runs, "best"), "|")
  assert lines[2] == f"| {tcc} | 10 | 0.500 | **0.750** |"
  assert lines[3].endswith("| 0 | **0.600** | - |")


def test_latex(runs):
  text = report.report(runs)
  assert r"\begin{tabular}{lrrr}" in text
  assert r"run & step & cls. 100 \% & tau \\" in text
  assert r"sal\_50\% & 0 & \textbf{0.600} & - \\" in text
  assert text.endswith("\\bottomrule\n\\end{tabular}")


def test_highest_of_negative_values_is_bold():
  rows = {"a": {"step": 1, "tau": -0.2}, "b": {"step": 1, "tau": -0.1}}
  assert "| b | 1 | **-0.100** |" in report.markdown(rows)
  assert "| a | 1 | -0.200 |" in report.markdown(rows)


def test_a_table_a_data_set(tmp_path):
  both = {**scalars(0.1, 0.2), **scalars(0.3, 0.4, dataset="squats_2")}
  metrics.append(tmp_path, 3, both)
  text = report.report([str(tmp_path)])
  assert text.startswith("pouring\n") and "\n\nsquats_2\n\n" in text
  assert "**0.100**" in text and "**0.300**" in text


def test_columns_are_tags_that_tasks_write():
  """Guards against a tag that changes in one place only."""
  import test_evaluation

  import config as configuration

  config = configuration.load()
  train = test_evaluation.made_videos(20, 0)
  val = test_evaluation.made_videos(5, 1)
  written = set()
  for task in test_evaluation.EMBEDDING_TASKS:
    written |= set(test_evaluation.evaluate(task, config, train, val).scalars)
  assert {tag.format("toy") for tag in report.COLUMNS.values()} <= written


def test_mistakes_are_told(tmp_path):
  with pytest.raises(UserError, match="holds no metrics of a data set; run"):
    report.report([str(tmp_path)])
  command = [sys.executable, "-m", "evaluation.report"]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 1
  assert done.stderr.startswith("error: expected the log directories")


def test_command_line(runs):
  command = [sys.executable, "-m", "evaluation.report", "--checkpoint=best"]
  done = subprocess.run(
    [*command, *runs], cwd=ROOT, capture_output=True, text=True, check=True
  )
  assert done.stdout == report.report(runs, "best") + "\n"
