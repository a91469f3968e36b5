"""Write files whole or not at all, lock them, walk and make folders."""

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
  """Give a temporary path beside `path` and rename it to `path` on success.

  A reader never sees a part of the file, and an error or an interruption leaves
  what was at `path` before. The temporary name keeps the ending of `path`,
  because writers choose the format by it, and starts with a dot, so that none
  of our file patterns matches it.

  Args:
    path: Where to put the complete file.

  Yields:
    The temporary path to write to.

  Raises:
    UserError: The file or its folder can't be written.
  """
  path = pathlib.Path(path)
  make_folder(path.parent)
  temporary = path.with_name(f".incomplete-{os.getpid()}-{path.name}")
  try:
    yield temporary
    os.replace(temporary, path)
  except OSError as error:
    raise UserError(
      f"{path}: expected to write this file, received an error"
      f" ({error.strerror or error}); choose another place or make room"
    ) from error
  finally:
    temporary.unlink(missing_ok=True)


def locked(path: str | os.PathLike) -> AbstractContextManager[None]:
  """Wait until no other process reads and replaces the same file.

  Args:
    path: The file. The lock lies beside it, `.<name>.lock`, while it is held.

  Returns:
    A context manager that holds the lock.

  Raises:
    UserError: The folder of `path` can't be made or written to.
  """
  path = pathlib.Path(path)
  return exclusive(path.with_name(f".{path.name}.lock"), None)


@contextlib.contextmanager
def exclusive(
  lock_file: str | os.PathLike, message: str | None
) -> Iterator[None]:
  """Hold a lock, or fail at once if another process holds it.

  Args:
    lock_file: The lock, a file that exists while it is held.
    message: The error if another process holds the lock; None waits for it.

  Yields:
    Nothing.

  Raises:
    UserError: Another process holds the lock, or its folder can't be made or
      written to.
  """
  lock_file = pathlib.Path(lock_file)
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
  """Check that the name of a file or folder can be stored and printed.

  Args:
    path: Path of the file or folder.

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
  """Yield a folder and all folders in it by name, also those linked to.

  Args:
    root: The folder.

  Yields:
    The folder itself and all in it whose names do not start with a dot.

  Raises:
    UserError: A folder can't be read, or a link leads to one a second time.
  """
  found: dict[str, str] = {}
  walk = os.walk(root, onerror=raise_unreadable, followlinks=True)
  for folder, subfolders, _ in walk:
    real = os.path.realpath(folder)
    if real in found:
      raise UserError(
        f"{folder}: expected each folder once, received a link to"
        f" {found[real]}; remove the link"
      )
    found[real] = folder
    subfolders[:] = sorted(n for n in subfolders if not n.startswith("."))
    yield pathlib.Path(folder)


def raise_unreadable(error: OSError) -> NoReturn:
  """Raise a UserError about a file or folder that can't be read."""
  raise UserError(
    f"{error.filename}: expected to read this, received an error"
    f" ({error.strerror}); correct its permissions or remove it"
  ) from error


def make_folder(folder: str | os.PathLike) -> pathlib.Path:
  """Make a folder with its parents, and check that it can be written to.

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
    if not os.access(folder, os.W_OK | os.X_OK):
      raise PermissionError("it is not writable")
  except OSError as error:
    raise UserError(
      f"{folder}: expected a folder to write to, received an error"
      f" ({error.strerror or error}); choose another output directory or change"
      " its permissions"
    ) from error
  return folder
