"""Time until `train.py` has taken its first step, and time of `--help`.

Prints what `--help` of each command takes beside `import tensorflow`, wall
clock and processor, then where the first seconds of training go (a later step
shows what the first takes if nothing is to be prepared), and the seconds from
the start of `train.py` to the end of its first step. All are medians.

Usage: python -m benchmarks.startup [--rounds 3] [--quick]
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from absl import flags

from benchmarks.measuring import report, run_in_new_process, time_call
from core import command_line, errors

FLAGS = flags.FLAGS

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# In the order in which they end.
_STAGES = (
  *("imports", "network", "optimizer", "saver", "input pipeline"),
  *("checkpoint", "first batch", "tracing and first step"),
  *("second batch", "second step"),
)


def measure_stages(settings: list[str], logdir: str) -> dict[str, float]:
  """Train two steps in a process that has imported nothing; time each stage."""
  marks = [time.perf_counter()]
  import train

  marks.append(time.perf_counter())

  def mark(owner: Any, name: str) -> None:
    """Have a function note when it is called."""
    function = getattr(owner, name)

    def marked(*arguments: Any) -> Any:
      marks.append(time.perf_counter())
      return function(*arguments)

    setattr(owner, name, marked)

  def build_train_step(*arguments: Any) -> Any:
    built = SimpleNamespace(step=build(*arguments))
    mark(built, "step")
    return built.step

  build, train.build_train_step = train.build_train_step, build_train_step
  mark(train, "build_optimizer")
  mark(train.datasets, "train_batches")
  mark(train.checkpoints.Saver, "save")
  mark(train.checkpoints, "Saver")
  mark(train, "build_train_step")
  mark(train.TrainLog, "step")
  config = train.configuration.load([], [*settings, "TRAIN.MAX_ITERS=2"])
  config.LOGDIR = logdir
  train.train(config)
  # The last checkpoint is saved after them.
  return dict(zip(_STAGES, np.diff(marks).tolist(), strict=False))


def measure_startup(settings: list[str], logdir: str) -> float:
  """Measure the seconds until `train.py` has taken its first step."""
  command = [sys.executable, "train.py", f"--logdir={logdir}"]
  command += [f"--set={x}" for x in (*settings, "TRAIN.MAX_ITERS=1")]
  start = time.perf_counter()
  process = subprocess.Popen(
    command, cwd=_ROOT, stderr=subprocess.PIPE, text=True
  )
  for line in process.stderr:
    if "step 1/1 " in line:
      seconds = time.perf_counter() - start
  if process.wait():
    raise errors.UserError("train.py failed; run it by hand to see why")
  return seconds


def measure_python(*arguments: str) -> tuple[float, float]:
  """Measure the seconds of a run of Python: wall clock and processor."""
  command, before = [sys.executable, *arguments], os.times()
  options = {"cwd": _ROOT, "capture_output": True}
  seconds, _ = time_call(lambda: subprocess.run(command, **options))
  return seconds, sum(os.times()[2:4]) - sum(before[2:4])


def list_commands() -> list[str]:
  """List the modules that are commands, but for Beam's, which is optional."""
  paths = [*_ROOT.glob("*.py"), *_ROOT.glob("dataset_preparation/[!b]*.py")]
  paths = [p for p in paths if "__main__" in p.read_text("utf-8")]
  names = [".".join(p.relative_to(_ROOT).with_suffix("").parts) for p in paths]
  return sorted(names)


def main() -> None:
  """Measure `--help`, then training."""
  rounds = range(1 if FLAGS.quick else FLAGS.rounds)
  runs = {"import tensorflow": ("-c", "import tensorflow")}
  for name in ["train"] if FLAGS.quick else list_commands():
    runs[f"{name} --help"] = "-m", name, "--help"
  seconds = [[measure_python(*run) for run in runs.values()] for _ in rounds]
  for name, times in zip(runs, np.median(seconds, axis=0), strict=True):
    report("{:46} {:6.2f} s, CPU {:5.2f} s".format(name, *times))
  # Here: child processes time the imports.
  from benchmarks import made_records, train_step

  stages, totals = [], []
  with tempfile.TemporaryDirectory() as folder:
    settings = train_step.list_settings(folder, FLAGS.quick)
    lengths = [60] * (2 if FLAGS.quick else 8)
    made_records.write_records(pathlib.Path(folder), lengths)
    for i in rounds:
      arguments = settings, f"{folder}/stages{i}"
      stages.append(run_in_new_process(measure_stages, *arguments))
      totals.append(measure_startup(settings, f"{folder}/startup{i}"))
  for stage in _STAGES:
    report(f"{stage:46} {np.median([s[stage] for s in stages]):6.2f} s")
  report(f"{'start to end of step 1':46} {np.median(totals):6.2f} s")


if __name__ == "__main__":
  flags.DEFINE_integer("rounds", 3, "Measurements of each kind.", 1)
  flags.DEFINE_boolean("quick", False, "Measure once, with a tiny network.")
  command_line.run(main)
