import os
import pathlib
import time

import pytest
import tensorflow as tf

from checkpoint_queue import CheckpointQueue
from errors import UserError


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
  with CheckpointQueue(str(tmp_path), done=[5]) as queue:
    got = [(step, value(path)) for step, path in queue.until(10)]
  assert got == [(0, 0.0), (10, 10.0)]
  assert pending(tmp_path) == []
  assert (tmp_path / "ckpt-0.index").exists()


def test_what_training_deletes_meanwhile_is_not_lost(tmp_path):
  save(tmp_path, 0)
  got = []
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
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
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
    next(queue.until(1))
  for step in (0, 1):
    delete(tmp_path, step)
  save(tmp_path, 2)
  # Step 0 was evaluated and logged before it was stopped.
  with CheckpointQueue(str(tmp_path), done=[0]) as queue:
    got = [(step, value(path)) for step, path in queue.until(2)]
  assert got == [(1, 1.0), (2, 2.0)]
  assert pending(tmp_path) == []


def test_a_checkpoint_that_is_being_written_waits_for_its_index(tmp_path):
  save(tmp_path, 0)
  save(tmp_path, 1)
  index = tmp_path / "ckpt-1.index"
  index.rename(tmp_path / "ckpt-1.index.tempstate123")
  got = []
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
    for step, path in queue.until(1):
      got.append((step, value(path)))
      if step == 0:
        time.sleep(1.2)
        assert not [name for name in pending(tmp_path) if "ckpt-1" in name]
        (tmp_path / "ckpt-1.index.tempstate123").rename(index)
  assert got == [(0, 0.0), (1, 1.0)]


def test_a_late_start_is_told(tmp_path, told):
  save(tmp_path, 12)
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
    assert [step for step, _ in queue.until(12)] == [12]
  assert len(told) == 1
  assert "deleted its checkpoints before step 12" in told[0]


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
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
    assert [step for step, _ in queue.until(1)] == [1]
  assert len(told) == 1
  assert "step 0 is missing from the metrics" in told[0]
  assert pending(tmp_path) == []


def test_a_file_system_without_links(tmp_path, monkeypatch):
  save(tmp_path, 4)

  def refuse(source, target):
    raise PermissionError("no links here")

  monkeypatch.setattr(os, "link", refuse)
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
    assert [value(path) for _, path in queue.until(4)] == [4.0]


def test_training_that_writes_nothing_seems_dead(tmp_path):
  save(tmp_path, 0)
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
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


def test_a_log_of_training_is_a_sign_of_life(tmp_path):
  save(tmp_path, 0)
  logs = tmp_path / "train_logs"
  logs.mkdir()
  with CheckpointQueue(str(tmp_path), done=[]) as queue:
    for step, _ in queue.until(1, timeout_minutes=1):
      if step == 0:
        long_ago = time.time() - 300
        for file in tmp_path.iterdir():
          os.utime(file, (long_ago, long_ago))
        (logs / "events").write_text("alive")
        queue._check_alive(1)
        save(tmp_path, 1)
