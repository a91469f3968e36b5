"""The schema of a record: encode, decode and check videos without TensorFlow.

A record is a `tf.train.SequenceExample`. Its context holds `name` (bytes),
`len` (int64) and `label` (int64, -1 = none). Its feature lists are `video`, one
JPEG a frame, and optionally `frame_labels`, one int64 a frame (-1 = none).

Worker processes that encode videos use this module, and TensorFlow would take
them seconds to load and hold a video in memory three times over.
"""

import collections
import dataclasses
import io
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from PIL import Image

from core.errors import UserError
from data import tfrecords
from data.tfrecords import Record

NAME, LENGTH, LABEL = "name", "len", "label"
VIDEO, FRAME_LABELS = "video", "frame_labels"

# Every JPEG image starts with these bytes.
JPEG_START = b"\xff\xd8"
# A message has to be shorter than 2 GiB, or nobody can parse it.
MAX_BYTES = 2**31 - 2**16
# More than a frame's place in its list and its label take.
FRAME_OVERHEAD = 48

# The messages of TensorFlow's example.proto and feature.proto: name, type and
# whether it is repeated, of each field by its number. A map is on the wire what
# it is here, a list of entries, and the last entry of a key counts.
_MESSAGES = {
  "BytesList": {1: ("value", "bytes", True)},
  "Int64List": {1: ("value", "int64", True)},
  "Feature": {
    1: ("bytes_list", "BytesList", False),
    3: ("int64_list", "Int64List", False),
  },
  "Features": {1: ("entries", "FeaturesEntry", True)},
  "FeaturesEntry": {
    1: ("key", "string", False),
    2: ("value", "Feature", False),
  },
  "FeatureList": {1: ("features", "Feature", True)},
  "FeatureLists": {1: ("entries", "FeatureListsEntry", True)},
  "FeatureListsEntry": {
    1: ("key", "string", False),
    2: ("value", "FeatureList", False),
  },
  "SequenceExample": {
    1: ("context", "Features", False),
    2: ("feature_lists", "FeatureLists", False),
  },
}


def _build_message_class() -> type[Message]:
  """Build the class `SequenceExample` from `_MESSAGES`."""
  kinds = descriptor_pb2.FieldDescriptorProto
  scalars = {
    "bytes": kinds.TYPE_BYTES,
    "int64": kinds.TYPE_INT64,
    "string": kinds.TYPE_STRING,
  }
  file = descriptor_pb2.FileDescriptorProto(
    name="examples.proto", package="examples", syntax="proto3"
  )
  for message, fields in _MESSAGES.items():
    descriptor = file.message_type.add(name=message)
    for number, (name, kind, repeated) in fields.items():
      descriptor.field.add(
        name=name,
        number=number,
        label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
        type=scalars.get(kind, kinds.TYPE_MESSAGE),
        type_name=None if kind in scalars else f".examples.{kind}",
      )
  pool = descriptor_pool.DescriptorPool()
  pool.AddSerializedFile(file.SerializeToString())
  return message_factory.GetMessageClass(
    pool.FindMessageTypeByName("examples.SequenceExample")
  )


_SequenceExample = _build_message_class()


@dataclasses.dataclass(frozen=True)
class Example:
  """A video as a record holds it.

  Attributes:
    name: Name of the video; empty if the record has none.
    jpegs: [L] encoded frames.
    frame_labels: [L] phases, -1 = none; empty without labels.
    label: Label of the whole video, -1 = none.
    length: Number of frames that the record states, which those of other
      programs may get wrong; None if it states none.
    record: Where it lies.
  """

  name: str
  jpegs: list[bytes]
  frame_labels: list[int]
  label: int
  length: int | None
  record: Record

  def __str__(self) -> str:
    """Name the video in messages."""
    return f"{self.record}, video {self.name!r}"


