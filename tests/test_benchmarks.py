import importlib
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_finds_what_it_measures(name):
  """They run for minutes, so the tests only ask that their imports hold."""
  assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_a_benchmark_starts_by_itself():
  """As a script: what it needs may have been imported by others in here."""
  done = subprocess.run(
    [sys.executable, "-m", "benchmarks.preparation", "--rounds=none"],
    cwd=FOLDER.parent,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.stderr.startswith("error: flag --rounds=none: ")
