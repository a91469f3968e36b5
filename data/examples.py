"""The schema of a record: encode, decode and check videos without TensorFlow.

A record is a `tf.train.SequenceExample`. Its context holds `name` (bytes),
`len` (int64) and `label` (int64, -1 = none). Its feature lists are `video`, one
JPEG a frame, and optionally `frame_labels`, one int64 a frame (-1 = none), and
`times`, one float a frame (seconds since the first).

Worker processes that encode videos use this module, and TensorFlow would take
them seconds to load and hold a video in memory three times over.
"""

import collections
import dataclasses
import io
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from PIL import Image

from core.errors import UserError
from data import tfrecords
from data.encoded_frames import EncodedFrames
from data.frame_index import find_frames
from data.tfrecords import Record
from data.wire_format import encode_head

NAME, LENGTH, LABEL = "name", "len", "label"
VIDEO, FRAME_LABELS, TIMES = "video", "frame_labels", "times"

# A message has to be shorter than 2 GiB, or nobody can parse it.
MAX_BYTES = 2**31 - 2**16
# More than a frame's place in its list, its label and its time take.
FRAME_OVERHEAD = 64

# The messages of TensorFlow's feature.proto and example.proto.
_SCHEMA = {
  "BytesList": "bytes* value=1",
  "FloatList": "float* value=1",
  "Int64List": "int64* value=1",
  "Feature": "BytesList bytes_list=1, FloatList float_list=2,"
  " Int64List int64_list=3",
  "Features": "FeatureEntry* feature=1",
  "Features.FeatureEntry": "string key=1, Feature value=2",
  "FeatureList": "Feature* feature=1",
  "FeatureLists": "FeatureListEntry* feature_list=1",
  "FeatureLists.FeatureListEntry": "string key=1, FeatureList value=2",
  "SequenceExample": "Features context=1, FeatureLists feature_lists=2",
}


def _build_message_class() -> type[Message]:
  """Build `tf.train.SequenceExample`, as far as records need it."""
  file = descriptor_pb2.FileDescriptorProto(name="records", syntax="proto3")
  kinds = descriptor_pb2.FieldDescriptorProto
  messages = {}
  for name, fields in _SCHEMA.items():
    parent, _, own = name.rpartition(".")
    siblings = messages[parent].nested_type if parent else file.message_type
    messages[name] = message = siblings.add(name=own)
    message.options.map_entry = bool(parent)
    for kind, many, key, number in re.findall(r"(\w+)(\*?) (\w+)=(\d)", fields):
      field = message.field.add(name=key, number=int(number))
      field.label = kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL
      if kind.islower():
        field.type = getattr(kinds, f"TYPE_{kind.upper()}")
      else:
        field.type_name = kind
  pool = descriptor_pool.DescriptorPool()
  pool.AddSerializedFile(file.SerializeToString())
  message = pool.FindMessageTypeByName("SequenceExample")
  return message_factory.GetMessageClass(message)


_SequenceExample = _build_message_class()


