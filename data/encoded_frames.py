"""The encoded frames of a video, in the file that holds them."""

import pathlib
from collections.abc import Sequence
from typing import SupportsIndex

import google_crc32c
import numpy as np

from core.errors import UserError


class EncodedFrames(Sequence):
  """JPEGs that are read when they are asked for, and verified.

  A number gives the bytes of one frame; an array of numbers, or a slice, gives
  an object array of bytes. Raises a UserError if the bytes are others than
  those that were checksummed.

  Args:
    path: The file.
    offsets: [L] places of the frames' first bytes.
    sizes: [L] numbers of bytes.
    checksums: [L] CRC-32C; None verifies nothing.
    name: Names the video in messages; empty = the file.
  """

  def __init__(
    self,
    path: pathlib.Path,
    offsets: np.ndarray,
    sizes: np.ndarray,
    checksums: np.ndarray | None = None,
    name: str = "",
  ) -> None:
    self._path, self._name = path, name or str(path)
    self._offsets, self._sizes, self._checksums = offsets, sizes, checksums

  def __len__(self) -> int:
    """Return the number of frames."""
    return len(self._offsets)

  def __getitem__(
    self, key: SupportsIndex | slice | np.ndarray
  ) -> bytes | np.ndarray:
    """Read frames."""
    chosen = np.arange(len(self))[key]
    numbers = np.ravel(chosen)
    frames = np.empty(numbers.size, object)
    places = zip(self._offsets[numbers], self._sizes[numbers], strict=True)
    # A buffer would read more than the frames.
    with self._path.open("rb", buffering=0) as file:
      for row, (offset, size) in enumerate(places):
        file.seek(offset)
        frames[row] = file.read(size)
        self._check(frames[row], numbers[row])
    return frames if np.ndim(chosen) else frames[0]

  def _check(self, frame: bytes, number: int) -> None:
    """Raise a UserError if these are not the bytes of a frame."""
    checksums = self._checksums
    if (
      checksums is not None and google_crc32c.value(frame) != checksums[number]
    ):
      raise UserError(
        f"{self._name}: expected frame {number} as it was at first, received"
        " other bytes; leave the file alone while it is read, or copy it again"
      )
