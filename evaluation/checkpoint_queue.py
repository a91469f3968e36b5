"""Checkpoints that wait for their evaluation, safe from training's clean-up."""

import contextlib
import os
import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from absl import logging

from core import files, run_directory
from core.errors import UserError

# Training keeps its last ten checkpoints, so it would have to save ten in this
# time for one to be missed.
_LOOK_SECONDS = 0.5


def wait_for_start(
  logdir: str, start_timeout_minutes: float = 0, timeout_minutes: float = 0
) -> None:
  """Waits until training has written `config.yml` and a first checkpoint.

  Args:
    logdir: The log directory, which need not exist yet.
    start_timeout_minutes: How long to wait for `config.yml`; 0 = for ever.
    timeout_minutes: How long to wait for the checkpoint then; 0 = for ever.

  Raises:
    UserError: They did not come in time.
  """
  config = run_directory.config_file(logdir)
  _wait_for(config.exists, logdir, config.name, start_timeout_minutes)
  _wait_for(
    lambda: bool(run_directory.list_checkpoints(logdir)),
    logdir,
    "its first checkpoint",
    timeout_minutes,
  )


def _wait_for(
  condition: Callable[[], bool], logdir: str, what: str, minutes: float
) -> None:
  """Waits until training has written something."""
  start = time.monotonic()
  told = False
  while not condition():
    if not told:
      limit = f"at most {minutes:g} min" if minutes else "for ever"
      logging.info(
        "%s: waiting %s for training to write %s", logdir, limit, what
      )
      told = True
    if minutes and time.monotonic() - start > 60 * minutes:
      raise UserError(
        f"{logdir}: training has not written {what} here in {minutes:g} min;"
        " correct --logdir, or see why train.py has not started"
      )
    time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def evaluator_lock(logdir: str | os.PathLike) -> Iterator[None]:
  """Sees to it that no other process evaluates to the same log directory.

  Two would evaluate every checkpoint twice, and delete what the other reads.

  Args:
    logdir: The log directory.

  Yields:
    Nothing.

  Raises:
    UserError: Another process is in such a block.
  """
  with files.exclusive(
    run_directory.eval_logs(logdir) / ".lock",
    f"{logdir}: another evaluator is at work on this log directory; let it"
    " finish, or stop it first",
  ):
    yield


