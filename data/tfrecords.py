"""Read and write TFRecord files, without TensorFlow.

A record is the length of its data (8 bytes), the checksum of the length (4),
the data, and the checksum of the data (4).
"""

import pathlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import BinaryIO, NamedTuple

import google_crc32c

from core.errors import UserError

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
HEADER_BYTES = _LENGTH.size + _CHECKSUM.size


class Record(NamedTuple):
  """Place of one record: file, first byte of its data, number of bytes."""

  path: pathlib.Path
  offset: int
  length: int

  def __str__(self) -> str:
    """Name the record in messages."""
    return f"{self.path}: record at byte {self.offset}"


def list_records(paths: Sequence[pathlib.Path]) -> list[Record]:
  """List the records of TFRecord files without reading their data.

  Args:
    paths: Uncompressed TFRecord files.

  Returns:
    The records in the order of `paths` and, within a file, of their position.

  Raises:
    UserError: A file is compressed, ends in the middle of a record or is no
      TFRecord file.
  """
  records = []
  for path in paths:
    size, end = path.stat().st_size, 0
    with path.open("rb") as file:
      while end < size:
        file.seek(end)
        offset = end + HEADER_BYTES
        # A header that is cut short is as good as one of a record that is.
        [length] = _LENGTH.unpack(file.read(_LENGTH.size).ljust(8, b"\xff"))
        end = offset + length + _CHECKSUM.size
        if end > size:
          file.seek(0)
          raise _compressed(path, file.read(4096)) or UserError(
            f"{path}: expected a TFRecord file of whole records, received"
            f" {size} bytes where the record at byte {offset} is truncated;"
            " convert or download it again"
          )
        records.append(Record(path, offset, length))
  return records


def _compressed(path: pathlib.Path, head: bytes) -> UserError | None:
  """Return the error for a file that starts like a compressed one, if any."""
  try:
    # Finds out by itself which of the two headers there is.
    content = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head)
  except zlib.error:
    content = b""
  if not content:
    return None
  module = "gzip" if head.startswith(b"\x1f\x8b") else "zlib"
  return UserError(
    f"{path}: expected an uncompressed TFRecord file, received one compressed"
    f" with {module.upper()}; unpack it and those beside it with `python -c"
    f' "import {module}, pathlib; [(q :='
    f" p.with_suffix('.part')).write_bytes({module}.decompress(p.read_bytes()))"
    f" and q.replace(p) for p in"
    f" [*pathlib.Path({str(path.parent)!r}).glob('*{path.suffix}')]]\"`"
  )


def read_checksum(record: Record) -> int:
  """Read the checksum that is stored behind the data of a record."""
  with record.path.open("rb") as file:
    file.seek(record.offset + record.length)
    [checksum] = _CHECKSUM.unpack(file.read(_CHECKSUM.size))
  return checksum


def read_record(record: Record) -> bytes:
  """Read the data of one record and verify its checksum.

  Args:
    record: A record as `list_records` returns it.

  Returns:
    The data.

  Raises:
    UserError: The data are not what was written there.
  """
  with record.path.open("rb") as file:
    file.seek(record.offset)
    data = file.read(record.length)
  check(record, google_crc32c.value(data), read_checksum(record))
  return data


def check(record: Record, checksum: int, stored: int) -> None:
  """Compare the CRC-32C of the data of a record with the one that is stored.

  Raises:
    UserError: The data are not what was written there.
  """
  if _mask(checksum) != stored:
    raise UserError(
      f"{record}: expected data that fit their checksum, received damaged data;"
      " copy the file again or convert the videos again"
    )


def write_record(file: BinaryIO, length: int, pieces: Iterable[bytes]) -> None:
  """Write one record piece by piece, so that it is never in memory as a whole.

  Args:
    file: A file that is open for writing in binary mode.
    length: Number of bytes of all pieces.
    pieces: The data.
  """
  header = _LENGTH.pack(length)
  file.write(header + _CHECKSUM.pack(_mask(google_crc32c.value(header))))
  checksum = 0
  for piece in pieces:
    checksum = google_crc32c.extend(checksum, piece)
    file.write(piece)
  file.write(_CHECKSUM.pack(_mask(checksum)))


def _mask(checksum: int) -> int:
  """Rotate and shift a CRC-32C as the TFRecord format stores it."""
  rotated = (checksum >> 15) | (checksum << 17)
  return (rotated + 0xA282EAD8) & 0xFFFFFFFF
