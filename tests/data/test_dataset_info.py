import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from core.errors import UserError
from data import examples
from data.dataset_info import (
  DatasetInfo,
  SplitInfo,
  add_split,
  describe_split,
  drop_split,
  format_dataset_file,
  load_class_names,
  load_dataset_info,
)
from data.known_datasets import name_phases
from tests.helpers import record_files
from tests.helpers.paths import ROOT


def write_records(path, *videos):
  """Writes records; a video is its number of frames and its labels or None."""
  records = [
    record_files.bare([examples.JPEG_START] * num_frames, labels)
    for num_frames, labels in videos
  ]
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in records:
      writer.write(record)


def test_splits_are_merged_and_read_back(tmp_path):
  train = SplitInfo(70, 9000, 30.0, videos=[{"name": "v0"}])
  val = SplitInfo(14, 1800, None, {"0": 900, "2": 900})
  add_split(tmp_path, "mine", "train", train, ("a", "b"))
  add_split(tmp_path, "mine", "val", val)
  info = load_dataset_info(tmp_path, "mine")
  assert info.splits == {"train": train, "val": val}
  assert info.class_names == ("a", "b", "phase 2")
  content = json.loads((tmp_path / "dataset.json").read_text())
  assert content["format_version"] == 1
  assert content["splits"]["train"] == {
    **{"num_videos": 70, "num_frames": 9000, "fps": 30.0},
    **{"phases": {}, "videos": [{"name": "v0"}], "skipped": []},
  }


def test_a_split_that_is_converted_again_is_replaced(tmp_path):
  add_split(tmp_path, "mine", "train", SplitInfo(1, 10), ("a", "b", "c"))
  again = SplitInfo(2, 20, phase_counts={"0": 11, "1": 9})
  add_split(tmp_path, "mine", "train", again)
  info = load_dataset_info(tmp_path, "mine")
  assert info == DatasetInfo(("a", "b"), {"train": again})
  add_split(tmp_path, "mine", "train", again, ("x", "y"))
  info = load_dataset_info(tmp_path, "mine")
  assert info.class_names == ("x", "y")


def labeled(*phases):
  frames = {str(phase): 9 for phase in phases}
  return SplitInfo(1, 9 * len(phases), phase_counts=frames)


def test_own_names_of_a_known_data_set_are_not_mixed_with_the_papers(tmp_path):
  add_split(tmp_path, "pouring", "val", SplitInfo(1, 9))
  add_split(tmp_path, "pouring", "train", labeled(0, 1, 2), ("reach", "pour"))
  names = ("reach", "pour", "phase 2")
  assert load_dataset_info(tmp_path, "pouring").class_names == names
  add_split(tmp_path, "pouring", "test", labeled(0, 3))
  write_records(tmp_path / "pouring_more-0-of-1.tfrecord", (1, [4]))
  assert load_dataset_info(tmp_path, "pouring").class_names == (
    *(*names, "phase 3", "phase 4"),
  )


def test_names_of_another_split_stay(tmp_path):
  add_split(
    tmp_path, "mine", "train", labeled(0, 1, 2), ("reach", "pour", "rest")
  )
  before = (tmp_path / "dataset.json").read_bytes()
  with pytest.raises(UserError) as error:
    add_split(tmp_path, "mine", "val", labeled(0, 1), ("reach", "rest"))
  assert str(error.value) == (
    "mine_train: expected 'pour' as phase 1 in all splits, received 'rest';"
    " give --phases in that order, or correct class_names in dataset.json"
  )
  assert (tmp_path / "dataset.json").read_bytes() == before
  add_split(tmp_path, "mine", "val", labeled(0), ("reach",))
  info = load_dataset_info(tmp_path, "mine")
  assert info.class_names == ("reach", "pour", "rest")


def test_splits_without_labels_have_no_names_to_keep(tmp_path):
  add_split(tmp_path, "mine", "train", SplitInfo(1, 9), ("reach", "pour"))
  add_split(tmp_path, "mine", "val", labeled(0, 1), ("up", "down"))
  names = load_dataset_info(tmp_path, "mine").class_names
  assert names == ("up", "down")


