import dataclasses
import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from core.errors import UserError
from data import dataset_info
from data.dataset_info import SplitInfo
from tests.helpers.paths import ROOT


def touch(folder, *names):
  folder.mkdir(parents=True, exist_ok=True)
  for name in names:
    (folder / name).touch()


def write_records(path, videos):
  """Writes records; a video is its number of frames and its labels or None."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for num_frames, labels in videos:
      example = tf.train.SequenceExample()
      lists = example.feature_lists.feature_list
      for _ in range(num_frames):
        lists["video"].feature.add().bytes_list.value.append(b"jpeg")
      for label in labels or []:
        lists["frame_labels"].feature.add().int64_list.value.append(label)
      writer.write(example.SerializeToString())


def test_template_is_filled_with_the_data_set_and_plain_paths_are_kept():
  folder = dataset_info.records_folder
  assert (
    str(folder("/tmp/%s_tfrecords/", "pouring")) == "/tmp/pouring_tfrecords"
  )
  assert str(folder("/data/50%_of_it", "pouring")) == "/data/50%_of_it"


def test_shards_are_found_in_order_of_number(tmp_path):
  folder = tmp_path / "pouring_tfrecords"
  shards = [f"pouring_train-{i}-of-12.tfrecord" for i in range(12)]
  touch(
    folder,
    *shards,
    "pouring_val-0-of-1.tfrecord",
    "pouring_train_extra-0-of-1.tfrecord",
    ".incomplete-1-pouring_train-0-of-3.tfrecord",
    "dataset.json",
  )
  paths = dataset_info.record_paths(
    f"{tmp_path}/%s_tfrecords/", "pouring", "train"
  )
  assert paths == [str(folder / name) for name in shards]


def test_per_class_takes_every_record_file_with_the_split_in_its_name(tmp_path):
  touch(
    tmp_path,
    "squats_train-0-of-1.tfrecord",
    "bowling_train-1-of-2.tfrecord",
    "bowling_train-0-of-2.tfrecord",
    "golf-train.tfrecord",
    "bowling_val-0-of-1.tfrecord",
    "training_notes.txt",
  )
  paths = dataset_info.record_paths(str(tmp_path), "penn", "train", True)
  assert [path.rpartition("/")[2] for path in paths] == [
    "bowling_train-0-of-2.tfrecord",
    "bowling_train-1-of-2.tfrecord",
    "golf-train.tfrecord",
    "squats_train-0-of-1.tfrecord",
  ]


@pytest.mark.parametrize("exists", [True, False])
def test_no_records_names_the_pattern_and_the_way_to_make_them(
  tmp_path, exists
):
  if exists:
    touch(tmp_path / "pouring", "pouring_val-0-of-1.tfrecord")
  with pytest.raises(UserError) as error:
    dataset_info.record_paths(f"{tmp_path}/%s", "pouring", "train")
  message = str(error.value)
  assert f"{tmp_path}/pouring/pouring_train-*-of-*.tfrecord" in message
  assert "videos_to_tfrecords --name pouring_train" in message
  assert "\n" not in message


def test_missing_shards_are_named(tmp_path):
  touch(tmp_path, "a_train-0-of-4.tfrecord", "a_train-2-of-4.tfrecord")
  with pytest.raises(UserError, match=r"a_train-\*-of-4\.tfrecord number 1, 3"):
    dataset_info.record_paths(str(tmp_path), "a", "train")


def test_two_sets_side_by_side_are_refused(tmp_path):
  touch(
    tmp_path,
    *("a_train-0-of-1.tfrecord", "a_train-0-of-2.tfrecord"),
    "a_train-1-of-2.tfrecord",
  )
  with pytest.raises(UserError, match="several sets, of 1 and of 2 files"):
    dataset_info.record_paths(str(tmp_path), "a", "train")


@pytest.mark.parametrize(
  ("name", "parts"),
  [
    ("pouring_train", ("pouring", "train")),
    ("baseball_pitch_val", ("baseball_pitch", "val")),
  ],
)
def test_name_is_split_at_the_last_underscore(name, parts):
  assert dataset_info.split_name(name) == parts


@pytest.mark.parametrize(
  "name", ["train", "_train", "a_", "a/b_train", "a b_c"]
)
def test_other_names_are_refused(name):
  with pytest.raises(UserError, match="<dataset>_<split>"):
    dataset_info.split_name(name)


def test_phases_of_the_known_data_sets():
  phases = {
    key: len(dataset_info.class_names(key, 0))
    for key in dataset_info.KEY_EVENTS
  }
  assert phases == {
    **{"pouring": 5, "baseball_pitch": 4, "baseball_swing": 3},
    **{"bench_press": 2, "bowling": 3, "clean_and_jerk": 6, "golf_swing": 3},
    **{"jumping_jacks": 4, "pullups": 2, "pushups": 2, "situp": 2},
    **{"squats": 4, "tennis_forehand": 3, "tennis_serve": 4},
  }
  names = dataset_info.class_names("bowling", 3)
  assert names == (
    "start to ball swung fully back",
    "ball swung fully back to ball release",
    "ball release to end",
  )


def test_more_labels_than_known_phases_are_numbered():
  assert dataset_info.class_names("pullups", 3) == (
    *("phase 0", "phase 1", "phase 2"),
  )
  assert dataset_info.class_names("mine", 0) == ()


def test_splits_are_merged_and_read_back(tmp_path):
  train = SplitInfo(70, 9000, 30.0, videos=[{"name": "v0"}])
  val = SplitInfo(14, 1800, None, {"0": 900, "2": 900})
  dataset_info.add_split(tmp_path, "mine", "train", train, ("a", "b"))
  dataset_info.add_split(tmp_path, "mine", "val", val)
  info = dataset_info.read(str(tmp_path), "mine")
  assert info.splits == {"train": train, "val": val}
  assert info.class_names == ("a", "b", "phase 2")
  content = json.loads((tmp_path / "dataset.json").read_text())
  assert content["format_version"] == 1
  assert content["splits"]["train"] == {
    **{"num_videos": 70, "num_frames": 9000, "fps": 30.0},
    **{"phases": {}, "videos": [{"name": "v0"}], "skipped": []},
  }


def test_a_split_that_is_converted_again_is_replaced(tmp_path):
  add = dataset_info.add_split
  add(tmp_path, "mine", "train", SplitInfo(1, 10), ("a", "b", "c"))
  again = SplitInfo(2, 20, phases={"0": 11, "1": 9})
  add(tmp_path, "mine", "train", again)
  info = dataset_info.read(str(tmp_path), "mine")
  assert info == dataset_info.DatasetInfo(("a", "b"), {"train": again})
  add(tmp_path, "mine", "train", again, ("x", "y"))
  info = dataset_info.read(str(tmp_path), "mine")
  assert info.class_names == ("x", "y")


def labeled(*phases):
  frames = {str(phase): 9 for phase in phases}
  return SplitInfo(1, 9 * len(phases), phases=frames)


def test_own_names_of_a_known_data_set_are_not_mixed_with_the_papers(tmp_path):
  add = dataset_info.add_split
  add(tmp_path, "pouring", "val", SplitInfo(1, 9))
  add(tmp_path, "pouring", "train", labeled(0, 1, 2), ("reach", "pour"))
  names = ("reach", "pour", "phase 2")
  assert dataset_info.read(str(tmp_path), "pouring").class_names == names
  add(tmp_path, "pouring", "test", labeled(0, 3))
  write_records(tmp_path / "pouring_more-0-of-1.tfrecord", [(1, [4])])
  assert dataset_info.read(str(tmp_path), "pouring").class_names == (
    *(*names, "phase 3", "phase 4"),
  )


def test_names_of_another_split_stay(tmp_path):
  add = dataset_info.add_split
  add(tmp_path, "mine", "train", labeled(0, 1, 2), ("reach", "pour", "rest"))
  before = (tmp_path / "dataset.json").read_bytes()
  with pytest.raises(UserError) as error:
    add(tmp_path, "mine", "val", labeled(0, 1), ("reach", "rest"))
  assert str(error.value) == (
    "mine_train: names phase 1 'pour', expected the same in all splits,"
    " received 'rest'; give --phases in that order, or correct class_names in"
    " dataset.json"
  )
  assert (tmp_path / "dataset.json").read_bytes() == before
  add(tmp_path, "mine", "val", labeled(0), ("reach",))
  info = dataset_info.read(str(tmp_path), "mine")
  assert info.class_names == ("reach", "pour", "rest")


def test_splits_without_labels_have_no_names_to_keep(tmp_path):
  add = dataset_info.add_split
  add(tmp_path, "mine", "train", SplitInfo(1, 9), ("reach", "pour"))
  add(tmp_path, "mine", "val", labeled(0, 1), ("up", "down"))
  assert dataset_info.read(str(tmp_path), "mine").class_names == ("up", "down")


def test_splits_that_are_dropped(tmp_path):
  dataset_info.drop_splits(tmp_path, "mine", ["val"])
  assert not os.listdir(tmp_path)
  for split in ("train", "val"):
    dataset_info.add_split(tmp_path, "mine", split, labeled(0), ("reach",))
  dataset_info.drop_splits(tmp_path, "mine", ["val", "test"])
  info = dataset_info.read(str(tmp_path), "mine")
  assert info == dataset_info.DatasetInfo(("reach",), {"train": labeled(0)})


def test_processes_that_add_splits_at_once(tmp_path):
  code = (
    "import pathlib, sys\n"
    "from data import dataset_info\n"
    "for number in range(50):\n"
    "  dataset_info.add_split(pathlib.Path(sys.argv[1]), 'mine',"
    " f'{sys.argv[2]}{number}', dataset_info.SplitInfo(1, 9))"
  )
  processes = [
    subprocess.Popen([sys.executable, "-c", code, tmp_path, name], cwd=ROOT)
    for name in "abc"
  ]
  assert [process.wait() for process in processes] == [0, 0, 0]
  assert len(dataset_info.read(str(tmp_path), "mine").splits) == 150
  assert os.listdir(tmp_path) == ["dataset.json"]


def test_a_file_of_the_first_version_without_phases_and_videos(tmp_path):
  (tmp_path / "dataset.json").write_text(
    '{"format_version": 1, "dataset": "mine", "class_names": ["a"],'
    ' "splits": {"val": {"num_videos": 2, "num_frames": 9, "fps": null}}}'
  )
  info = dataset_info.read(str(tmp_path), "mine")
  assert info.splits == {"val": SplitInfo(2, 9)}


def test_without_a_file_the_records_are_counted(tmp_path):
  write_records(tmp_path / "mine_train-0-of-2.tfrecord", [(3, [0, 1, 2])])
  write_records(
    tmp_path / "mine_train-1-of-2.tfrecord", [(4, [0, 0, 3, 3]), (1, None)]
  )
  write_records(tmp_path / "mine_val-0-of-1.tfrecord", [(2, [-1, -1])])
  write_records(tmp_path / "other_val-0-of-1.tfrecord", [(9, [8] * 9)])
  info = dataset_info.read(str(tmp_path), "mine")
  assert info.splits == {
    "train": SplitInfo(3, 8, phases={"0": 3, "1": 1, "2": 1, "3": 2}),
    "val": SplitInfo(1, 2, phases={"-1": 2}),
  }
  assert info.class_names == ("phase 0", "phase 1", "phase 2", "phase 3")


def test_a_known_data_set_brings_its_class_names(tmp_path):
  write_records(tmp_path / "pouring_val-0-of-1.tfrecord", [(2, [0, 1])])
  info = dataset_info.read(str(tmp_path), "pouring")
  assert len(info.class_names) == 5
  assert info.class_names[1] == "hand touches bottle to liquid starts exiting"


def test_a_split_beside_the_file_is_counted_too(tmp_path):
  dataset_info.add_split(tmp_path, "mine", "train", SplitInfo(5, 50), ("a",))
  write_records(tmp_path / "mine_val-0-of-1.tfrecord", [(2, [0, 1])])
  info = dataset_info.read(str(tmp_path), "mine")
  assert info.splits == {
    "train": SplitInfo(5, 50),
    "val": SplitInfo(1, 2, phases={"0": 1, "1": 1}),
  }
  assert info.class_names == ("a", "phase 1")


def test_an_empty_folder_says_how_to_make_records(tmp_path):
  with pytest.raises(UserError, match="--name mine_train"):
    dataset_info.read(str(tmp_path), "mine")


def test_a_record_that_is_no_sequence_example_is_named(tmp_path):
  path = tmp_path / "mine_val-0-of-1.tfrecord"
  with tf.io.TFRecordWriter(str(path)) as writer:
    writer.write(b"\xff\xff\xff")
  with pytest.raises(
    UserError, match=f"{path}: record at byte 12 is damaged, no"
  ):
    dataset_info.read(str(tmp_path), "mine")


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("{", "can't be read as JSON"),
    ("[]", "expected format_version, dataset, class_names and splits"),
    ('{"format_version": 1}', "expected format_version, dataset"),
    (
      '{"format_version": 1, "dataset": "mine", "class_names": [],'
      ' "splits": {"train": {"videos": 3}}}',
      "num_videos, num_frames and fps",
    ),
    (
      '{"format_version": 2, "dataset": "mine", "class_names": [],'
      ' "splits": {}}',
      "expected format_version 1, received 2",
    ),
    (
      '{"format_version": 1, "dataset": "yours", "class_names": [],'
      ' "splits": {}}',
      "is about the data set 'yours', expected 'mine'",
    ),
  ],
)
def test_a_damaged_file_is_named(tmp_path, text, message):
  path = tmp_path / "dataset.json"
  path.write_text(text)
  with pytest.raises(UserError) as error:
    dataset_info.read(str(tmp_path), "mine")
  assert str(path) in str(error.value)
  assert message in str(error.value)


@pytest.mark.parametrize("names", [[], ["a"]])
def test_names_that_were_left_out_by_hand_are_made_up(tmp_path, names):
  content = {
    **{"format_version": 1, "dataset": "mine", "class_names": names},
    "splits": {"val": dataclasses.asdict(labeled(-1, 0, 2))},
  }
  (tmp_path / "dataset.json").write_text(json.dumps(content))
  info = dataset_info.read(str(tmp_path), "mine")
  padded = (*names, *("phase 0", "phase 1", "phase 2")[len(names) :])
  assert info.class_names == padded
  assert dataset_info.names_of_classes(str(tmp_path), "mine") == padded
  lines = dataset_info.describe("mine_val", *info.splits.values(), padded)
  assert lines[-1] == "   2 phase 2: 9 frames, 33.3%"
