"""Trains every algorithm on one data set for the same time; one table of all.

python -m benchmarks.compare_algorithms --records demo/tfrecords \
  --budget_minutes 7 --output_dir /tmp/comparison

Each algorithm takes as many steps as fit into the budget on this machine (one
that sees more frames a step takes fewer), with everything else as in the
configuration. The first row is the untrained network; a second table shows
every metric of the validation videos, a column a method. A run whose last step
was evaluated is not trained again; one that was interrupted is continued. Runs
of other settings or another budget are refused.
"""

import core.quiet_tensorflow  # noqa: F401

import math
import pathlib
import re
import tempfile
from collections.abc import Mapping

from absl import flags, logging
from easydict import EasyDict

import config as configuration
from benchmarks.measuring import run_module
from core import run_directory
from core.command_line import define_path, run
from core.errors import UserError
from core.files import make_folder
from core.settings import flatten
from evaluation import TASKS, Metric, metrics, report

FLAGS = flags.FLAGS

_COMBINATION = "TRAINING_ALGO=alignment_sal_tcn"
_WEIGHT = "ALIGNMENT_SAL_TCN.{}_LOSS_WEIGHT={}".format
# The paper tries weights of 0.25, 0.5 and 0.75.
METHODS = {
  "TCC": ["TRAINING_ALGO=alignment"],
  "SaL": ["TRAINING_ALGO=sal"],
  "TCN": ["TRAINING_ALGO=tcn"],
  "TCC+SaL": [_COMBINATION, _WEIGHT("ALIGNMENT", 0.5), _WEIGHT("SAL", 0.5)],
  "TCC+TCN": [_COMBINATION, _WEIGHT("ALIGNMENT", 0.5), _WEIGHT("SAL", 0)],
  "TCC+SaL+TCN": [_COMBINATION],
  "supervised": ["TRAINING_ALGO=classification"],
}
# A short run measures the speed; its first half warms up.
_TRIAL_STEPS = 60
# Where the budget of a run stands, in its log directory.
_BUDGET_FILE = "budget_minutes.txt"
# What this script decides for each run.
_OWN_KEYS = ("LOGDIR", "TRAIN.MAX_ITERS", "CHECKPOINT.SAVE_INTERVAL")
# What training settles, where it is set so.
_SETTLED = {"PRECISION": "auto", "CLASSIFICATION.NUM_CLASSES": 0}


def measure_steps(minutes: float, arguments: list[str]) -> int:
  """Measure how many training steps fit into a time on this machine."""
  trial = [f"--set=TRAIN.MAX_ITERS={_TRIAL_STEPS}"]
  trial += [f"--set=LOGGING.REPORT_INTERVAL={_TRIAL_STEPS // 2}"]
  with tempfile.TemporaryDirectory() as folder:
    done = run_module("train", f"--logdir={folder}/trial", *arguments, *trial)
  speeds = re.findall(r"([\d.]+) steps/s", done.stderr)
  return max(1, round(float(speeds[-1]) * minutes * 60))


def find_planned_steps(
  wanted: EasyDict, minutes: float, logdir: pathlib.Path
) -> int | None:
  """Read the number of steps of a run that was begun.

  Args:
    wanted: Configuration the run should have.
    minutes: Budget the run should have.
    logdir: Log directory of the run.

  Returns:
    The number; None if the run was not begun.

  Raises:
    UserError: The run was begun with other settings or another budget.
  """
  if not run_directory.config_file(logdir).exists():
    return None
  stored = configuration.load_run(logdir)
  budget, flag = logdir / _BUDGET_FILE, "--budget_minutes"
  found = flatten(stored)
  found[flag] = budget.read_text() if budget.exists() else "no budget"
  expected = flatten(wanted) | {flag: f"{minutes:g}"}
  for key, value in expected.items():
    settled = (key, value) in _SETTLED.items()
    if value != found[key] and key not in _OWN_KEYS and not settled:
      raise UserError(
        f"{logdir}: expected a run with {key}={value}, received"
        f" {found[key]}; choose another --output_dir"
      )
  return stored.TRAIN.MAX_ITERS


