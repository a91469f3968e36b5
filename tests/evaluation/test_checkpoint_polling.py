import os
import time

import pytest

from core.errors import UserError
from evaluation import checkpoint_polling
from evaluation.checkpoint_polling import poll_checkpoints, wait_for_start
from tests.helpers import tiny
from tests.helpers.errors import message_of


class Clock:
  """Replaces the module `time`; `events` happen during the sleeps."""

  def __init__(self, events):
    self._now = time.time()
    self._events = iter(events)

  def time(self):
    return self._now

  monotonic = time

  def sleep(self, seconds):
    self._now += seconds
    next(self._events, lambda: None)()


@pytest.fixture
def told(monkeypatch):
  """What was logged."""
  texts = []
  for level in ("info", "warning"):
    monkeypatch.setattr(
      f"absl.logging.{level}", lambda text, *args: texts.append(text % args)
    )
  return texts


@pytest.fixture
def sleeps(monkeypatch):
  """Sets what happens while the evaluator sleeps."""

  def use(*events):
    monkeypatch.setattr(checkpoint_polling, "time", Clock(events))

  use()
  return use


@pytest.fixture
def save(tmp_path):
  """Leaves what training leaves of a step."""

  def write(step):
    for name in (f"ckpt-{step}.data-00000-of-00001", f"ckpt-{step}.index"):
      (tmp_path / name).touch()

  return write


@pytest.fixture
def poll(tmp_path):
  def start(last_step, interval=1, done=(), **options):
    config = tiny.config(f"CHECKPOINT.SAVE_INTERVAL={interval}")
    config.TRAIN.MAX_ITERS, config.LOGDIR = last_step, str(tmp_path)
    return poll_checkpoints(config, done, **options)

  return start


def test_all_checkpoints_come_once_in_order(tmp_path, save, poll, told):
  for step in (10, 0, 5):
    save(step)
  found = list(poll(10, 5, done=[5]))
  assert found == [(0, f"{tmp_path}/ckpt-0"), (10, f"{tmp_path}/ckpt-10")]
  assert not told


def test_what_an_older_version_left_is_ignored(tmp_path, save, poll):
  pending = tmp_path / "eval_logs" / "pending"
  pending.mkdir(parents=True)
  (pending / "ckpt-0.index").touch()
  save(1)
  assert [step for step, _ in poll(1, done=[0])] == [1]


def test_new_checkpoints_are_waited_for(save, poll, sleeps, told):
  save(0)
  sleeps(lambda: None, lambda: save(1), lambda: None, lambda: save(2))
  assert [step for step, _ in poll(2)] == [0, 1, 2]
  assert not told


def test_each_that_training_deleted_first_is_named_once(
  tmp_path, save, poll, sleeps, told
):
  save(0)
  save(1)
  sleeps(lambda: save(5))
  checkpoints = poll(5)
  assert next(checkpoints)[0] == 0
  for step in (2, 3):  # While the first is evaluated.
    save(step)
  for step in (1, 2):
    (tmp_path / f"ckpt-{step}.index").unlink()
  assert [step for step, _ in checkpoints] == [3, 5]
  hint = (
    "before it was evaluated, so the metrics lack it; start evaluate.py"
    " together with train.py, or raise CHECKPOINT.MAX_TO_KEEP or"
    " CHECKPOINT.SAVE_INTERVAL"
  )
  deleted = f"{tmp_path}: training deleted the checkpoint of step"
  assert told == [f"{deleted} 1, 2 {hint}", f"{deleted} 4 {hint}"]


@pytest.mark.parametrize(
  ("saved", "done", "missing"),
  [
    *(([12], [], "0, 4, 8"), ([16, 17], [0, 4], "8, 12")),
    ([16], [0, 16], "4, 8, 12"),
  ],
  ids=["a late start", "a gap while no evaluator ran", "nothing left"],
)
def test_what_is_missing_at_the_start_is_named(
  save, poll, told, saved, done, missing
):
  for step in saved:
    save(step)
  found = [step for step, _ in poll(saved[-1], 4, done)]
  assert found == [step for step in saved if step not in done]
  [message] = told
  assert f"the checkpoint of step {missing} before" in message


@pytest.mark.parametrize("saved", [(4, 6, 7), (0, 2, 4, 6, 7)])
def test_where_nothing_is_missing_nothing_is_told(save, poll, told, saved):
  for step in saved:
    save(step)
  assert [step for step, _ in poll(7, 2, done=[0, 2])] == [4, 6, 7]
  assert not told


def test_a_training_that_has_begun_has_its_own_time(
  tmp_path, save, sleeps, told
):
  logdir = str(tmp_path)
  (tmp_path / "config.yml").touch()
  with pytest.raises(UserError, match="to write its first checkpoint, rec"):
    wait_for_start(logdir, start_timeout_minutes=1, timeout_minutes=5)
  assert told == [
    f"{logdir}: waiting at most 5 min for training to write its first"
    " checkpoint"
  ]
  # Within five minutes, not within one.
  sleeps(*[lambda: None] * 300, lambda: save(0))
  wait_for_start(logdir, 1, 5)
  wait_for_start(logdir, 0, 0)


@pytest.fixture
def quiet_run(tmp_path, save, poll):
  """Polls, for seven minutes, a run that has been quiet for five."""
  save(0)
  (tmp_path / "train_logs").mkdir()
  checkpoints = poll(5, timeout_minutes=7)
  assert next(checkpoints)[0] == 0
  for path in tmp_path.iterdir():
    os.utime(path, (time.time() - 300, time.time() - 300))
  return checkpoints


def test_training_that_writes_nothing_seems_dead(tmp_path, quiet_run, sleeps):
  # No sign of training.
  (tmp_path / "eval_logs").mkdir()
  (tmp_path / "eval_logs" / "metrics.jsonl").touch()
  sleeps()
  assert message_of(next, quiet_run) == (
    f"{tmp_path}: expected training to reach TRAIN.MAX_ITERS, received nothing"
    " for 7 minutes, it seems dead; continue it with train.py --force_train, or"
    " evaluate what there is with --nocontinuous_eval"
  )
  assert 60 < checkpoint_polling.time.time() - time.time() < 180


@pytest.mark.parametrize("name", ["ckpt-0.index", "train_logs/events"])
def test_checkpoints_and_logs_are_signs_of_life(
  tmp_path, quiet_run, sleeps, name
):
  sleeps(lambda: (tmp_path / name).touch())
  with pytest.raises(UserError, match="nothing for 7 minutes"):
    next(quiet_run)
  assert 360 < checkpoint_polling.time.time() - time.time() < 480
