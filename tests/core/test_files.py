import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from core import files
from core.errors import UserError


def increment(path):
  with files.locked(path), files.atomic_write(path) as temporary:
    temporary.write_text(str(int(path.read_text()) + 1))


def test_one_at_a_time_changes_a_locked_file(tmp_path):
  path = tmp_path / "count"
  path.write_text("0")
  with ProcessPoolExecutor(4, get_context("spawn")) as pool:
    list(pool.map(increment, [path] * 40))
  assert path.read_text() == "40"
  assert os.listdir(tmp_path) == ["count"]


def test_an_exclusive_lock_is_refused_at_once(tmp_path):
  lock_file = tmp_path / "new" / "lock"
  for _ in range(2):
    with files.exclusive(lock_file, "busy"):
      with pytest.raises(UserError, match="^busy$"):
        with files.exclusive(lock_file, "busy"):
          pass
      assert lock_file.exists()
    assert not lock_file.exists()


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path):
  path = tmp_path / "folder" / "file.txt"
  with files.atomic_write(path) as temporary:
    temporary.write_text("old")
    assert temporary.suffix == ".txt" and not path.exists()
  with pytest.raises(KeyboardInterrupt), files.atomic_write(path) as temporary:
    temporary.write_text("half")
    raise KeyboardInterrupt
  with pytest.raises(UserError) as error, files.atomic_write(path):
    raise OSError(28, "No space left on device")
  assert str(error.value) == (
    f"{path}: expected to write this file, received an error (No space left on"
    " device); choose another place or make room"
  )
  assert path.read_text() == "old"
  assert os.listdir(path.parent) == ["file.txt"]