def train_and_evaluate(
  name: str,
  settings: list[str],
  minutes: float,
  output_dir: pathlib.Path,
  config_file: str | None = None,
) -> dict[int, dict[str, float]]:
  """Train one method for a time and evaluate it, before and after.

  A run that was begun keeps its number of steps and does what is left.

  Args:
    name: Of the method; names its log directory.
    settings: The settings of the method, such as `TRAINING_ALGO=tcn`.
    minutes: How long to train.
    output_dir: Folder of the log directories.
    config_file: A YAML file that the settings go over.

  Returns:
    Step -> tag -> value of the first and the last checkpoint.

  Raises:
    UserError: There is a run of other settings, or training fails.
  """
  logdir = output_dir / name.replace("+", "_")
  files = [config_file] if config_file else []
  wanted = configuration.load(files, settings)
  steps = find_planned_steps(wanted, minutes, logdir)
  if steps is None or steps not in metrics.read(logdir):
    arguments = [f"--set={setting}" for setting in settings]
    arguments += [f"--config={file}" for file in files]
    steps = steps or measure_steps(minutes, arguments)
    logging.info("%s: %d steps", name, steps)
    (make_folder(logdir) / _BUDGET_FILE).write_text(f"{minutes:g}")
    arguments += [f"--set=TRAIN.MAX_ITERS={steps}", "--force_train"]
    arguments += ["--set=CHECKPOINT.SAVE_INTERVAL=1000000"]
    run_module("train", f"--logdir={logdir}", *arguments)
    run_module("evaluate", f"--logdir={logdir}")
  return metrics.read(logdir)


def list_settings(
  method: list[str], records: str, dataset: str, settings: list[str]
) -> list[str]:
  """List all settings of a method's run; the last of a key counts."""
  folder = pathlib.Path(records).resolve()
  # The table has columns for all tasks.
  basis = [f"PATH_TO_TFRECORDS={folder}", f"EVAL.TASKS=[{', '.join(TASKS)}]"]
  return [*basis, *settings, f"DATASETS=[{dataset}]", *method]


def format_metrics(columns: Mapping[str, Mapping[str, float]]) -> str:
  """Format every metric of the validation videos as a Markdown table.

  Args:
    columns: Title -> tag -> value, as `metrics.read` gives it for a step.

  Returns:
    A line a metric, a column a title; a dash for what is not defined.
  """
  tags = dict.fromkeys(tag for values in columns.values() for tag in values)
  lines = [["metric", *columns]]
  for tag in tags:
    if not Metric.from_tag(tag).is_detail:
      numbers = [values.get(tag, math.nan) for values in columns.values()]
      lines.append([tag, *map(report.format_number, numbers)])
  return report.join_markdown(lines)


def main() -> None:
  """Compare all methods and print their tables."""
  output_dir = make_folder(FLAGS.output_dir)
  config_file = str(pathlib.Path(FLAGS.config).resolve())
  options = (FLAGS.budget_minutes, output_dir, config_file)
  common = (FLAGS.records, FLAGS.dataset, FLAGS.set)
  rows, columns = {}, {}
  for name, method in METHODS.items():
    settings = list_settings(method, *common)
    results = train_and_evaluate(name, settings, *options)
    if not rows:
      first = report.summarize_run(results, FLAGS.dataset, "first")
      rows["untrained"], columns["untrained"] = first, results[min(results)]
    rows[name] = report.summarize_run(results, FLAGS.dataset)
    columns[name] = results[max(results)]
    print(report.format_markdown(rows), flush=True)
  print(format_metrics(columns))


if __name__ == "__main__":
  define_path("records", None, "Folder of TFRecords.", required=True)
  flags.DEFINE_string("dataset", "pouring", "Name of the data set.")
  define_path("config", "configs/demo.yml", "Configuration of all.")
  flags.DEFINE_multi_string("set", [], "One setting of all; may be repeated.")
  flags.DEFINE_float("budget_minutes", 7, "Minutes each method trains.", 0.1)
  define_path("output_dir", "/tmp/comparison", "Folder of the runs.")
  run(main)
