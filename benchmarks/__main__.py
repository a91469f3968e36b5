"""Runs all benchmarks and writes what they print to `docs/performance.md`.

Usage: python -m benchmarks [--quick] [--output docs/performance.md]
"""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import re

from absl import flags

from benchmarks.measuring import report, run_module
from core import command_line
from core.files import atomic_write

FLAGS = flags.FLAGS

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# Without those that train for an hour. With the options of each run.
_BENCHMARKS = (
  ("startup",),
  ("train_step",),
  ("input_pipeline",),
  ("embedding",),
  ("cached_features",),
  ("evaluation", "--size=pouring"),
  ("evaluation", "--size=long"),
  ("alignment_loss",),
  ("preparation",),
)
_LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn", "av")


def describe_machine() -> str:
  """Describe date, processor, memory and versions in a line of Markdown."""
  processor = platform.processor() or platform.machine()
  facts = pathlib.Path("/proc/cpuinfo")
  if facts.exists():
    found = re.search(r"model name\s*: (.*)", facts.read_text())
    processor = found[1] if found else processor
  versions = ", ".join(
    f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES
  )
  return (
    f"{datetime.date.today()}, {os.cpu_count()} cores of {processor}, Python"
    f" {platform.python_version()}, {versions}."
  )


def run(name: str, *options: str) -> str:
  """Run a benchmark; return what it printed, with what it measures."""
  done = run_module(f"benchmarks.{name}", *options)
  text = (_ROOT / "benchmarks" / f"{name}.py").read_text()
  title = re.match('"""(.*)\\n', text)[1]
  call = " ".join(["python -m", f"benchmarks.{name}", *options])
  return f"## {title}\n\n`{call}`\n\n```\n{done.stdout.strip()}\n```\n"


def main() -> None:
  """Run the benchmarks one after another."""
  quick = ["--quick"] if FLAGS.quick else []
  sections = [
    "# Performance\n",
    "What `python -m benchmarks` printed. Compare ratios, which were measured"
    " in one run each; seconds differ\nfrom machine to machine.\n",
    describe_machine() + "\n",
  ]
  for name, *options in _BENCHMARKS:
    sections.append(run(name, *options, *quick))
    report(sections[-1])
  with atomic_write(FLAGS.output) as path:
    path.write_text("\n".join(sections))


if __name__ == "__main__":
  flags.DEFINE_bool("quick", False, "Tiny sizes, to see that they run.")
  command_line.define_path(
    "output", str(_ROOT / "docs" / "performance.md"), "File to write."
  )
  command_line.run(main)
