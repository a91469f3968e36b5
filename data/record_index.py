"""Where each record of a set of TFRecord files lies, for random access."""

import collections
import os
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import google_crc32c
import tensorflow as tf

from core.errors import UserError
from data import checksums
from data.dataset_info import SplitInfo

# A TFRecord: length (8 bytes), its checksum (4), data, checksum of data (4).
_HEADER_BYTES = 12
_FOOTER_BYTES = 4

# What every JPEG image begins with.
JPEG_START = b"\xff\xd8"


class Record(NamedTuple):
  """Place of one record: file, first byte of its data, number of bytes."""

  path: str
  offset: int
  length: int


def find_records(paths: Sequence[str | os.PathLike]) -> list[Record]:
  """Lists the records of TFRecord files without reading their data.

  Args:
    paths: TFRecord files, uncompressed.

  Returns:
    One entry a record, in the order of `paths` and within each file.

  Raises:
    UserError: A file ends in the middle of a record or is no TFRecord file.
  """
  return [record for path in paths for record in _records_of(str(path))]


def _records_of(path: str) -> list[Record]:
  records = []
  size = tf.io.gfile.stat(path).length
  position = 0
  with tf.io.gfile.GFile(path, "rb") as file:
    while position < size:
      file.seek(position)
      header = file.read(_HEADER_BYTES)
      length = (
        struct.unpack("<Q", header[:8])[0]
        if len(header) == _HEADER_BYTES
        else size
      )
      end = position + _HEADER_BYTES + length + _FOOTER_BYTES
      if end > size:
        raise UserError(
          f"{path}: record {len(records)} is truncated or this is no TFRecord"
          f" file (record ends at byte {end}, file at {size}); convert or"
          " download it again"
        )
      records.append(Record(path, position + _HEADER_BYTES, length))
      position = end
  return records


def read(record: Record) -> bytes:
  """Reads the data of one record; safe to call from several threads.

  Args:
    record: As `find_records` returns it.

  Returns:
    The data.

  Raises:
    UserError: It is not what was written there.
  """
  with tf.io.gfile.GFile(record.path, "rb") as file:
    file.seek(record.offset)
    data = file.read(record.length)
    checksum = file.read(_FOOTER_BYTES)
  if checksums.masked(google_crc32c.value(data)) != checksum:
    raise UserError(
      f"{record.path}: record at byte {record.offset} is damaged, it does not"
      " fit its checksum; copy the file again or convert the videos again"
    )
  return data


def parse(record: Record) -> tf.train.SequenceExample:
  """Parses a record.

  Args:
    record: As `find_records` returns it.

  Returns:
    The message.

  Raises:
    UserError: It is none, or is damaged.
  """
  data = read(record)
  try:
    return tf.train.SequenceExample.FromString(data)
  except Exception as error:  # protobuf's DecodeError has no public name.
    raise UserError(
      f"{record.path}: record at byte {record.offset} is damaged, no"
      " SequenceExample; convert the videos again"
    ) from error


def name_of(example: tf.train.SequenceExample) -> str:
  """The name of a video; empty if it has none."""
  name = b"".join(example.context.feature["name"].bytes_list.value)
  return name.decode(errors="replace")


def place(record: Record, example: tf.train.SequenceExample) -> str:
  """Says in messages which record it is: file, byte and video."""
  return (
    f"{record.path}: record at byte {record.offset}, video {name_of(example)!r}"
  )


def count(paths: Sequence[str | os.PathLike]) -> SplitInfo:
  """Counts videos, frames and phases by reading records.

  Args:
    paths: TFRecord files of one split.

  Returns:
    The counts.

  Raises:
    UserError: A file is damaged.
  """
  num_videos = num_frames = 0
  phases = collections.Counter()
  for record in find_records(paths):
    lists = parse(record).feature_lists.feature_list
    num_videos += 1
    num_frames += len(lists["video"].feature)
    for step in lists["frame_labels"].feature:
      phases.update(step.int64_list.value)
  histogram = {str(phase): phases[phase] for phase in sorted(phases)}
  return SplitInfo(num_videos, num_frames, phases=histogram)


def has_labels(record: Record) -> bool:
  """Whether any frame of a record has a label."""
  labels = parse(record).feature_lists.feature_list["frame_labels"]
  return any(
    value >= 0 for step in labels.feature for value in step.int64_list.value
  )


def check(records: Sequence[Record]) -> None:
  """Parses every record and decodes every frame; slow, for finding damage.

  Args:
    records: As `find_records` returns them.

  Raises:
    UserError: A record is damaged or can't be parsed, has no frames or labels
      of only some of them, or a frame is no JPEG or of another size than the
      first.
  """
  for record in records:
    example = parse(record)
    damage = _damage(example.feature_lists.feature_list)
    if damage:
      raise UserError(
        f"{place(record, example)}: {damage}; convert the videos again"
      )


def _damage(lists: Mapping[str, tf.train.FeatureList]) -> str | None:
  """Says what is wrong with a video; None if nothing is."""
  jpegs = [b"".join(f.bytes_list.value) for f in lists["video"].feature]
  num_labels = len(lists["frame_labels"].feature)
  if not jpegs:
    return "no frames under the key `video`"
  if num_labels not in (0, len(jpegs)):
    return f"{num_labels} frame_labels, expected {len(jpegs)}, one a frame"
  shapes = [_jpeg_shape(jpeg) for jpeg in jpegs]
  for number, shape in enumerate(shapes):
    if shape is None:
      return f"frame {number} is no sound JPEG image"
    if shape != shapes[0]:
      return (
        f"frame {number} has {shape[1]} x {shape[0]} pixels, expected"
        f" {shapes[0][1]} x {shapes[0][0]} as frame 0"
      )
  return None


def _jpeg_shape(data: bytes) -> tuple[int, ...] | None:
  """Height, width and channels as decoded; None if it is no sound JPEG."""
  if not data.startswith(JPEG_START):
    return None
  try:
    return tuple(tf.io.decode_jpeg(data, channels=3).shape)
  except tf.errors.InvalidArgumentError:
    return None
