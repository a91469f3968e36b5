import os

from tests.helpers.paths import ROOT
from tests.helpers.processes import run_python

# Runs without the modules that Windows does not have.
IMPORT = """
import sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
  sys.modules[name] = None
import core.quiet_tensorflow
import importlib, os
for name in sys.argv[1:]:
  importlib.import_module(name)
variable = "TF_FORCE_GPU_ALLOW_GROWTH"
print(os.environ[variable])
os.environ[variable] = "false"
importlib.reload(core.quiet_tensorflow)
print(os.environ[variable])
os.write(2, b"loud")
"""


def test_all_modules_import_quietly_and_on_windows():
  """File descriptor 2 stays; GPU memory is taken as needed or told."""
  paths = [path.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/*.py")]
  names = [".".join(path.with_suffix("").parts) for path in paths]
  names += [path.stem for path in ROOT.glob("*.py")]
  # Whether Beam can be imported on Windows is not for us to say.
  others = ("tests.", "benchmarks.", "examples.", "dataset_preparation.beam_")
  names = [n for n in names if not n.startswith(others) and "__" not in n]
  done = run_python(
    # Filelock warns of systems that have no locks, which is not Windows.
    *("-W", "ignore:only soft", "-c", IMPORT, *names),
    env={k: v for k, v in os.environ.items() if not k.startswith("TF_")},
  )
  assert (done.stdout, done.stderr) == ("true\nfalse\n", "loud")


HEAVY = """
import sys
import train, evaluate
from evaluation import TASKS
assert "event_completion" in TASKS
print(sorted({"av", "cv2", "matplotlib", "sklearn"} & sys.modules.keys()))
TASKS["event_completion"]
import matplotlib.figure
print("sklearn.linear_model" in sys.modules)
"""


def test_training_and_evaluation_start_without_what_they_may_not_need():
  """Keras does not find it either; whoever needs it does."""
  assert run_python("-c", HEAVY).stdout == "[]\nTrue\n"
