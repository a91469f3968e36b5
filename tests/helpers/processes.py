"""Runs Python in processes of their own."""

import subprocess
import sys

from tests.helpers.paths import ROOT

# Runs modules one after the other, since each imports TensorFlow or Beam.
_RUN_MODULES = """
import runpy, shlex, sys
from absl import app, flags
app.define_help_flags()
for line in sys.argv[1:]:
  known = set(flags.FLAGS)
  sys.argv = shlex.split(line)
  module = sys.argv[0]
  try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
  except SystemExit as error:
    print(module, "ended with", error.code, file=sys.stderr)
  for name in set(flags.FLAGS) - known:
    delattr(flags.FLAGS, name)
  flags.FLAGS.unparse_flags()
"""


def run_python(*arguments, **options):
  """Runs Python, by default from the checkout; returns the ended process."""
  defaults = {"cwd": ROOT, "capture_output": True, "text": True}
  return subprocess.run([sys.executable, *arguments], **(defaults | options))


def run_modules(*lines, **options):
  """Runs modules with arguments, such as `train --config=none`."""
  arguments = ("-W", "ignore:::runpy", "-c", _RUN_MODULES, *lines)
  return run_python(*arguments, **options)
