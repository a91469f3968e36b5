"""Names of all files inside a log directory.

LOGDIR/config.yml                the merged configuration of the run
LOGDIR/ckpt-<step>.index, ...    checkpoints
LOGDIR/train_logs/               TensorBoard curves of training
LOGDIR/eval_logs/                TensorBoard curves of evaluation
LOGDIR/eval_logs/metrics.jsonl   a line for each evaluated checkpoint
LOGDIR/eval_logs/projector/      what TensorBoard's projector shows
"""

import os
import pathlib
import re

CHECKPOINT_NAME = "ckpt"


def config_file(logdir: str | os.PathLike) -> pathlib.Path:
  """Return the path of the configuration that training saves."""
  return pathlib.Path(logdir) / "config.yml"


def train_logs(logdir: str | os.PathLike) -> pathlib.Path:
  """Return the folder of the curves of training."""
  return pathlib.Path(logdir) / "train_logs"


def eval_logs(logdir: str | os.PathLike) -> pathlib.Path:
  """Return the folder of the curves of evaluation."""
  return pathlib.Path(logdir) / "eval_logs"


def metrics_file(logdir: str | os.PathLike) -> pathlib.Path:
  """Return the path of the metrics, a line for each evaluation."""
  return eval_logs(logdir) / "metrics.jsonl"


def list_checkpoints(logdir: str | os.PathLike) -> list[tuple[int, str]]:
  """List the complete checkpoints of a run.

  TensorFlow writes the index of a checkpoint last and renames it into place, so
  a checkpoint with an index is complete.

  Args:
    logdir: The log directory, which need not exist.

  Returns:
    Step and path (without ending) of each checkpoint, sorted by step.
  """
  found = []
  for path in pathlib.Path(logdir).glob(f"{CHECKPOINT_NAME}-*.index"):
    if match := re.fullmatch(rf"{CHECKPOINT_NAME}-(\d+)\.index", path.name):
      found.append((int(match[1]), str(path.with_suffix(""))))
  return sorted(found)


def has_training(logdir: str | os.PathLike) -> bool:
  """Return whether a log directory has curves or checkpoints of training."""
  patterns = ("checkpoint", f"{CHECKPOINT_NAME}-*", "train_logs")
  return any(any(pathlib.Path(logdir).glob(p)) for p in patterns)
