"""What an installation of the library holds and needs."""

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from tests.helpers.paths import ROOT


def run(*command, **options):
  process = subprocess.run(command, capture_output=True, text=True, **options)
  assert process.returncode == 0, process.stderr
  return process.stdout


def closure(*names):
  """Names of distributions and of all that they require here."""
  found = set()
  waiting = list(names)
  while waiting:
    name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
    if name in found:
      continue
    found.add(name)
    for line in importlib.metadata.requires(name) or ():
      requirement = Requirement(line)
      if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
        waiting.append(requirement.name)
  return found


def link_packages(folder, *names):
  """Makes a folder of links to what the distributions installed."""
  folder.mkdir()
  for name in closure(*names):
    distribution = importlib.metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files} - {".."}:
      source, link = distribution.locate_file(top), folder / top
      if not link.exists():
        link.symlink_to(source)


@pytest.mark.slow
def test_installed_library_needs_tensorflow_and_numpy_only(tmp_path):
  # pip builds in the folder it installs from.
  source, target = tmp_path / "source", tmp_path / "installed"
  generated = (".*", "*.egg-info", "__pycache__", "build", "demo")
  shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*generated))
  pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
  run(*pip, "--quiet", "--no-deps", "--target", target, source)
  modules = {path.name for path in target.iterdir() if path.is_dir()}
  assert {name for name in modules if "." not in name} == {"tcc"}

  packages, elsewhere = tmp_path / "packages", tmp_path / "elsewhere"
  link_packages(packages, "tensorflow", "numpy")
  elsewhere.mkdir()
  code = (
    "import importlib.util as u, tcc, tensorflow as tf\n"
    "others = ['cv2', 'sklearn', 'easydict', 'av', 'yaml', 'config', 'algos']\n"
    "print([name for name in others if u.find_spec(name)])\n"
    "print(tcc.__file__)\n"
    "print(float(tcc.compute_alignment_loss(tf.ones([2, 2, 1]), 2)))\n"
  )
  # Without -S, the test's own environment would be there as well.
  path = os.pathsep.join([str(target), str(packages)])
  environment = {**os.environ, "PYTHONPATH": path}
  python = [sys.executable, "-S", "-c", code]
  others, file, loss = run(*python, cwd=elsewhere, env=environment).splitlines()
  assert others == "[]"
  assert pathlib.Path(file).is_relative_to(target)
  assert float(loss) == pytest.approx(0.6931472)
