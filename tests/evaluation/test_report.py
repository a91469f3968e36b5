import math

import pytest

import config as configuration
from core.errors import UserError
from evaluation import TASKS, metrics, report
from tests.helpers.embedded_videos import evaluate, made_videos
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


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


def test_the_last_checkpoints(runs):
  tcc, sal = runs
  text = report.report(runs)
  assert text.startswith("Each run at its last evaluated checkpoint; ")
  assert text.splitlines()[0].endswith("best of each column in bold.")
  assert text.splitlines()[1:3] == ["", "pouring"]
  assert lines_of(text, "|") == [
    "| run | step | cls. 100 % | tau |",
    "| --- | ---: | ---: | ---: |",
    # Equal to three digits is equally good.
    f"| {tcc} | 20 | **0.600** | **0.500** |",
    f"| {sal} | 0 | **0.600** | - |",
  ]


def test_best_is_chosen_by_the_tau_of_training_videos(runs):
  tcc, _ = runs
  text = report.report(runs, "best")
  rule = "Each run at the checkpoint whose training videos have the high"
  assert text.startswith(rule)
  lines = lines_of(text, "|")
  assert lines[2] == f"| {tcc} | 10 | 0.500 | **0.750** |"
  assert lines[3].endswith("| 0 | **0.600** | - |")


def test_latex(runs):
  text = report.report(runs)
  assert r"\begin{tabular}{lrrr}" in text
  assert r"run & step & cls. 100 \% & tau \\" in text
  assert r"sal\_50\% & 0 & \textbf{0.600} & - \\" in text
  assert text.endswith("\\bottomrule\n\\end{tabular}")


def test_the_highest_finite_value_is_bold():
  rows = {
    "a": {"step": 1, "tau": -0.2, "AP@5": math.nan, "1-shot": math.inf},
    "b": {"step": 1, "tau": -0.1, "AP@5": math.nan},
  }
  assert report.format_markdown(rows).splitlines() == [
    "| run | step | tau | 1-shot |",
    "| --- | ---: | ---: | ---: |",
    "| a | 1 | -0.200 | inf |",
    "| b | 1 | **-0.100** | - |",
  ]


def test_special_characters_of_names(tmp_path):
  folder = tmp_path / r"we|ird~^$\{x}#&"
  metrics.append(folder, 0, scalars(0.5, 0.5))
  text = report.report([str(folder)])
  assert r"/we\|ird~^$\{x}#& | 0 | **0.500** |" in text
  escaped = r"/we|ird\textasciitilde{}\textasciicircum{}\$\textbackslash{}"
  assert escaped + r"\{x\}\#\& & 0 & \textbf{0.500} &" in text


def test_columns_are_of_what_was_evaluated(tmp_path):
  few, many = tmp_path / "few", tmp_path / "many"
  values = {"0.25": 0.1, "1e-05": 0.2, "majority": 0.9, "phase_1": 0.9}
  tags = {f"classification/val_d_{k}_accuracy": x for k, x in values.items()}
  tags |= {"few_shot_cxn/val_d_2_accuracy": 0.3, "few_shot_cxn/val_d_2_ci": 0.9}
  tags |= {"event_completion/val_d_0.25_score": 0.4}
  tags |= {"retrieval/val_d_ap@7": 0.5}
  shots = {f"few_shot_cxn/val_d_{k}_accuracy": k / 100 for k in range(1, 13)}
  progress = {f"event_completion/val_d_{f}_score": f for f in (0.25, 0.5, 1.0)}
  metrics.append(few, 0, tags)
  metrics.append(many, 0, {**shots, **progress})
  heading, _, first = lines_of(report.report([str(few)]), "|")
  assert heading == (
    "| run | step | cls. 0.001 % | cls. 25 % | 2-shot | progression 25 % |"
    " AP@7 |"
  )
  assert "**0.200** | **0.100** | **0.300** | **0.400** | **0.500** |" in first
  text = report.report([str(few), str(many)])
  heading, _, first, second = lines_of(text, "|")
  assert heading == (
    "| run | step | cls. 0.001 % | cls. 25 % | 1-shot | 2-shot | 12-shot"
    " | progression 25 % | progression | AP@7 |"
  )
  assert first.endswith(
    "| **0.200** | **0.100** | - | **0.300** | - | **0.400** | - | **0.500** |"
  )
  assert second.endswith(
    "| - | - | **0.010** | 0.020 | **0.120** | 0.250 | **1.000** | - |"
  )


def test_evaluations_of_some_videos_do_not_count(tmp_path):
  metrics.append(tmp_path, 4, scalars(0.25, 0.5), {"max_embs": 2})
  told = f"only .--max_embs.*run `python evaluate.py --logdir {tmp_path}` wit"
  with pytest.raises(UserError, match=told):
    report.report([str(tmp_path)])
  metrics.append(tmp_path, 2, scalars(0.75, 0.5))
  assert "| 2 | **0.500** | **0.750** |" in report.report([str(tmp_path)])


def test_a_table_a_data_set(tmp_path):
  both = {**scalars(0.1, 0.2), **scalars(0.3, 0.4, dataset="squats_2")}
  metrics.append(tmp_path, 3, both)
  text = report.report([str(tmp_path)])
  assert "\n\npouring\n\n" in text and "\n\nsquats_2\n\n" in text
  assert "**0.100**" in text and "**0.300**" in text


def test_columns_are_tags_that_tasks_write():
  """Guards against a tag that changes in one place only."""
  config = configuration.load()
  train, val = made_videos(20, 0), made_videos(5, 1)
  written = {}
  for name in TASKS.keys() - {"algo_loss"}:
    written |= evaluate(name, config, train, val).scalars
  columns = report.list_columns([{0: written}], "toy")
  assert list(columns) == [
    *("cls. 10 %", "cls. 50 %", "cls. 100 %", "1-shot", "10-shot"),
    *("progression", "tau", "AP@5", "AP@10", "AP@15"),
  ]
  assert set(columns.values()) <= written.keys()


def test_mistakes_are_told(tmp_path):
  with pytest.raises(UserError, match="expected metrics of a data set, rec"):
    report.report([str(tmp_path)])
  metrics.append(tmp_path, 0, {"algo_loss/val_loss": 1.0})
  assert message_of(report.report, [str(tmp_path)]) == (
    f"{tmp_path}: expected metrics of phases, progression, tau or retrieval,"
    " received others; evaluate with such tasks in EVAL.TASKS"
  )


def test_command_line(runs):
  command = ("-m", "evaluation.report")
  done = run_python(*command, "--checkpoint=best", *runs)
  assert (done.returncode, done.stderr) == (0, "")
  assert done.stdout == report.report(runs, "best") + "\n"
  done = run_python(*command)
  assert done.returncode == 1
  assert done.stderr.startswith("error: LOGDIR: expected the log directories")
