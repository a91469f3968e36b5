"""Features of a frozen backbone, on disk.

DATA.CACHE_DIR/features/<backbone>/about.json    what the features depend on
DATA.CACHE_DIR/features/<backbone>/<video>-<view>

A file has the features of all frames of a video, one after another, and behind
them the checksum of each (CRC-32C). It appears when it is whole. What features
depend on is in its name, so that a file for other frames, weights or settings
is never read.
"""

import hashlib
import itertools
import json
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from absl import logging
from easydict import EasyDict

from core.errors import UserError
from core.files import atomic_write, locked
from core.progress import progress
from data import examples, tfrecords
from data.tfrecords import Record

_CHECKSUM_BYTES = 4
_GB = 1e9


class NoRoomError(UserError):
  """Features would take more disk than they may."""


class View(NamedTuple):
  """A video, as it is or augmented.

  Attributes:
    record: Its record.
    number: Number of the augmented view; -1 = as it is.
  """

  record: Record
  number: int = -1


class CachedFeatures:
  """The features of the L frames of a video, read when they are asked for.

  An array of frame numbers [n] gives their features [n, ...]. Raises a
  UserError if they are not those that were written.

  Args:
    path: The file.
    shape: Shape of the features of a frame.
    dtype: Their type.
  """

  def __init__(
    self, path: pathlib.Path, shape: Sequence[int], dtype: np.dtype
  ) -> None:
    self._path, self._shape, self._dtype = path, tuple(shape), dtype
    self._num_bytes = int(np.prod(shape)) * dtype.itemsize
    length = path.stat().st_size // (self._num_bytes + _CHECKSUM_BYTES)
    self._checksums = np.fromfile(
      path, np.uint32, offset=length * self._num_bytes
    )

  def __getitem__(self, frames: np.ndarray) -> np.ndarray:
    """Read the features of frames."""
    rows = []
    # Not mapped into memory: there, a file that is cut ends the process.
    with self._path.open("rb", buffering=0) as file:
      for frame in frames:
        file.seek(int(frame) * self._num_bytes)
        rows.append(file.read(self._num_bytes))
        if google_crc32c.value(rows[-1]) != self._checksums[frame]:
          raise UserError(
            f"{self._path}: expected the features of frame {frame}, received"
            " others; remove the file, which is made again"
          )
    data = np.frombuffer(b"".join(rows), self._dtype)
    return data.reshape(-1, *self._shape)


class FeatureCache:
  """The features of one backbone.

  Args:
    config: The configuration: DATA.CACHE_DIR and CACHE_MAX_GB, AUGMENTATION and
      SEED of augmented views.
    facts: What the features of a frame depend on, beside its pixels.
    shape: Shape of the features of a frame.
    dtype: Their type.
  """

  def __init__(
    self,
    config: EasyDict,
    facts: dict[str, Any],
    shape: Sequence[int],
    dtype: np.dtype,
  ) -> None:
    self.shape, self.dtype = tuple(shape), dtype
    self._facts = facts | {"shape": self.shape, "type": dtype.name}
    self._seed, self._augmentation = config.SEED, {**config.AUGMENTATION}
    del self._augmentation["CACHED_VIEWS"]
    self._root = pathlib.Path(config.DATA.CACHE_DIR) / "features"
    self._max_bytes = config.DATA.CACHE_MAX_GB * _GB
    self._folder = self._root / _digest(self._facts)
    self._frame_bytes = int(np.prod(shape)) * dtype.itemsize + _CHECKSUM_BYTES

  def open(self, view: View) -> CachedFeatures:
    """Open the features of a view, which `fill` has made."""
    return CachedFeatures(self._find_path(view), self.shape, self.dtype)

  def make_seed(self, view: View) -> tuple[int, int]:
    """Return what the augmentation of a view depends on, for any data set."""
    checksum = tfrecords.read_checksum(view.record)
    text = f"{checksum}-{view.record.length}-{view.number}"
    return self._seed, google_crc32c.value(text.encode())

  def holds(self, view: View) -> bool:
    """Return whether the features of a view are there, as a whole."""
    path = self._find_path(view)
    return path.is_file() and path.stat().st_size == self._count_bytes(view)

  def fill(
    self,
    views: Iterable[View],
    compute: Callable[[Sequence[View]], Iterator[np.ndarray]],
  ) -> None:
    """Compute the features of those views that are not there, and keep them.

    Args:
      views: The views.
      compute: Yields the features [n, ...] of all frames of the views that it
        is given, in order.

    Raises:
      NoRoomError: The features would take more disk than they may.
      UserError: A record is damaged, or a file can't be written.
    """
    views = list(views)
    if all(map(self.holds, views)):
      return
    # Another process may be filling it.
    with locked(self._folder / "features"):
      for remains in self._folder.glob(".incomplete-*"):
        remains.unlink()
      missing = [view for view in views if not self.holds(view)]
      self._check_room(missing)
      with atomic_write(self._folder / "about.json") as path:
        path.write_text(json.dumps(self._facts, indent=2))
      rows = itertools.chain.from_iterable(compute(missing))
      for view in progress(missing, "Caching features", unit="video"):
        self._write(view, rows)

  def _write(self, view: View, rows: Iterator[np.ndarray]) -> None:
    length = self._count_bytes(view) // self._frame_bytes
    with atomic_write(self._find_path(view)) as path, path.open("wb") as file:
      checksums = []
      for row in itertools.islice(rows, length):
        data = np.ascontiguousarray(row, self.dtype).tobytes()
        checksums.append(google_crc32c.value(data))
        file.write(data)
      file.write(np.array(checksums, np.uint32).tobytes())

  def _check_room(self, missing: Sequence[View]) -> None:
    """Tell how much the features will take, and check that it is there."""
    needed = sum(map(self._count_bytes, missing))
    files = (path for path in self._root.rglob("*") if path.is_file())
    used = sum(path.stat().st_size for path in files)
    free = shutil.disk_usage(self._folder).free
    room = max(0, min(self._max_bytes - used, free))
    if needed > room:
      raise NoRoomError(
        f"DATA.CACHE_DIR: expected room for {needed / _GB:.2f} GB of features"
        f" in {self._root}, received {room / _GB:.2f} GB ({free / _GB:.2f} GB"
        " are free on the disk); remove what is there, raise DATA.CACHE_MAX_GB"
        " or choose another folder"
      )
    logging.info(
      "Caching the features of %d videos or views in %s: they take %.2f GB,"
      " there is room for %.2f GB",
      *(len(missing), self._folder, needed / _GB, room / _GB),
    )

  def _find_path(self, view: View) -> pathlib.Path:
    """Return the file of a view, which need not exist."""
    checksum = tfrecords.read_checksum(view.record)
    name = f"{checksum:08x}-{view.record.length}"
    if view.number >= 0:
      augmentation = _digest([self._augmentation, self._seed])
      name += f"-{augmentation}-{view.number}"
    return self._folder / name

  def _count_bytes(self, view: View) -> int:
    length = len(examples.read_example(view.record).jpegs)
    return length * self._frame_bytes


def _digest(facts: Any) -> str:
  text = json.dumps(facts, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]
