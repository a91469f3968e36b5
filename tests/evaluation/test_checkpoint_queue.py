import errno
import os
import pathlib
import shutil
import time

import pytest
import tensorflow as tf

from core.errors import UserError
from evaluation.checkpoint_queue import (
  CheckpointQueue,
  evaluator_lock,
  wait_for_start,
)


@pytest.fixture
def told(monkeypatch):
  """The warnings that were logged."""
  texts = []
  monkeypatch.setattr(
    "absl.logging.warning", lambda text, *args: texts.append(text % args)
  )
  return texts


def save(logdir, step):
  variable = tf.Variable(float(step))
  return tf.train.Checkpoint(x=variable).write(f"{logdir}/ckpt-{step}")


def value(path):
  return float(tf.train.load_variable(path, "x/.ATTRIBUTES/VARIABLE_VALUE"))


def delete(logdir, step):
  for file in pathlib.Path(logdir).glob(f"ckpt-{step}.*"):
    file.unlink()


def pending(logdir):
  return sorted(p.name for p in (logdir / "eval_logs/pending").iterdir())


def test_all_checkpoints_come_once_in_order_and_leave_nothing(tmp_path):
  for step in (10, 0, 5):
    save(tmp_path, step)
  with CheckpointQueue(str(tmp_path), 5, done=[5]) as queue:
    got = [(step, value(path)) for step, path in queue.until(10)]
  assert got == [(0, 0.0), (10, 10.0)]
  assert pending(tmp_path) == []
  assert (tmp_path / "ckpt-0.index").exists()


def test_what_training_deletes_meanwhile_is_not_lost(tmp_path):
  save(tmp_path, 0)
  got = []
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    for step, path in queue.until(3):
      if step == 0:
        # While the first is evaluated, training writes all others.
        for later in (1, 2, 3):
          save(tmp_path, later)
        deadline = time.time() + 30
        while "ckpt-3.index" not in pending(tmp_path):
          assert time.time() < deadline
          time.sleep(0.05)
        for old in (0, 1, 2):
          delete(tmp_path, old)
      got.append((step, value(path)))
  assert got == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]


def test_what_was_pending_when_it_stopped_comes_the_next_time(tmp_path):
  for step in (0, 1):
    save(tmp_path, step)
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    next(queue.until(1))
  for step in (0, 1):
    delete(tmp_path, step)
  save(tmp_path, 2)
  # Step 0 was evaluated and logged before it was stopped.
  with CheckpointQueue(str(tmp_path), 1, done=[0]) as queue:
    got = [(step, value(path)) for step, path in queue.until(2)]
  assert got == [(1, 1.0), (2, 2.0)]
  assert pending(tmp_path) == []


def test_a_checkpoint_that_is_being_written_waits_for_its_index(tmp_path):
  save(tmp_path, 0)
  save(tmp_path, 1)
  index = tmp_path / "ckpt-1.index"
  index.rename(tmp_path / "ckpt-1.index.tempstate123")
  got = []
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    for step, path in queue.until(1):
      got.append((step, value(path)))
      if step == 0:
        time.sleep(1.2)
        assert not [name for name in pending(tmp_path) if "ckpt-1" in name]
        (tmp_path / "ckpt-1.index.tempstate123").rename(index)
  assert got == [(0, 0.0), (1, 1.0)]


def test_a_late_start_is_told(tmp_path, told):
  save(tmp_path, 12)
  with CheckpointQueue(str(tmp_path), 4, done=[]) as queue:
    assert [step for step, _ in queue.until(12)] == [12]
  assert len(told) == 1
  assert "deleted the checkpoints of steps 0 to 8 before" in told[0]


def test_a_gap_while_no_evaluator_ran_is_told(tmp_path, told):
  for step in (10, 12, 13):
    save(tmp_path, step)
  pending_before = tmp_path / "eval_logs" / "pending"
  pending_before.mkdir(parents=True)
  save(pending_before, 4)
  with CheckpointQueue(str(tmp_path), 2, done=[0, 2]) as queue:
    assert [step for step, _ in queue.until(13)] == [4, 10, 12, 13]
  assert len(told) == 1
  assert "of steps 6 to 8 before they were evaluated, they are" in told[0]


def wait_until(condition):
  deadline = time.time() + 30
  while not condition():
    assert time.time() < deadline
    time.sleep(0.05)


def test_one_deleted_between_two_looks_is_told_once(tmp_path, told):
  save(tmp_path, 0)
  got = []
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    for step, _ in queue.until(4):
      got.append(step)
      if step == 0:
        save(tmp_path, 2)  # As if the first had come and gone.
        wait_until(lambda: told)
        time.sleep(1.2)
        assert len(told) == 1
        save(tmp_path, 4)
  assert got == [0, 2, 4]
  assert "deleted the checkpoints of steps 1 before they" in told[0]
  assert "raise CHECKPOINT.SAVE_INTERVAL" in told[0]
  assert len(told) == 2
  assert "deleted the checkpoints of steps 3 before they" in told[1]


def test_where_nothing_is_missing_nothing_is_told(tmp_path, told):
  for step in (4, 6, 7):
    save(tmp_path, step)
  with CheckpointQueue(str(tmp_path), 2, done=[0, 2]) as queue:
    assert [step for step, _ in queue.until(7)] == [4, 6, 7]
  assert not told