def write_example(
  target: BinaryIO,
  jpegs: pathlib.Path,
  sizes: Sequence[int],
  name: str,
  frame_labels: Sequence[int] | None = None,
  label: int = -1,
) -> None:
  """Write the record of a video to an open TFRecord file.

  The bytes are those of TensorFlow's deterministic serialization. One frame at
  a time is in memory.

  Args:
    target: The file, open for writing in binary mode.
    jpegs: A file of the encoded frames one after another.
    sizes: Bytes of each frame.
    name: Name of the video.
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
  # Keys in alphabetical order, as in TensorFlow's deterministic serialization.
  context = {
    LABEL: _int64_feature(label),
    LENGTH: _int64_feature(len(sizes)),
    NAME: {"bytes_list": {"value": [name.encode()]}},
  }
  lists = {}
  if frame_labels is not None:
    lists[FRAME_LABELS] = {"features": map(_int64_feature, frame_labels)}
  message = _SequenceExample(
    context={"entries": _entries(context)},
    feature_lists={"entries": _entries(lists)},
  )
  before = message.feature_lists.SerializeToString()
  message.ClearField("feature_lists")
  # What follows is the feature list of the frames, and what contains it.
  frames = sum(len(_frame_head(size)) + size for size in sizes)
  entry = _head(1, len(VIDEO)) + VIDEO.encode() + _head(2, frames)
  before += _head(1, len(entry) + frames) + entry
  head = message.SerializeToString() + _head(2, len(before) + frames) + before

  def pieces() -> Iterator[bytes]:
    yield head
    with jpegs.open("rb") as source:
      for size in sizes:
        yield _frame_head(size) + source.read(size)

  tfrecords.write_record(target, len(head) + frames, pieces())


def _int64_feature(value: int) -> dict:
  return {"int64_list": {"value": [value]}}


def _entries(items: dict[str, dict]) -> list[dict]:
  return [{"key": key, "value": value} for key, value in items.items()]


def _frame_head(size: int) -> bytes:
  """Encode what precedes a JPEG of some bytes in the list of frames."""
  value = _head(1, size)
  bytes_list = _head(1, len(value) + size) + value
  return _head(1, len(bytes_list) + size) + bytes_list


def _head(number: int, length: int) -> bytes:
  """Encode the tag of a field of bytes, and their number.

  See https://protobuf.dev/programming-guides/encoding/.
  """
  head = bytearray([number << 3 | 2])
  while length > 127:
    head.append(length & 127 | 128)
    length >>= 7
  head.append(length)
  return bytes(head)


def read_example(record: Record, use_frame_labels: bool = True) -> Example:
  """Read the video of a record, its frames still encoded.

  Args:
    record: A record as `tfrecords.list_records` returns it.
    use_frame_labels: Whether to read labels of frames.

  Returns:
    The video.

  Raises:
    UserError: The record is damaged or no `SequenceExample`, it has no frames
      or labels of only some of them, or a frame does not start like a JPEG.
  """
  try:
    message = _SequenceExample.FromString(tfrecords.read_record(record))
  except DecodeError as error:
    raise UserError(
      f"{record}: expected a SequenceExample, received other data; convert the"
      " videos again"
    ) from error
  context = {x.key: x.value for x in message.context.entries}
  lists = {x.key: x.value.features for x in message.feature_lists.entries}
  names, labels, lengths = (
    getattr(context[key], kind).value if key in context else ()
    for key, kind in (
      (NAME, "bytes_list"),
      (LABEL, "int64_list"),
      (LENGTH, "int64_list"),
    )
  )
  example = Example(
    name=b"".join(names).decode(errors="replace"),
    jpegs=[b"".join(x.bytes_list.value) for x in lists.get(VIDEO, ())],
    frame_labels=[
      label
      for x in lists.get(FRAME_LABELS, ())
      for label in x.int64_list.value
      if use_frame_labels
    ],
    label=labels[0] if labels else -1,
    length=lengths[0] if lengths else None,
    record=record,
  )
  count, num_labels = len(example.jpegs), len(example.frame_labels)
  if not count:
    raise _damage(example, f"frames under the key `{VIDEO}`", "none")
  if num_labels not in (0, count):
    raise _damage(example, f"{count} {FRAME_LABELS}, one a frame", num_labels)
  for number, jpeg in enumerate(example.jpegs):
    if not jpeg.startswith(JPEG_START):
      raise _damage(example, f"a JPEG image as frame {number}", "other data")
  return example


def check_frames(example: Example) -> None:
  """Decode every frame of a video; slow, for finding damage.

  Args:
    example: The video.

  Raises:
    UserError: A frame is damaged, or of another size than the first.
  """
  first = None
  for number, jpeg in enumerate(example.jpegs):
    try:
      with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        image.load()
        size = f"{image.width} x {image.height}"
    except (OSError, SyntaxError, ValueError) as error:
      raise _damage(
        example, f"a JPEG image as frame {number}", "a damaged one"
      ) from error
    first = first or size
    if size != first:
      raise _damage(
        example, f"{first} pixels in frame {number} as in frame 0", size
      )


def check_numbers(example: Example, num_phases: int = 0) -> None:
  """Check the length that a video states and the range of its labels.

  Args:
    example: The video.
    num_phases: Number of phases that have names; 0 = unknown.

  Raises:
    UserError: There is another number of frames, or a label is out of range.
  """
  count = len(example.jpegs)
  if example.length not in (None, count):
    raise _damage(example, f"a `{LENGTH}` of {count} frames", example.length)
  allowed = f"to {num_phases - 1}" if num_phases else "or more"
  for number, label in enumerate(example.frame_labels):
    if label < -1 or 0 < num_phases <= label:
      expected = f"a label of -1 {allowed} for frame {number}"
      raise _damage(example, expected, label)


def _damage(example: Example, expected: str, received: object) -> UserError:
  return UserError(
    f"{example}: expected {expected}, received {received}; convert the videos"
    " again"
  )


def check_records(records: Iterable[Record]) -> None:
  """Read records and decode all of their frames; slow, for finding damage.

  Args:
    records: Records as `tfrecords.list_records` returns them.

  Raises:
    UserError: `read_example` or `check_frames` finds damage.
  """
  for record in records:
    check_frames(read_example(record))


def count_examples(
  records: Iterable[Record],
) -> tuple[int, int, dict[int, int]]:
  """Count videos, frames and phases by reading records.

  Args:
    records: Records as `tfrecords.list_records` returns them.

  Returns:
    Number of videos, number of frames, and the frames of each phase, in the
    order of the phases.

  Raises:
    UserError: A record is damaged.
  """
  num_videos = num_frames = 0
  phases = collections.Counter()
  for example in map(read_example, records):
    num_videos += 1
    num_frames += len(example.jpegs)
    phases.update(example.frame_labels)
  return num_videos, num_frames, dict(sorted(phases.items()))