@dataclasses.dataclass(frozen=True)
class Example:
  """A video as a record holds it.

  Attributes:
    name: Name of the video; empty if the record has none.
    jpegs: The L encoded frames, read when they are asked for.
    frame_labels: [L] phases, -1 = none; empty without labels.
    times: [L] seconds since the first frame; empty where they are not known.
    label: Label of the whole video, -1 = none.
    length: Number of frames that the record states, if it states one; those of
      other programs may be wrong.
    record: Where it lies.
  """

  name: str
  jpegs: EncodedFrames
  frame_labels: list[int]
  times: list[float]
  label: int
  length: int
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
  times: Sequence[float] | None = None,
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
    times: Seconds since the first frame, one a frame; None if not known.

  Raises:
    ValueError: There is not one label or time a frame.
  """
  for key, values in ((FRAME_LABELS, frame_labels), (TIMES, times)):
    if values is not None and len(values) != len(sizes):
      raise ValueError(
        f"{name}: expected {len(sizes)} {key}, received {len(values)}"
      )
  message = _SequenceExample()
  context, lists = message.context.feature, message.feature_lists.feature_list
  context[NAME].bytes_list.value.append(name.encode())
  context[LENGTH].int64_list.value.append(len(sizes))
  context[LABEL].int64_list.value.append(label)
  for frame_label in frame_labels or ():
    lists[FRAME_LABELS].feature.add().int64_list.value.append(frame_label)
  for time in times or ():
    lists[TIMES].feature.add().float_list.value.append(time)
  before = message.feature_lists.SerializeToString(deterministic=True)
  message.ClearField("feature_lists")
  # What follows is the feature list of the frames, and what contains it.
  frames = sum(len(_frame_head(size)) + size for size in sizes)
  entry = encode_head(1, len(VIDEO)) + VIDEO.encode() + encode_head(2, frames)
  before += encode_head(1, len(entry) + frames) + entry
  head = message.SerializeToString(deterministic=True)
  head += encode_head(2, len(before) + frames) + before

  def pieces() -> Iterator[bytes]:
    yield head
    with jpegs.open("rb") as source:
      for size in sizes:
        yield _frame_head(size) + source.read(size)

  tfrecords.write_record(target, len(head) + frames, pieces())


def _frame_head(size: int) -> bytes:
  """Encode what precedes a JPEG of some bytes in the list of frames."""
  value = encode_head(1, size)
  bytes_list = encode_head(1, len(value) + size) + value
  return encode_head(1, len(bytes_list) + size) + bytes_list


def read_example(record: Record, use_frame_labels: bool = True) -> Example:
  """Read the video of a record; its frames are read when they are asked for.

  Args:
    record: A record as `tfrecords.list_records` returns it.
    use_frame_labels: Whether to read labels of frames.

  Returns:
    The video.

  Raises:
    UserError: The record is damaged or no `SequenceExample`, or it has no
      frames or labels or times of only some of them.
  """
  index = find_frames(record, VIDEO)
  try:
    message = _SequenceExample.FromString(index.rest)
  except DecodeError as error:
    raise _damage(record, "a SequenceExample", "other data") from error
  context, lists = message.context.feature, message.feature_lists.feature_list
  name = b"".join(context[NAME].bytes_list.value).decode(errors="replace")
  where = f"{record}, video {name!r}"
  jpegs = EncodedFrames(record.path, *index[:3], where)
  features = lists[FRAME_LABELS].feature if use_frame_labels else ()
  example = Example(
    name=name,
    jpegs=jpegs,
    frame_labels=[label for x in features for label in x.int64_list.value],
    times=[t for x in lists[TIMES].feature for t in x.float_list.value],
    label=[*context[LABEL].int64_list.value, -1][0],
    length=[*context[LENGTH].int64_list.value, len(jpegs)][0],
    record=record,
  )
  count = len(jpegs)
  if not count:
    raise _damage(example, f"frames under the key `{VIDEO}`", "none")
  values = {FRAME_LABELS: example.frame_labels, TIMES: example.times}
  for key, number in zip(values, map(len, values.values()), strict=True):
    if number not in (0, count):
      raise _damage(example, f"{count} {key}, one a frame", number)
  return example


def check_frames(example: Example) -> None:
  """Decode every frame of a video; slow, for finding damage.

  Args:
    example: The video.

  Raises:
    UserError: A frame is damaged, or of another size than the first.
  """
  sizes = []
  for number, jpeg in enumerate(example.jpegs):
    frame = f"a JPEG image as frame {number}"
    try:
      with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        image.load()
        sizes.append(f"{image.width} x {image.height} pixels")
    except (OSError, SyntaxError, ValueError) as error:
      raise _damage(example, frame, "a damaged one") from error
    if sizes[-1] != sizes[0]:
      raise _damage(example, f"{frame} of {sizes[0]} as frame 0", sizes[-1])


def check_numbers(example: Example, num_phases: int = 0) -> None:
  """Check the length that a video states and the range of its labels.

  Args:
    example: The video.
    num_phases: Number of phases that have names; 0 = unknown.

  Raises:
    UserError: There is another number of frames, or a label is out of range.
  """
  count = len(example.jpegs)
  if example.length != count:
    raise _damage(example, f"a `{LENGTH}` of {count} frames", example.length)
  allowed = f"-1 to {num_phases - 1}" if num_phases else "-1 or more"
  for number, label in enumerate(example.frame_labels):
    if label < -1 or 0 < num_phases <= label:
      raise _damage(example, f"label {allowed} in frame {number}", label)


def _damage(at: object, expected: str, received: object) -> UserError:
  return UserError(
    f"{at}: expected {expected}, received {received}; convert the videos again"
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


def count_examples(records: list[Record]) -> tuple[int, int, dict[int, int]]:
  """Count videos, frames and phases by reading records.

  Args:
    records: Records as `tfrecords.list_records` returns them.

  Returns:
    Number of videos, number of frames, and the frames of each phase, in the
    order of the phases.

  Raises:
    UserError: A record is damaged.
  """
  num_frames, phases = [], collections.Counter()
  for example in map(read_example, records):
    num_frames.append(len(example.jpegs))
    phases.update(example.frame_labels)
  return len(num_frames), sum(num_frames), dict(sorted(phases.items()))
