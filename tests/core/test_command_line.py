import os

from tests.helpers.processes import run_modules


def test_path_flags_know_the_home_folder_and_help_lists_them(tmp_path):
  """Shells leave `--flag=~/none` as it is."""
  lines = [
    *("train --config=~/none", "visualize_alignment --embs_path=~/none"),
    "evaluate --logdir=~/none --nocontinuous_eval",
    "evaluate --train_embs=~/none --val_embs=~/other --dataset=mine",
    "extract_embeddings --logdir=~/none --dataset=mine --split=val",
    "evaluation.metrics --logdir=~/none",
    *(f"evaluation.metrics {x}" for x in ("--logdir=~/none word", "--help")),
  ]
  # A parent process has silenced TensorFlow, or this one does.
  variables = {"HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
  done = run_modules(*lines, env=os.environ | variables)
  told = done.stderr.splitlines()
  assert told[1::2] == [f"{line.split()[0]} ended with 1" for line in lines[:7]]
  for error in told[0:12:2]:
    assert error.startswith("error: ") and f"{tmp_path}/none" in error
  assert told[12] == (
    "error: expected options only, received 'word'; write --NAME=VALUE"
  )
  assert "--logdir: Log directory of the run." in done.stdout
