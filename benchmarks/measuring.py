"""Time and memory, as several benchmarks measure them."""

import concurrent.futures
import multiprocessing
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from core.errors import UserError


def time_call(function: Callable, *arguments: Any) -> tuple[float, Any]:
  """Measure the seconds of a call; return its result as well."""
  start = time.perf_counter()
  result = function(*arguments)
  return time.perf_counter() - start, result


def report(text: str) -> None:
  """Print a result as soon as it is there, also into a pipe."""
  print(text, flush=True)


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess:
  """Run a module of the project as a script.

  Args:
    module: Name of the module, such as `train`.
    *arguments: Flags of the script.

  Returns:
    What it printed and logged, as `stdout` and `stderr`.

  Raises:
    UserError: The script failed.
  """
  command = [sys.executable, "-m", module, *arguments]
  root = pathlib.Path(__file__).parents[1]
  done = subprocess.run(command, cwd=root, capture_output=True, text=True)
  if done.returncode:
    told = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    raise UserError(
      f"{module}: expected it to run, received an error; run it by itself"
      f" ({told[-1]})"
    )
  return done


def run_in_new_process(function: Callable, *arguments: Any) -> Any:
  """Return what a function of a module returns in a process of its own."""
  context = multiprocessing.get_context("spawn")
  with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
    return pool.submit(function, *arguments).result()


def read_peak_memory() -> float:
  """Return the most MiB that this process has held so far."""
  # Unlike getrusage, Linux does not start here from what the parent held.
  status = pathlib.Path("/proc/self/status")
  if status.exists():
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
  import resource  # Windows lacks it.

  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS.
