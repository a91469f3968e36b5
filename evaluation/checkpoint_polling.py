"""Finding the checkpoints of a run while training writes and deletes them."""

import contextlib
import functools
import pathlib
import time
from collections.abc import Iterable, Iterator

from absl import logging
from easydict import EasyDict

from core import files, run_directory
from core.errors import UserError

_LOOK_SECONDS = 0.5


def wait_for_start(
  logdir: str, start_timeout_minutes: float = 0, timeout_minutes: float = 0
) -> None:
  """Wait until training has written `config.yml` and a first checkpoint.

  Args:
    logdir: The log directory, which need not exist yet.
    start_timeout_minutes: How long to wait for `config.yml`; 0 = for ever.
    timeout_minutes: How long to wait for the checkpoint then; 0 = for ever.

  Raises:
    UserError: They did not come in time.
  """
  config = run_directory.config_file(logdir)
  find_checkpoints = functools.partial(run_directory.list_checkpoints, logdir)
  for what, exists, minutes in (
    (config.name, config.exists, start_timeout_minutes),
    ("its first checkpoint", find_checkpoints, timeout_minutes),
  ):
    start = time.monotonic()
    limit = f"at most {minutes:g} min" if minutes else "for ever"
    if not exists():
      message = "%s: waiting %s for training to write %s"
      logging.info(message, logdir, limit, what)
    while not exists():
      if minutes and time.monotonic() - start > 60 * minutes:
        raise UserError(
          f"{logdir}: expected training to write {what}, received nothing in"
          f" {minutes:g} min; correct --logdir, or see why train.py has not"
          " started"
        )
      time.sleep(_LOOK_SECONDS)


def evaluator_lock(logdir: str) -> contextlib.AbstractContextManager[None]:
  """Keep other processes from evaluating to the same log directory.

  Args:
    logdir: The log directory.

  Returns:
    A context manager that holds the lock.

  Raises:
    UserError: Another process holds the lock.
  """
  return files.exclusive(
    run_directory.eval_logs(logdir) / ".lock",
    f"{logdir}: expected no other evaluator on this log directory, received a"
    " second; let the first finish, or stop it",
  )


def poll_checkpoints(
  config: EasyDict, done: Iterable[int], timeout_minutes: float = 0
) -> Iterator[tuple[int, str]]:
  """Yield the checkpoints of a run, in order, until that of TRAIN.MAX_ITERS.

  It looks again after each one, and takes the first that is new. Training
  deletes old checkpoints meanwhile (CHECKPOINT.MAX_TO_KEEP): a warning names
  those that are gone.

  Args:
    config: The configuration of the run.
    done: Steps that were evaluated before.
    timeout_minutes: How long training may write neither a checkpoint nor a
      log; 0 = for ever.

  Yields:
    Step and path of a checkpoint.

  Raises:
    UserError: Training seems dead.
  """
  seen, missed = set(done), set()
  while True:
    found = dict(run_directory.list_checkpoints(config.LOGDIR))
    known = seen | missed | set(found)
    # Training saves step 0 and every SAVE_INTERVAL steps.
    expected = range(0, max(known, default=0), config.CHECKPOINT.SAVE_INTERVAL)
    if gone := sorted(set(expected) - known):
      warn_of_deleted(config.LOGDIR, gone)
    missed.update(gone)
    new = [step for step in found if step not in seen]
    if new:
      seen.add(new[0])
      yield new[0], found[new[0]]
    elif max(seen, default=-1) >= config.TRAIN.MAX_ITERS:
      return
    else:
      _check_alive(config, timeout_minutes)
      time.sleep(_LOOK_SECONDS)


def warn_of_deleted(logdir: str, steps: Iterable[int]) -> None:
  """Warn that the metrics lack steps whose checkpoints were deleted."""
  logging.warning(
    "%s: training deleted the checkpoint of step %s before it was evaluated, so"
    " the metrics lack it; start evaluate.py together with train.py, or raise"
    " CHECKPOINT.MAX_TO_KEEP or CHECKPOINT.SAVE_INTERVAL",
    *(logdir, ", ".join(map(str, steps))),
  )


def _check_alive(config: EasyDict, timeout_minutes: float) -> None:
  """Raise a UserError if training has written nothing for some minutes."""
  # Training never deletes these.
  written = [run_directory.config_file(config.LOGDIR)]
  written += run_directory.train_logs(config.LOGDIR).glob("*")
  for _, path in run_directory.list_checkpoints(config.LOGDIR)[-1:]:
    written.append(pathlib.Path(f"{path}.index"))
  last = max((p.stat().st_mtime for p in written if p.exists()), default=0.0)
  minutes = (time.time() - last) / 60
  if timeout_minutes and minutes > timeout_minutes:
    raise UserError(
      f"{config.LOGDIR}: expected training to reach TRAIN.MAX_ITERS, received"
      f" nothing for {minutes:.0f} minutes, it seems dead; continue it with"
      " train.py --force_train, or evaluate what there is with"
      " --nocontinuous_eval"
    )
