import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT


def run(script, path, cwd):
  options = {"cwd": cwd, "env": os.environ | {"PATH": str(path)}}
  command = ["/bin/bash", script]
  return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture
def commands(tmp_path):
  """A PATH with what the scripts need besides Python, and nothing else."""
  folder = tmp_path / "commands"
  folder.mkdir()
  for name in ("dirname", "cmp", "cp"):
    (folder / name).symlink_to(shutil.which(name))
  return folder


def fake_python(path, version):
  """Writes a Python that reports a version and fails at all else."""
  release = "(" + version.replace(".", ", ") + ")"
  path.write_text(
    f"""#!/bin/bash
[ "$1" = --version ] && echo "Python {version}" && exit
[ "$1" = -c ] && exec {sys.executable} -c "import sys
sys.version_info = {release}
${{2#import sys; }}"
exit 1
"""
  )
  path.chmod(0o755)
  return path


def message_of(script, path, cwd):
  done = run(script, path, cwd)
  assert done.returncode == 1
  return done.stderr


@pytest.mark.parametrize("script", ["run.sh", "test.sh"])
def test_missing_and_unsupported_python_is_refused(script, commands, tmp_path):
  start = (ROOT / script, commands, tmp_path)
  missing = "error: python3 not found; install Python 3.11 to 3.13\n"
  assert message_of(*start) == missing
  for version in ("3.9.2", "3.10.14", "3.14.0"):
    fake = fake_python(commands / "python3", version)
    assert message_of(*start) == (
      f"error: {fake} is Python {version}; Python 3.11 to 3.13 is needed, put"
      " one first in PATH\n"
    )
  assert os.listdir(tmp_path) == ["commands"]


@pytest.fixture
def project(tmp_path):
  """A checkout without requirements, for making environments."""
  folder = tmp_path / "project"
  folder.mkdir()
  shutil.copy(ROOT / "environment.sh", folder)
  (folder / "requirements.txt").write_text("# None.\n")
  script = "source ./environment.sh && python -c 'import pip, sys"
  script += "\nprint(sys.prefix)'\n"
  (folder / "start.sh").write_text(f"set -euo pipefail\n{script}")
  return folder


def test_python_without_venv_is_refused(project, commands):
  fake_python(commands / "python3", "3.12.4")
  assert message_of("start.sh", commands, project) == (
    f"error: python3 -m venv can't make {project}/.venv; install python3-venv"
    " (Debian, Ubuntu: apt install python3-venv) or make room\n"
  )


def test_an_environment_is_made_once_and_healed(project, commands):
  # The first Python that is supported comes last.
  fake_python(commands / "python3", "3.14.0")
  fake_python(commands / "python3.13", "3.10.0")
  base = pathlib.Path(sys.base_prefix) / "bin" / "python3"
  (commands / "python3.12").symlink_to(base)
  # An installation was interrupted early.
  environment = project / ".venv"
  subprocess.run([base, "-m", "venv", "--without-pip", environment], check=True)

  def start():
    done = run("start.sh", commands, project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(environment)
    return "Installing the pinned" in done.stdout

  assert start()
  assert not start()
  # Another Python made the environment.
  python = environment / "bin" / "python"
  python.unlink()
  fake_python(python, "3.10.14")
  assert start()