class CheckpointQueue:
  """Gives every checkpoint of a run once, in order, while training goes on.

  A thread looks for new checkpoints and links their files into
  `LOGDIR/eval_logs/pending`, where training does not delete them, however long
  the evaluation of those before them takes. What is pending when the evaluator
  is stopped is evaluated when it is started again.

      with CheckpointQueue(logdir, save_interval=1000, done=[]) as queue:
        for step, path in queue.until(last_step, timeout_minutes=60):
          ...

  A checkpoint is complete once it has an index: TensorFlow writes that last,
  under another name, and renames it.
  """

  def __init__(
    self, logdir: str, save_interval: int, done: Iterable[int]
  ) -> None:
    """Prepares to look.

    Args:
      logdir: The log directory.
      save_interval: Steps between two checkpoints.
      done: Steps that were evaluated before.
    """
    self._logdir = logdir
    self._save_interval = save_interval
    self._pending = run_directory.eval_logs(logdir) / "pending"
    self._done = set(done)
    self._seen = set(done)
    self._missing: set[int] = set()
    self._failure: Exception | None = None
    self._closed = threading.Event()
    self._watcher = threading.Thread(target=self._watch, daemon=True)

  def __enter__(self) -> Self:
    """Starts to look for checkpoints."""
    files.make_folder(self._pending)
    for step, _ in run_directory.list_checkpoints(self._pending):
      if step in self._done:
        self._remove(step)
      self._seen.add(step)
    self._link_new()
    self._tell_of_missing_steps(self._last_seen())
    self._watcher.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    """Stops to look; what is pending stays for the next time."""
    self._closed.set()
    self._watcher.join()
    self._tell_of_missing_steps(self._last_seen())

  def until(
    self, last_step: int, timeout_minutes: float = 0
  ) -> Iterator[tuple[int, str]]:
    """Yields checkpoints until that of the last step, waiting for them.

    A checkpoint is done, and its link removed, when the next one is asked for.

    Args:
      last_step: The step after which training ends.
      timeout_minutes: How long training may write neither a checkpoint nor a
        log; 0 = for ever.

    Yields:
      Step and path of a checkpoint.

    Raises:
      UserError: Training seems dead, or a checkpoint can't be linked.
    """
    while True:
      waiting = [
        (step, path)
        for step, path in run_directory.list_checkpoints(self._pending)
        if step not in self._done
      ]
      for step, path in waiting:
        yield step, path
        self._done.add(step)
        self._remove(step)
      if self._failure:
        raise self._failure
      if max(self._done, default=-1) >= last_step:
        return
      if not waiting:
        self._check_alive(timeout_minutes)
        time.sleep(_LOOK_SECONDS)

  def _last_seen(self) -> int:
    return max(self._seen, default=-1)

  def _tell_of_missing_steps(self, last: int) -> None:
    """Warns, once, of steps up to `last` that were never seen."""
    known = self._seen | self._missing
    # Every training saves step 0.
    expected = range(0, last + 1, self._save_interval)
    missing = [step for step in expected if step not in known]
    if missing:
      logging.warning(
        "%s: training has deleted the checkpoints of steps %s before they were"
        " evaluated, they are missing from the metrics; start evaluate.py"
        " together with train.py, or raise CHECKPOINT.SAVE_INTERVAL",
        self._logdir,
        _in_words(missing, self._save_interval),
      )
    self._missing.update(missing)

  def _watch(self) -> None:
    try:
      while not self._closed.wait(_LOOK_SECONDS):
        # A listing during which training writes may show a checkpoint and not
        # that before it; what the next one does not show either is gone.
        last = self._last_seen()
        self._link_new()
        self._tell_of_missing_steps(last)
    except Exception as error:  # Whatever it is, `until` has to raise it.
      self._failure = error

  def _link_new(self) -> None:
    for step, path in run_directory.list_checkpoints(self._logdir):
      if step not in self._seen:
        self._seen.add(step)
        self._link(step, pathlib.Path(path))

  def _link(self, step: int, path: pathlib.Path) -> None:
    # The index comes last here, too.
    index = path.with_name(f"{path.name}.index")
    data = sorted(path.parent.glob(f"{path.name}.data-*"))
    try:
      for file in [*data, index]:
        _link_or_copy(file, self._pending / file.name)
    except FileNotFoundError:
      logging.warning(
        "%s: was deleted before it could be evaluated; step %d is missing from"
        " the metrics",
        path,
        step,
      )
      self._remove(step)
    except OSError as error:
      raise UserError(
        f"{error.filename2 or error.filename or path}: can't keep the"
        f" checkpoint of step {step} for its evaluation"
        f" ({error.strerror or error}); make room or change permissions, and"
        " start evaluate.py again"
      ) from error

  def _remove(self, step: int) -> None:
    name = f"{run_directory.CHECKPOINT_NAME}-{step}"
    # Without its index a checkpoint is none: first that.
    (self._pending / f"{name}.index").unlink(missing_ok=True)
    for file in self._pending.glob(f"{name}.data-*"):
      file.unlink(missing_ok=True)

  def _check_alive(self, timeout_minutes: float) -> None:
    if not timeout_minutes:
      return
    folder = pathlib.Path(self._logdir)
    written = [
      _written_at(file)
      for file in [*folder.glob("*"), *(folder / "train_logs").glob("*")]
      if file.name != "eval_logs"  # What the evaluator writes itself.
    ]
    quiet = time.time() - max(written, default=0.0)
    if quiet > 60 * timeout_minutes:
      raise UserError(
        f"{self._logdir}: training has written nothing for"
        f" {quiet / 60:.0f} minutes and has not reached TRAIN.MAX_ITERS, it"
        " seems dead; continue it with train.py --force_train, or evaluate"
        " what there is with --nocontinuous_eval"
      )


def _in_words(steps: Sequence[int], interval: int) -> str:
  """Such as `5, 20 to 40`: neighbors lie an interval apart."""
  known = set(steps)
  starts = [step for step in steps if step - interval not in known]
  ends = [step for step in steps if step + interval not in known]
  return ", ".join(
    f"{start}" if start == end else f"{start} to {end}"
    for start, end in zip(starts, ends, strict=True)
  )


def _written_at(file: pathlib.Path) -> float:
  """When a file was last written, in seconds; 0 if it is gone."""
  try:
    return file.stat().st_mtime
  except FileNotFoundError:
    return 0.0


def _link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
  """Makes the same file stand at another place, without using room if it can.

  Args:
    source: The file.
    target: In a folder of the same file system.

  Raises:
    FileNotFoundError: The source is gone.
  """
  target.unlink(missing_ok=True)
  try:
    os.link(source, target)
  except FileNotFoundError:
    raise
  except OSError:  # A file system without links.
    partial = target.with_name(f".{target.name}")
    shutil.copyfile(source, partial)
    os.replace(partial, target)
