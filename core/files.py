"""Files that are written whole or not at all."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import NoReturn, TextIO

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


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
  """Waits until no other process is in such a block for the same file.

  Args:
    path: The file that is read and then replaced. The lock lies beside it,
      `.<name>.lock`, as long as it is held.

  Yields:
    Nothing.

  Raises:
    UserError: The folder of `path` can't be made or written to.
  """
  path = pathlib.Path(path)
  place = make_folder(path.parent) / f".{path.name}.lock"
  while True:
    with place.open("w") as lock:
      fcntl.flock(lock, fcntl.LOCK_EX)
      # Whoever held it last removed it: others may have made a new one.
      if not _is_at(lock, place):
        continue
      try:
        yield
      finally:
        place.unlink()
      return


def claim(lock: TextIO, taken: str) -> None:
  """Locks a file until it is closed, without waiting.

  Args:
    lock: An open file.
    taken: The message if another process has locked it.

  Raises:
    UserError: Another process has.
  """
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    raise UserError(taken) from error


def check_name(path: str | os.PathLike) -> None:
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


def folders_below(root: str | os.PathLike) -> Iterator[pathlib.Path]:
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


def _is_at(file: TextIO, path: pathlib.Path) -> bool:
  try:
    return os.path.samestat(os.fstat(file.fileno()), path.stat())
  except FileNotFoundError:
    return False


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
