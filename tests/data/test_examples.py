import numpy as np
import pytest
import tensorflow as tf

from core.errors import UserError
from data import examples, tfrecords
from tests.helpers import record_files
from tests.helpers.errors import message_of

# Lengths on both sides of where their own encoding grows by a byte.
SIZES = (0, 1, 3, 126, 127, 128, 129, 200, 16383, 16384, 70000)


def write(path, frames, **fields):
  spool = path.with_suffix(".jpegs")
  spool.write_bytes(b"".join(frames))
  with path.open("ab") as file:
    examples.write_example(file, spool, [len(x) for x in frames], **fields)


@pytest.mark.parametrize(
  "fields",
  [
    {"name": "a", "frame_labels": None},
    {"name": "näme/ü", "frame_labels": [-1, 127, 128, 300, *range(7)]},
    {"name": "x" * 200, "frame_labels": [0] * 11, "label": 2**40},
    {"name": "", "frame_labels": None, "label": 0},
    {
      "name": "a",
      "frame_labels": [0] * 11,
      "times": [k / 30 for k in range(11)],
    },
  ],
)
def test_bytes_are_those_tensorflow_writes(tmp_path, fields):
  rng = np.random.default_rng(0)
  frames = [rng.bytes(size) for size in SIZES]
  write(tmp_path / "ours", frames, **fields)
  write(tmp_path / "ours", frames[:1], name="second")
  with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
    writer.write(record_files.sequence_example(jpegs=frames, **fields))
    writer.write(record_files.sequence_example("second", frames[:1]))
  ours, theirs = (tmp_path / name for name in ("ours", "theirs"))
  assert ours.read_bytes() == theirs.read_bytes()


def test_another_number_of_labels_is_refused(tmp_path):
  with pytest.raises(
    ValueError, match="a: expected 1 frame_labels, received 2"
  ):
    write(tmp_path / "ours", [b"x"], name="a", frame_labels=[0, 1])


@pytest.mark.parametrize("size", [0, 1, 200, 70_000])
def test_the_size_of_a_record_is_not_underestimated(tmp_path, size):
  path = tmp_path / "record"
  write(
    path,
    [bytes(size)] * 50,
    name="n" * 4096,
    frame_labels=[-1] * 50,
    times=[1.5] * 50,
  )
  frames = 50 * (size + examples.FRAME_OVERHEAD)
  assert path.stat().st_size < frames + (2**31 - examples.MAX_BYTES)


def read(tmp_path, *contents):
  paths = record_files.write(tmp_path, [contents])
  return [examples.read_example(r) for r in tfrecords.list_records(paths)]


JPEG = record_files.jpeg(1, 1)
PNG = tf.io.encode_png(np.zeros((16, 16, 3), np.uint8)).numpy()
WIDE = record_files.jpeg(1, 1, size=(16, 32))


def test_an_example_is_read_back(tmp_path):
  content = record_files.sequence_example("näme", [JPEG, WIDE], [3, -1], 2**40)
  sound, bare = read(tmp_path, content, record_files.bare([JPEG]))
  assert (sound.name, [*sound.jpegs]) == ("näme", [JPEG, WIDE])
  assert (sound.frame_labels, sound.label, sound.length) == ([3, -1], 2**40, 2)
  assert (bare.name, [*bare.jpegs]) == ("", [JPEG])
  assert (bare.frame_labels, bare.label, bare.length) == ([], -1, 1)
  unlabeled = examples.read_example(sound.record, use_frame_labels=False)
  assert unlabeled.frame_labels == []


def test_other_programs_may_order_pack_and_extend_as_they_like(tmp_path):
  other = tf.train.SequenceExample()
  other.context.feature["fps"].float_list.value.append(30)
  other.context.feature["name"].bytes_list.value.append(b"\xff name")
  lists = other.feature_lists.feature_list
  lists["audio"].feature.add().float_list.value.append(0.5)
  # A packed list of the number 2 becomes a field of two bytes.
  labels = record_files.bare([], [2, 0]).replace(
    b"\x1a\x03\n\x01\x02", b"\x1a\x03\x08\x82\x00"
  )
  jpegs = record_files.bare([JPEG] * 2)
  [example] = read(tmp_path, labels + jpegs + other.SerializeToString())
  assert example.name == "\N{REPLACEMENT CHARACTER} name"
  assert [*example.jpegs] == [JPEG] * 2 and example.frame_labels == [2, 0]


def clip(*frames, labels=None):
  return record_files.sequence_example("clip", frames, labels)


@pytest.mark.parametrize(
  "content, message",
  [
    (b"\xff\xff\xff", ": expected a SequenceExample of JPEG images, received"),
    (
      clip(JPEG, JPEG)[:-40],
      ": expected a SequenceExample of JPEG images, received",
    ),
    (clip(), ", video 'clip': expected frames under the key `video`, received"),
    (clip(JPEG, b"hi"), "of JPEG images, received other data as frame 1;"),
    (clip(PNG, JPEG), "of JPEG images, received a PNG image as frame 0;"),
    (clip(JPEG, b""), "of JPEG images, received other data as frame 1;"),
    (clip(JPEG, JPEG[:-20]), "JPEG image as frame 1, received a damaged one"),
    (clip(JPEG, JPEG[:2]), "JPEG image as frame 1, received a damaged one"),
    (
      clip(JPEG, JPEG, JPEG, labels=[0, 1]),
      "'clip': expected 3 frame_labels, one a frame, received 2; convert",
    ),
    (
      clip(JPEG, WIDE),
      "frame 1 of 16 x 16 pixels as frame 0, received 32 x 16 pixels;",
    ),
  ],
)
def test_check_names_file_video_and_frame(tmp_path, content, message):
  sound = clip(JPEG, JPEG, labels=[0, 1])
  [path] = record_files.write(tmp_path, [[sound, content]])
  records = tfrecords.list_records([path])
  examples.check_records(records[:1])
  text = message_of(examples.check_records, records)
  assert message in text
  assert text.startswith(f"{path}: record at byte {records[1].offset}")
  assert text.endswith("; convert the videos again")


def test_whatever_byte_is_wrong_a_record_is_read_or_refused(tmp_path):
  content = clip(JPEG[:30], labels=[1])
  damaged = []
  for place in range(len(content)):
    flipped = bytearray(content)
    flipped[place] ^= 1 << place % 8
    damaged += [bytes(flipped), content[:place]]
  [path] = record_files.write(tmp_path, [damaged])
  for record in tfrecords.list_records([path]):
    try:
      examples.read_example(record)
    except UserError as error:
      assert str(error).startswith(str(record))
