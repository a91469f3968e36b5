"""Records of videos, written as streams: a frame at a time is in memory.

A record is a `tf.train.SequenceExample` in a TFRecord file, byte for byte what
TensorFlow writes. TensorFlow holds such a message whole, three times over, and
takes seconds to load in every worker process.

Context: `name` bytes, `len` int64, `label` int64 (-1 = none). Feature lists:
`video`, one JPEG a frame, and optionally `frame_labels`, one int64 a frame.
"""

import pathlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import google_crc32c

from data import checksums

# https://protobuf.dev/programming-guides/encoding/: a field is its number and
# wire type, here always 2 (length and content), or a varint in a packed list.
_LENGTH_DELIMITED = 2
# A message has to be shorter than 2 GiB, or nobody can parse it.
MAX_BYTES = 2**31 - 2**16
# More than a frame's place in its list and its label take.
FRAME_OVERHEAD = 48
# A TFRecord: length, its checksum, data, checksum of the data.
_HEADER, _CHECKSUM_BYTES = struct.Struct("<Q"), 4


def write(
  target: BinaryIO,
  jpegs: pathlib.Path,
  sizes: Sequence[int],
  name: str,
  frame_labels: Sequence[int] | None = None,
  label: int = -1,
) -> None:
  """Writes the record of a video to an open TFRecord file.

  Args:
    target: The file, open for writing in binary mode.
    jpegs: A file of the encoded frames one after another.
    sizes: Bytes of each frame.
    name: What tells the video from the others.
    frame_labels: One label a frame, -1 = none; None if there are no labels.
    label: Label of the whole video, -1 = none.

  Raises:
    ValueError: There is not one label a frame.
  """
  if frame_labels is not None and len(frame_labels) != len(sizes):
    raise ValueError(
      f"{name}: expected {len(sizes)} labels of frames, received"
      f" {len(frame_labels)}"
    )
  context = {
    "label": _int64(label),
    "len": _int64(len(sizes)),
    "name": _bytes(name.encode()),
  }
  head = _field(1, b"".join(_entry(*item) for item in context.items()))
  # In the order of their names, as TensorFlow's deterministic output has them.
  lists = b""
  if frame_labels is not None:
    features = b"".join(_field(1, _int64(x)) for x in frame_labels)
    lists = _entry("frame_labels", features)
  key = _field(1, b"video")
  frames = sum(len(_frame_head(size)) + size for size in sizes)
  entry = key + _head(2, frames)
  lists += _head(1, len(entry) + frames) + entry
  head += _head(2, len(lists) + frames) + lists
  _write_framed(target, len(head) + frames, _pieces(head, jpegs, sizes))


def only_record(path: pathlib.Path) -> bytes:
  """The record of a TFRecord file that holds one, without its frame."""
  return path.read_bytes()[_HEADER.size + _CHECKSUM_BYTES : -_CHECKSUM_BYTES]


def _pieces(
  head: bytes, jpegs: pathlib.Path, sizes: Sequence[int]
) -> Iterator[bytes]:
  yield head
  with jpegs.open("rb") as source:
    for size in sizes:
      yield _frame_head(size) + source.read(size)


def _write_framed(
  target: BinaryIO, length: int, pieces: Iterable[bytes]
) -> None:
  """Writes one record with the checksums of the TFRecord format."""
  header = _HEADER.pack(length)
  target.write(header + checksums.masked(google_crc32c.value(header)))
  checksum = 0
  for piece in pieces:
    checksum = google_crc32c.extend(checksum, piece)
    target.write(piece)
  target.write(checksums.masked(checksum))


def _varint(value: int) -> bytes:
  value &= 2**64 - 1  # Negative numbers in two's complement.
  groups = bytearray()
  while value > 127:
    groups.append(value & 127 | 128)
    value >>= 7
  groups.append(value)
  return bytes(groups)


def _head(number: int, length: int) -> bytes:
  return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _field(number: int, content: bytes) -> bytes:
  return _head(number, len(content)) + content


def _entry(key: str, value: bytes) -> bytes:
  """An entry of a map, itself a field of the message that holds the map."""
  return _field(1, _field(1, key.encode()) + _field(2, value))


def _bytes(value: bytes) -> bytes:
  """A `tf.train.Feature` of one byte string."""
  return _field(1, _field(1, value))


def _int64(value: int) -> bytes:
  """A `tf.train.Feature` of one number."""
  return _field(3, _field(1, _varint(value)))


def _frame_head(size: int) -> bytes:
  """What stands before a JPEG in the list of frames."""
  value = _head(1, size)
  of_list = _head(1, len(value) + size) + value
  return _head(1, len(of_list) + size) + of_list
