import os
import subprocess
import sys

from tests.helpers.paths import ROOT

# Runs without the modules that Windows does not have.
IMPORT = """
import sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
  sys.modules[name] = None
import core.quiet_tensorflow
import importlib, os
for name in sys.argv[1:]:
  importlib.import_module(name)
print(os.environ["TF_FORCE_GPU_ALLOW_GROWTH"])
os.write(2, b"loud")
"""


def start(*names, **environment):
  cleared = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
  done = subprocess.run(
    # Filelock warns of systems that have no locks, which is not Windows.
    [sys.executable, "-W", "ignore:only soft", "-c", IMPORT, *names],
    cwd=ROOT,
    env=cleared | environment,
    capture_output=True,
    text=True,
  )
  return done.stdout, done.stderr


def test_all_modules_import_quietly_and_on_windows():
  """File descriptor 2 is not redirected, and GPU memory taken as needed."""
  paths = [path.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/*.py")]
  names = [".".join(path.with_suffix("").parts) for path in paths]
  names += [path.stem for path in ROOT.glob("*.py")]
  # Whether Beam can be imported on Windows is not for us to say.
  others = ("tests.", "benchmarks.", "examples.", "dataset_preparation.beam_")
  names = [n for n in names if not n.startswith(others) and "__" not in n]
  assert start(*names) == ("true\n", "loud")


def test_the_user_decides_on_memory_of_gpus():
  settings = {"TF_FORCE_GPU_ALLOW_GROWTH": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}
  assert start(**settings) == ("false\n", "loud")
