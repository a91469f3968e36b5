import os
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT


@pytest.mark.parametrize(
  "command",
  [
    "train.py --config=~/none",
    "evaluate.py --logdir=~/none --nocontinuous_eval",
    "evaluate.py --train_embs=~/none --val_embs=~/other --dataset=mine",
    "extract_embeddings.py --logdir=~/none --dataset=mine --split=val",
    "visualize_alignment.py --embs_path=~/none",
    "-m evaluation.metrics --logdir=~/none",
  ],
)
def test_the_home_folder_in_one_word_with_the_flag(tmp_path, command):
  """Shells leave `--flag=~/none` as it is."""
  done = subprocess.run(
    [sys.executable, *command.split()],
    cwd=ROOT,
    env={**os.environ, "HOME": str(tmp_path)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  assert f"{tmp_path}/none" in done.stderr.splitlines()[-1]


def test_help_lists_path_flags_under_the_script():
  done = subprocess.run(
    [sys.executable, "-m", "evaluation.metrics", "--help"],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert "--logdir: Log directory of an evaluated run." in done.stdout
