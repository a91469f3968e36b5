import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT


def run(script, *arguments, path, cwd):
  return subprocess.run(
    ["/bin/bash", script, *arguments],
    cwd=cwd,
    env=os.environ | {"PATH": str(path)},
    capture_output=True,
    text=True,
  )


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
  path.parent.mkdir(parents=True, exist_ok=True)
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


@pytest.mark.parametrize("script", ["run.sh", "test.sh"])
@pytest.mark.parametrize("version", ["3.9.2", "3.10.14", "3.14.0"])
def test_unsupported_python_is_refused(script, version, commands, tmp_path):
  fake = fake_python(commands / "python3", version)
  done = run(ROOT / script, "out", path=commands, cwd=tmp_path)
  assert done.returncode == 1
  assert done.stderr == (
    f"error: {fake} is Python {version}; Python 3.11 to 3.13 is needed, put one"
    " first in PATH\n"
  )
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", ["run.sh", "test.sh"])
def test_missing_python_is_refused(script, commands, tmp_path):
  done = run(ROOT / script, path=commands, cwd=tmp_path)
  assert done.returncode == 1
  assert done.stderr == (
    "error: python3 not found; install Python 3.11 to 3.13\n"
  )


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


def assert_starts(project, commands):
  done = run("start.sh", path=commands, cwd=project)
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1] == str(project / ".venv")
  return done.stdout


def test_an_environment_is_made_once_and_healed(project, commands):
  # The first Python that is supported comes last.
  fake_python(commands / "python3", "3.14.0")
  fake_python(commands / "python3.13", "3.10.0")
  base = pathlib.Path(sys.base_prefix) / "bin" / "python3"
  (commands / "python3.12").symlink_to(base)
  # An installation was interrupted early.
  subprocess.run(
    [base, "-m", "venv", "--without-pip", project / ".venv"], check=True
  )
  assert "Installing the pinned" in assert_starts(project, commands)
  assert "Installing" not in assert_starts(project, commands)
  # Another Python made the environment.
  python = project / ".venv" / "bin" / "python"
  python.unlink()
  fake_python(python, "3.10.14")
  assert "Installing the pinned" in assert_starts(project, commands)


def test_python_without_venv_is_refused(project, commands):
  fake_python(commands / "python3", "3.12.4")
  done = run("start.sh", path=commands, cwd=project)
  assert done.returncode == 1
  assert done.stderr == (
    f"error: python3 -m venv can't make {project}/.venv; install python3-venv"
    " (Debian, Ubuntu: apt install python3-venv) or make room\n"
  )
