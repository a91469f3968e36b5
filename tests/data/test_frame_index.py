import numpy as np
import pytest
import tensorflow as tf

from core.errors import UserError
from data import examples, frame_index, tfrecords
from tests.helpers import record_files
from tests.helpers.errors import message_of

JPEGS = [record_files.jpeg(0, number) for number in range(3)]


def list_records(folder, *contents):
  return tfrecords.list_records(record_files.write(folder, [contents]))


def read_whole(content):
  """The frames as TensorFlow's own parser finds them."""
  message = tf.train.SequenceExample.FromString(content)
  features = message.feature_lists.feature_list[examples.VIDEO].feature
  return [feature.bytes_list.value[0] for feature in features]


def foreign_record():
  """A message whose parts other programs wrote, in an order of their own."""
  other = tf.train.SequenceExample()
  other.feature_lists.feature_list["audio"].feature.add()
  old = record_files.bare([b"\xff\xd8 replaced"]).replace(b"\x00", b"")
  return b"".join(
    (
      record_files.bare([], [1, 0, 2]),
      old,
      other.SerializeToString(),
      record_files.bare(JPEGS),
      record_files.sequence_example("clip", []),
    )
  )


@pytest.mark.parametrize("is_kept", [False, True])
def test_frames_by_index_are_those_of_the_whole_record(tmp_path, is_kept):
  contents = [
    record_files.sequence_example("clip", JPEGS, [1, 0, 2]),
    record_files.bare(JPEGS[:1]),
    record_files.sequence_example("long", JPEGS * 300),
    foreign_record(),
  ]
  records = list_records(tmp_path, *contents)
  if is_kept:
    for record in records:
      examples.read_example(record)
    assert len(list((tmp_path / ".frame_index").iterdir())) == len(records)
  for record, content in zip(records, contents, strict=True):
    whole, video = read_whole(content), examples.read_example(record)
    assert list(video.jpegs) == whole
    chosen = np.array([len(whole) - 1, 0, len(whole) // 2])
    assert video.jpegs[chosen].tolist() == [whole[i] for i in chosen]
    assert video.jpegs[-1:].tolist() == whole[-1:]
  assert examples.read_example(records[3]).frame_labels == [1, 0, 2]


def test_only_the_frames_asked_for_are_read(tmp_path):
  [record] = list_records(tmp_path, record_files.bare(JPEGS))
  examples.read_example(record)
  offset = int(frame_index.find_frames(record, "video").offsets[1])
  record_files.flip_bit(record.path, offset + 50)
  video = examples.read_example(record)
  assert video.jpegs[np.array([2, 0])].tolist() == [JPEGS[2], JPEGS[0]]
  assert message_of(video.jpegs.__getitem__, 1) == (
    f"{record}, video '': expected frame 1 as it was at first, received other"
    " bytes; leave the file alone while it is read, or copy it again"
  )


@pytest.mark.parametrize("place", [0, 280])
def test_bytes_that_changed_before_are_told(tmp_path, place):
  content = record_files.sequence_example("clip", JPEGS)
  first, second = list_records(tmp_path, content, content)
  record_files.flip_bit(second.path, second.offset + place)
  assert len(examples.read_example(first).jpegs) == 3
  with pytest.raises(UserError, match="expected data that fit their checksum"):
    examples.read_example(second)


def test_another_record_in_the_same_place_is_read_anew(tmp_path):
  [record] = list_records(tmp_path, record_files.bare(JPEGS[:2]))
  assert [*examples.read_example(record).jpegs] == JPEGS[:2]
  [record] = list_records(tmp_path, record_files.bare(JPEGS[1:]))
  assert [*examples.read_example(record).jpegs] == JPEGS[1:]


def test_a_damaged_index_is_made_anew(tmp_path):
  [record] = list_records(tmp_path, record_files.bare(JPEGS))
  examples.read_example(record)
  [path] = (tmp_path / ".frame_index").iterdir()
  whole = path.read_bytes()
  for size in range(0, len(whole), 13):
    path.write_bytes(whole[:size])
    assert [*examples.read_example(record).jpegs] == JPEGS
    flipped = bytearray(whole)
    flipped[size] ^= 64
    path.write_bytes(flipped)
    assert [*examples.read_example(record).jpegs] == JPEGS


def test_an_index_need_not_be_kept(tmp_path):
  (tmp_path / ".frame_index").write_text("no folder")
  [record] = list_records(tmp_path, record_files.bare(JPEGS))
  assert [*examples.read_example(record).jpegs] == JPEGS


def test_several_images_as_one_frame_are_refused(tmp_path):
  message = tf.train.SequenceExample()
  frame = message.feature_lists.feature_list["video"].feature.add()
  frame.bytes_list.value.extend(JPEGS)
  [record] = list_records(tmp_path, message.SerializeToString())
  with pytest.raises(UserError, match="received 3 images as frame 0"):
    examples.read_example(record)