def test_splits_that_are_dropped(tmp_path):
  drop_split(tmp_path, "mine", "val")
  assert not os.listdir(tmp_path)
  for split in ("train", "val"):
    add_split(tmp_path, "mine", split, labeled(0), ("reach",))
  for split in ("val", "test"):
    drop_split(tmp_path, "mine", split)
  info = load_dataset_info(tmp_path, "mine")
  assert info == DatasetInfo(("reach",), {"train": labeled(0)})


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
  assert len(load_dataset_info(tmp_path, "mine").splits) == 150
  assert os.listdir(tmp_path) == ["dataset.json"]


def test_a_file_of_the_first_version_without_phases_and_videos(tmp_path):
  (tmp_path / "dataset.json").write_text(
    '{"format_version": 1, "dataset": "mine", "class_names": ["a"],'
    ' "splits": {"val": {"num_videos": 2, "num_frames": 9, "fps": null}}}'
  )
  info = load_dataset_info(tmp_path, "mine")
  assert info.splits == {"val": SplitInfo(2, 9)}


def test_without_a_file_the_records_are_counted(tmp_path):
  write_records(tmp_path / "mine_train-0-of-2.tfrecord", (3, [0, 1, 2]))
  write_records(
    tmp_path / "mine_train-1-of-2.tfrecord", (4, [0, 0, 3, 3]), (1, None)
  )
  write_records(tmp_path / "mine_val-0-of-1.tfrecord", (2, [-1, -1]))
  write_records(tmp_path / "other_val-0-of-1.tfrecord", (9, [8] * 9))
  info = load_dataset_info(tmp_path, "mine")
  assert info.splits == {
    "train": SplitInfo(3, 8, phase_counts={"0": 3, "1": 1, "2": 1, "3": 2}),
    "val": SplitInfo(1, 2, phase_counts={"-1": 2}),
  }
  assert info.class_names == ("phase 0", "phase 1", "phase 2", "phase 3")


def test_a_known_data_set_brings_its_class_names(tmp_path):
  write_records(tmp_path / "pouring_val-0-of-1.tfrecord", (2, [0, 1]))
  names = load_dataset_info(tmp_path, "pouring").class_names
  assert names == name_phases("pouring", 5) and len(names) == 5


def test_a_split_beside_the_file_is_counted_too(tmp_path):
  add_split(tmp_path, "mine", "train", SplitInfo(5, 50), ("a",))
  write_records(tmp_path / "mine_val-0-of-1.tfrecord", (2, [0, 1]))
  info = load_dataset_info(tmp_path, "mine")
  assert info.splits == {
    "train": SplitInfo(5, 50),
    "val": SplitInfo(1, 2, phase_counts={"0": 1, "1": 1}),
  }
  assert info.class_names == ("a", "phase 1")


def test_an_empty_folder_says_how_to_make_records(tmp_path):
  with pytest.raises(UserError, match="--name mine_train"):
    load_dataset_info(tmp_path, "mine")


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("{", "expected JSON with format_version"),
    ("[]", "expected JSON with format_version"),
    ('{"format_version": 1}', "expected JSON with format_version"),
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
      "expected the data set 'mine', received 'yours'",
    ),
  ],
)
def test_a_damaged_file_is_named(tmp_path, text, message):
  path = tmp_path / "dataset.json"
  path.write_text(text)
  with pytest.raises(UserError) as error:
    load_dataset_info(tmp_path, "mine")
  assert str(path) in str(error.value)
  assert message in str(error.value)


@pytest.mark.parametrize("names", [[], ["a"]])
def test_names_that_were_left_out_by_hand_are_made_up(tmp_path, names):
  info = DatasetInfo(names, {"val": labeled(-1, 0, 2)})
  text = format_dataset_file("mine", info)
  (tmp_path / "dataset.json").write_text(text)
  info = load_dataset_info(tmp_path, "mine")
  padded = (*names, *("phase 0", "phase 1", "phase 2")[len(names) :])
  assert info.class_names == padded
  assert load_class_names(tmp_path, "mine") == padded
  lines = describe_split("mine_val", *info.splits.values(), padded)
  assert lines[-1] == "   2 phase 2: 9 frames, 33.3%"
