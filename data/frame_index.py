"""Where each frame lies in its record, so that no others have to be read.

The index of a record is made when the record is first used: it is read once as
a whole, a frame at a time in memory, and its checksum is verified. The index is
kept in a folder beside the records, if that can be written to.
"""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c
import numpy as np

from core.errors import UserError
from core.files import atomic_write
from data import tfrecords
from data.tfrecords import Record
from data.wire_format import MessageReader, encode_head

# Beside the records; names that start with a dot are not taken for records.
FOLDER_NAME = ".frame_index"
# Numbers of the fields that lead to a frame, see the messages in `examples`.
_FEATURE_LISTS, _KEY, _VALUE = 2, 1, 2
# Every JPEG image starts with these bytes.
_JPEG_START = b"\xff\xd8"


class FrameIndex(NamedTuple):
  """The frames of a record.

  Attributes:
    offsets: [L] int64 places of their first bytes in the file.
    sizes: [L] int64 numbers of bytes.
    checksums: [L] int64 CRC-32C.
    rest: The `SequenceExample` without its frames.
  """

  offsets: np.ndarray
  sizes: np.ndarray
  checksums: np.ndarray
  rest: bytes


def find_frames(record: Record, key: str) -> FrameIndex:
  """Look up the frames of a record, or find them and keep their places.

  Args:
    record: A record as `tfrecords.list_records` returns it.
    key: Key of the frames among the feature lists.

  Returns:
    Their index.

  Raises:
    UserError: The data are not what was written there, or no
      `SequenceExample`.
  """
  folder = record.path.parent / FOLDER_NAME
  path = folder / f"{record.path.name}-{record.offset}"
  checksum = tfrecords.read_checksum(record)
  # Other records may be put in this place.
  identity = np.array([record.offset, record.length, checksum]).tobytes()
  with contextlib.suppress(OSError):
    if index := _decode(path.read_bytes(), identity):
      return index
  index = _scan(record, key, checksum)
  # Without a place to keep it, it serves this process alone.
  with contextlib.suppress(UserError), atomic_write(path) as temporary:
    temporary.write_bytes(_encode(index, identity))
  return index


def _encode(index: FrameIndex, identity: bytes) -> bytes:
  """Encode an index: checksum, identity, number of frames, arrays, rest."""
  *arrays, rest = index
  count, table = np.int64(len(arrays[0])), np.array(arrays, np.int64)
  data = identity + count.tobytes() + table.tobytes() + rest
  return np.int64(google_crc32c.value(data)).tobytes() + data


def _decode(data: bytes, identity: bytes) -> FrameIndex | None:
  """Decode an index; None if it is damaged or that of another record."""
  head = np.int64(google_crc32c.value(data[8:])).tobytes() + identity
  if not data.startswith(head):
    return None
  [count] = np.frombuffer(data, np.int64, 1, len(head))
  places = np.frombuffer(data, np.int64, 3 * count, len(head) + 8)
  rest = data[len(head) + 8 + places.nbytes :]
  return FrameIndex(*places.reshape(3, count), rest)


def _scan(record: Record, key: str, checksum: int) -> FrameIndex:
  """Read a record once, with one frame in memory."""
  rest, frames, problem = bytearray(), [], ""
  with record.path.open("rb") as file:
    file.seek(record.offset)
    reader = MessageReader(file, record.length)
    try:
      for number, length in reader.iterate_fields(record.length):
        if number == _FEATURE_LISTS:
          lists = _read_lists(reader, length, key, frames)
        else:
          lists = reader.read(length)
        rest += encode_head(number, len(lists)) + lists
    except ValueError as error:
      problem = str(error)
    # What can't be parsed may be damaged.
    while reader.left:
      reader.read(min(reader.left, 1 << 20))
  tfrecords.check(record, reader.checksum, checksum)
  if problem:
    raise UserError(
      f"{record}: expected a SequenceExample of JPEG images, received"
      f" {problem}; convert the videos again"
    )
  end = record.offset + record.length
  table = np.array(frames, np.int64).reshape(-1, 3)
  return FrameIndex(end - table[:, 0], *table[:, 1:].T, bytes(rest))


def _read_lists(
  reader: MessageReader, length: int, key: str, frames: list[tuple]
) -> bytes:
  """Read feature lists; return them without the frames, which are collected."""
  lists, name = bytearray(), encode_head(_KEY, len(key)) + key.encode()
  for number, entry_length in reader.iterate_fields(length):
    entry = b""
    for field, size in reader.iterate_fields(entry_length):
      if field == _VALUE and entry == name:
        # As in any map, the last of equal keys counts.
        frames[:] = _iterate_frames(reader, size)
      else:
        entry += encode_head(field, size) + reader.read(size)
    if entry != name:
      lists += encode_head(number, len(entry)) + entry
  return bytes(lists)


def _iterate_frames(
  reader: MessageReader, length: int
) -> Iterator[tuple[int, int, int]]:
  """Yield bytes left at the start of each frame, its size and checksum."""
  for number, (_, feature) in enumerate(reader.iterate_fields(length)):
    places = []
    for _, values in reader.iterate_fields(feature):
      for _, size in reader.iterate_fields(values):
        left, frame = reader.left, reader.read(size)
        if not frame.startswith(_JPEG_START):
          kind = "a PNG image" if frame[1:4] == b"PNG" else "other data"
          raise ValueError(f"{kind} as frame {number}")
        places.append((left, size, google_crc32c.value(frame)))
    if len(places) != 1:
      raise ValueError(f"{len(places)} images as frame {number}")
    yield places[0]
