"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NoReturn

from absl import logging
from filelock import FileLock, Timeout

from core.errors import UserError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Gives a temporary path beside `path`, renamed to it on success.

  A reader never sees a part of the file, and an error or an interruption
  leaves what was at `path` before. The temporary name keeps the ending of
  `path`, because writers choose the format by it, and starts with a dot, so
  that no file pattern of ours matches it.

  Args:
    path: Where the complete file shall be.

  Yields:
    The temporary path to write to.

  Raises:
    UserError: The folder of `path` can't be made or written to.
  """
  path = pathlib.Path(path)
  make_folder(path.parent)
  temporary = path.with_name(f".incomplete-{os.getpid()}-{path.name}")
  try:
    yield temporary
    os.replace(temporary, path)
  except OSError as error:
    raise UserError(
      f"{path}: can't be written ({error.strerror or error}); choose another"
      " place or make room"
    ) from error
  finally:
    temporary.unlink(missing_ok=True)


def locked(path: str | os.PathLike) -> AbstractContextManager[None]:
  """Wait until no other process reads and replaces the same file.

  Args:
    path: The file that is read and then replaced. The lock lies beside it,
      `.<name>.lock`, while it is held.

  Returns:
    A context manager that holds the lock.

  Raises:
    UserError: The folder of `path` can't be made or written to.
  """
  path = pathlib.Path(path)
  return _hold_lock(path.with_name(f".{path.name}.lock"), None)


def exclusive(
  lock_file: str | os.PathLike, message: str
) -> AbstractContextManager[None]:
  """Hold a lock, or fail at once if another process holds it.

  Args:
    lock_file: The lock, a file that exists while it is held.
    message: The error if another process holds it.

  Returns:
    A context manager that holds the lock.

  Raises:
    UserError: Another process holds the lock, or its folder can't be made or
      written to.
  """
  return _hold_lock(pathlib.Path(lock_file), message)


@contextlib.contextmanager
def _hold_lock(lock_file: pathlib.Path, message: str | None) -> Iterator[None]:
  """Hold a lock; wait for it where there is no message to fail with."""
  make_folder(lock_file.parent)
  lock = FileLock(lock_file, timeout=-1 if message is None else 0)
  try:
    lock.acquire()
  except Timeout as error:
    raise UserError(message) from error
  except OSError as error:  # A file system without locks.
    logging.info("%s: can't be locked (%s)", lock_file, error.strerror)
  try:
    yield
  finally:
    # Windows does not remove an open file; the empty file stays there.
    with contextlib.suppress(OSError):
      lock_file.unlink()
    lock.release()


def check_utf8_name(path: str | os.PathLike) -> None:
  """Checks that a path can be stored and printed.

  Args:
    path: Path of a file or folder.

  Raises:
    UserError: It is not in UTF-8.
  """
  try:
    os.fspath(path).encode()
  except UnicodeEncodeError as error:
    shown = os.fsencode(path).decode(errors="backslashreplace")
    raise UserError(
      f"{shown}: expected a name in UTF-8, received other bytes; rename it"
    ) from error


def walk_folders(root: str | os.PathLike) -> Iterator[pathlib.Path]:
  """All folders in a folder, those that are linked to as well.

  Args:
    root: The folder.

  Yields:
    The folder itself and all in it, by name; none that starts with a dot.

  Raises:
    UserError: A folder can't be read, or a link leads to one that is searched
      already.
  """
  found: dict[str, str] = {}
  for folder, below, _ in os.walk(
    root, onerror=raise_unreadable, followlinks=True
  ):
    real = os.path.realpath(folder)
    if real in found:
      raise UserError(
        f"{folder}: is the same folder as {found[real]}; expected each once,"
        " remove the link"
      )
    found[real] = folder
    below[:] = sorted(name for name in below if not name.startswith("."))
    yield pathlib.Path(folder)


def raise_unreadable(error: OSError) -> NoReturn:
  """Raises a UserError about a file or folder that the system refuses."""
  raise UserError(
    f"{error.filename}: can't be read ({error.strerror}); correct its"
    " permissions or remove it"
  ) from error


def make_folder(folder: str | os.PathLike) -> pathlib.Path:
  """Makes a folder, with its parents, and checks that it can be written to.

  Args:
    folder: Path of the folder; it may exist already.

  Returns:
    The folder as a `pathlib.Path`.

  Raises:
    UserError: The folder can't be made or written to.
  """
  folder = pathlib.Path(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f"{folder}: can't make this folder ({error.strerror or error}); choose"
      " another output directory"
    ) from error
  if not os.access(folder, os.W_OK | os.X_OK):
    raise UserError(
      f"{folder}: this folder is not writable; choose another output directory"
      " or change its permissions"
    )
  return folder
