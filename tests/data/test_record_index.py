import numpy as np
import pytest
import tensorflow as tf

from core.errors import UserError
from data import record_index
from tests.helpers import record_files


def test_records_are_found_in_order_and_read_back_byte_by_byte(tmp_path):
  rng = np.random.default_rng(0)
  shards = [[rng.bytes(n) for n in (0, 1, 5000)], [], [b"a\0\0", rng.bytes(77)]]
  paths = record_files.write(tmp_path, shards)
  records = record_index.find_records(paths)
  assert [record_index.read(r) for r in records] == sum(shards, [])
  assert [r.path for r in records] == [str(paths[i]) for i in (0, 0, 0, 2, 2)]


@pytest.mark.parametrize("cut", [1, 10, 300])
def test_truncated_file_is_named(tmp_path, cut):
  [path] = record_files.write(tmp_path, [[b"x" * 50, b"y" * 280]])
  path.write_bytes(path.read_bytes()[:-cut])
  with pytest.raises(UserError) as error:
    record_index.find_records([path])
  # 300 bytes of the last record's 296 are its whole and the end of the first.
  number = 0 if cut == 300 else 1
  assert str(error.value).startswith(f"{path}: record {number} is truncated")


def test_file_of_another_kind_is_named(tmp_path):
  path = tmp_path / "toy_train-0-of-1.tfrecord"
  path.write_text("this is only text, however long it may be")
  with pytest.raises(UserError, match="or this is no TFRecord file"):
    record_index.find_records([path])


def test_bytes_that_changed_are_told(tmp_path):
  [path] = record_files.write(tmp_path, [[b"x" * 50, b"y" * 280]])
  first, second = record_index.find_records([path])
  for place in (second.offset, second.offset + second.length):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert record_index.read(first) == b"x" * 50
    with pytest.raises(UserError) as error:
      record_index.read(second)
    assert str(error.value) == (
      f"{path}: record at byte {second.offset} is damaged, it does not fit its"
      " checksum; copy the file again or convert the videos again"
    )
    content[place] ^= 1
    path.write_bytes(content)


def example(*frames, labels=(), name="clip"):
  result = tf.train.SequenceExample()
  result.context.feature["name"].bytes_list.value.append(name.encode())
  lists = result.feature_lists.feature_list
  for frame in frames:
    lists["video"].feature.add().bytes_list.value.append(frame)
  for label in labels:
    lists["frame_labels"].feature.add().int64_list.value.append(label)
  return result.SerializeToString()


JPEG = record_files.jpeg(1, 1)
PNG = tf.io.encode_png(np.zeros((16, 16, 3), np.uint8)).numpy()
WIDE = record_files.jpeg(1, 1, size=(16, 32))
DAMAGED = {
  "no protobuf": (b"\xff\xff\xff", "is damaged, no SequenceExample"),
  "cut protobuf": (example(JPEG, JPEG)[:-40], "no SequenceExample"),
  "text": (example(JPEG, b"hi"), "'clip': frame 1 is no sound JPEG"),
  "PNG": (example(PNG, JPEG), "'clip': frame 0 is no sound JPEG"),
  "cut JPEG": (example(JPEG, JPEG, JPEG[:-20]), "'clip': frame 2 is no sound"),
  "empty frame": (example(JPEG, b""), "'clip': frame 1 is no sound JPEG"),
  "no frames": (example(), "'clip': no frames under the key `video`"),
  "labels": (
    example(JPEG, labels=[0, 1]),
    "'clip': 2 frame_labels, expected 1, one a frame",
  ),
  "too few labels": (
    example(JPEG, JPEG, JPEG, labels=[0, 1]),
    "'clip': 2 frame_labels, expected 3, one a frame",
  ),
  "sizes": (
    example(JPEG, WIDE),
    "'clip': frame 1 has 32 x 16 pixels, expected 16 x 16 as frame 0",
  ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_check_names_file_video_and_frame(tmp_path, damage):
  content, message = DAMAGED[damage]
  sound = example(JPEG, JPEG, labels=[0, 1])
  [path] = record_files.write(tmp_path, [[sound, content]])
  records = record_index.find_records([path])
  record_index.check(records[:1])
  with pytest.raises(UserError) as error:
    record_index.check(records)
  assert message in str(error.value)
  place = f"{path}: record at byte {records[1].offset}"
  assert str(error.value).startswith(place)
  assert "\n" not in str(error.value)


def test_check_passes_sound_records(toy_records):
  record_index.check(record_index.find_records(sorted(toy_records.iterdir())))