def test_one_deleted_before_it_could_be_linked_is_told(
  tmp_path, monkeypatch, told
):
  save(tmp_path, 0)
  save(tmp_path, 1)
  link = os.link

  def too_late(source, target):
    if "ckpt-0.index" in str(source):
      raise FileNotFoundError(source)
    link(source, target)

  monkeypatch.setattr(os, "link", too_late)
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    assert [step for step, _ in queue.until(1)] == [1]
  assert len(told) == 1
  assert "step 0 is missing from the metrics" in told[0]
  assert pending(tmp_path) == []


def test_a_file_system_without_links(tmp_path, monkeypatch):
  save(tmp_path, 4)

  def refuse(source, target):
    raise PermissionError("no links here")

  monkeypatch.setattr(os, "link", refuse)
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    assert [value(path) for _, path in queue.until(4)] == [4.0]


@pytest.mark.parametrize("later", [False, True])
def test_one_that_cannot_be_kept_ends_the_evaluation(
  tmp_path, monkeypatch, later
):
  """At once, or in the thread that looks for new ones."""
  save(tmp_path, 0)
  refused = "ckpt-1.index" if later else "ckpt-0.index"
  link, copyfile = os.link, shutil.copyfile

  def full(function):
    def call(source, target):
      if refused in str(source):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))
      return function(source, target)

    return call

  monkeypatch.setattr(os, "link", full(link))
  monkeypatch.setattr(shutil, "copyfile", full(copyfile))
  got = []
  with (
    pytest.raises(UserError) as info,
    CheckpointQueue(str(tmp_path), 1, done=[]) as queue,
  ):
    for step, _ in queue.until(1, timeout_minutes=1):
      got.append(step)
      save(tmp_path, 1)
  assert got == ([0] if later else [])
  assert f"eval_logs/pending/.{refused}: can't keep the" in str(info.value)
  assert "(No space left on device); make room" in str(info.value)


def test_files_that_training_deletes_meanwhile_are_no_error(
  tmp_path, monkeypatch
):
  """Between the listing of a folder and the question for the time."""
  save(tmp_path, 0)
  glob = pathlib.Path.glob

  def with_deleted(folder, pattern):
    deleted = [folder / "deleted"] if pattern == "*" else []
    return [*glob(folder, pattern), *deleted]

  monkeypatch.setattr(pathlib.Path, "glob", with_deleted)
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    for step, _ in queue.until(1, timeout_minutes=1):
      if step == 0:
        queue._check_alive(1)
        save(tmp_path, 1)


def test_waiting_for_a_training_that_never_starts(tmp_path):
  nowhere = tmp_path / "typo"
  with pytest.raises(UserError) as info:
    wait_for_start(str(nowhere), start_timeout_minutes=0.001)
  assert str(info.value) == (
    f"{nowhere}: training has not written config.yml here in 0.001 min;"
    " correct --logdir, or see why train.py has not started"
  )
  assert not nowhere.exists()


def test_a_training_that_has_begun_has_its_own_time(tmp_path, monkeypatch):
  told = []
  monkeypatch.setattr(
    "absl.logging.info", lambda text, *args: told.append(text % args)
  )
  logdir = str(tmp_path)
  (tmp_path / "config.yml").write_text("")
  started = time.monotonic()
  with pytest.raises(UserError, match="has not written its first checkpoint"):
    wait_for_start(logdir, start_timeout_minutes=0.001, timeout_minutes=0.02)
  assert time.monotonic() - started > 60 * 0.02
  assert told == [
    f"{logdir}: waiting at most 0.02 min for training to write its first"
    " checkpoint"
  ]
  save(tmp_path, 0)
  wait_for_start(logdir, 0.001, 0.001)


def test_training_that_writes_nothing_seems_dead(tmp_path):
  save(tmp_path, 0)
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    checkpoints = queue.until(5, timeout_minutes=1)
    assert next(checkpoints)[0] == 0
    long_ago = time.time() - 300
    for file in tmp_path.iterdir():
      os.utime(file, (long_ago, long_ago))
    with pytest.raises(
      UserError, match="written nothing for 5 minutes"
    ) as info:
      next(checkpoints)
  assert "has not reached TRAIN.MAX_ITERS, it seems dead" in str(info.value)


def test_what_the_evaluator_writes_is_no_sign_of_life(tmp_path):
  save(tmp_path, 0)
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    for file in tmp_path.iterdir():
      os.utime(file, (time.time() - 300, time.time() - 300))
    (tmp_path / "eval_logs" / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="written nothing for 5 minutes"):
      queue._check_alive(1)


def test_one_evaluator_a_log_directory(tmp_path):
  here, there = tmp_path / "here", tmp_path / "there"
  with evaluator_lock(here), evaluator_lock(there):
    with pytest.raises(UserError) as info, evaluator_lock(here):
      pass
    assert str(info.value) == (
      f"{here}: another evaluator is at work on this log directory; let it"
      " finish, or stop it first"
    )
  with evaluator_lock(here):
    pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
  def refuse(file, operation):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr("fcntl.flock", refuse)
  with evaluator_lock(tmp_path):
    pass


def test_a_log_of_training_is_a_sign_of_life(tmp_path):
  save(tmp_path, 0)
  logs = tmp_path / "train_logs"
  logs.mkdir()
  with CheckpointQueue(str(tmp_path), 1, done=[]) as queue:
    for step, _ in queue.until(1, timeout_minutes=1):
      if step == 0:
        long_ago = time.time() - 300
        for file in tmp_path.iterdir():
          os.utime(file, (long_ago, long_ago))
        (logs / "events").write_text("alive")
        queue._check_alive(1)
        save(tmp_path, 1)
