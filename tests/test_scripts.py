import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run(script, *arguments, path, cwd):
  return subprocess.run(
    ["/bin/bash", ROOT / script, *arguments],
    cwd=cwd,
    env=os.environ | {"PATH": str(path)},
    capture_output=True,
    text=True,
  )


@pytest.fixture
def commands(tmp_path):
  """A PATH with nothing but what the scripts need before they find Python."""
  folder = tmp_path / "commands"
  folder.mkdir()
  (folder / "dirname").symlink_to("/usr/bin/dirname")
  return folder


@pytest.mark.parametrize("script", ["run.sh", "test.sh"])
def test_a_python_that_is_too_old_is_told(script, commands, tmp_path):
  # Does what Python 3.9 does with the question whether it is new enough.
  fake = commands / "python3"
  fake.write_text(
    '#!/bin/bash\n[ "$1" = --version ] && echo Python 3.9.2\n[ "$1" != -c ]\n'
  )
  fake.chmod(0o755)
  done = run(script, "out", path=commands, cwd=tmp_path)
  assert done.returncode == 1
  assert done.stderr == (
    f"error: {fake} is Python 3.9.2; Python 3.11 or newer is needed, put one"
    " first in PATH\n"
  )
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", ["run.sh", "test.sh"])
def test_no_python_is_told(script, commands, tmp_path):
  done = run(script, path=commands, cwd=tmp_path)
  assert done.returncode == 1
  assert done.stderr == (
    "error: python3 not found; install Python 3.11 or newer\n"
  )
