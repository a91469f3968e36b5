import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import UserError
from data import dataset_info
from data.dataset_info import DatasetInfo, SplitInfo, load_dataset_info
from data.known_datasets import name_phases
from tests.helpers import record_files
from tests.helpers.errors import message_of


def write_records(folder, shards, split="val", dataset="mine"):
  """Writes videos, each its number of frames and their labels or None."""
  frame, bare = b"\xff\xd8", record_files.bare
  records = [[bare([frame] * n, labels) for n, labels in x] for x in shards]
  record_files.write(folder, records, dataset, split)


def add_split(folder, name, info, *names):
  dataset_info.add_split(folder, *name.split("_"), info, names)


def labeled(*phases):
  frames = {str(phase): 9 for phase in phases}
  return SplitInfo(1, 9 * len(phases), phase_counts=frames)


def test_splits_are_merged_and_read_back(tmp_path):
  train = SplitInfo(70, 9000, 30.0, videos=[{"name": "v0"}])
  val = SplitInfo(14, 1800, None, {"0": 900, "2": 900})
  add_split(tmp_path, "mine_train", train, "a", "b")
  add_split(tmp_path, "mine_val", val)
  info = load_dataset_info(tmp_path, "mine")
  assert info.splits == {"train": train, "val": val}
  assert info.class_names == ("a", "b", "phase 2")
  content = json.loads((tmp_path / "dataset.json").read_text())
  assert content["format_version"] == 1
  assert content["splits"]["train"] == {
    **{"num_videos": 70, "num_frames": 9000, "fps": 30.0},
    **{"phases": {}, "videos": [{"name": "v0"}], "skipped": [], "encoding": {}},
  }


def test_own_names_of_a_known_data_set_are_not_mixed_with_the_papers(tmp_path):
  add_split(tmp_path, "pouring_val", SplitInfo(1, 9))
  add_split(tmp_path, "pouring_train", labeled(0, 1, 2), "reach", "pour")
  names = ("reach", "pour", "phase 2")
  assert load_dataset_info(tmp_path, "pouring").class_names == names
  add_split(tmp_path, "pouring_test", labeled(0, 3))
  write_records(tmp_path, [[(1, [4])]], "more", "pouring")
  found = load_dataset_info(tmp_path, "pouring").class_names
  assert found == (*names, "phase 3", "phase 4")


def test_names_when_splits_are_converted_again(tmp_path):
  def names_after(split, info, *names):
    add_split(tmp_path, f"mine_{split}", info, *names)
    return load_dataset_info(tmp_path, "mine").class_names

  assert names_after("train", SplitInfo(1, 9), "a", "b", "c")[2:] == ("c",)
  assert names_after("train", labeled(0, 1)) == ("a", "b")
  assert names_after("train", labeled(0, 1), "x", "y") == ("x", "y")
  # Without labels there are no names to keep.
  assert names_after("train", SplitInfo(1, 9), "p", "q") == ("p", "q")
  assert names_after("val", labeled(0, 1), "up", "down") == ("up", "down")
  info = load_dataset_info(tmp_path, "mine")
  assert info.splits == {"train": SplitInfo(1, 9), "val": labeled(0, 1)}


def test_names_of_another_split_stay(tmp_path):
  names = ("reach", "pour", "rest")
  add_split(tmp_path, "mine_train", labeled(0, 1, 2), *names)
  before = (tmp_path / "dataset.json").read_bytes()
  val = (tmp_path, "mine_val")
  assert message_of(add_split, *val, labeled(0, 1), "reach", "rest") == (
    "mine_train: expected 'pour' as phase 1 in all splits, received 'rest';"
    " give --phases in that order, or correct class_names in dataset.json"
  )
  assert (tmp_path / "dataset.json").read_bytes() == before
  add_split(*val, labeled(0), "reach")
  assert load_dataset_info(tmp_path, "mine").class_names == names


def test_splits_that_are_dropped(tmp_path):
  dataset_info.drop_split(tmp_path, "mine", "val")
  assert not os.listdir(tmp_path)
  for split in ("train", "val"):
    add_split(tmp_path, f"mine_{split}", labeled(0), "reach")
  for split in ("val", "test"):
    dataset_info.drop_split(tmp_path, "mine", split)
  info = load_dataset_info(tmp_path, "mine")
  assert info == DatasetInfo(("reach",), {"train": labeled(0)})


def test_splits_that_are_added_at_once(tmp_path):
  def add(number):
    add_split(tmp_path, f"mine_split{number}", SplitInfo(1, 9))

  with ThreadPoolExecutor(4) as pool:
    list(pool.map(add, range(60)))
  assert len(load_dataset_info(tmp_path, "mine").splits) == 60
  assert os.listdir(tmp_path) == ["dataset.json"]


def test_without_a_file_the_records_are_counted(tmp_path):
  shards = [[(3, [0, 1, 2])], [(4, [0, 0, 3, 3]), (1, None)]]
  write_records(tmp_path, shards, "train")
  write_records(tmp_path, [[(2, [-1, -1])]])
  write_records(tmp_path, [[(9, [8] * 9)]], dataset="other")
  info = load_dataset_info(tmp_path, "mine")
  assert info.splits == {
    "train": SplitInfo(3, 8, phase_counts={"0": 3, "1": 1, "2": 1, "3": 2}),
    "val": SplitInfo(1, 2, phase_counts={"-1": 2}),
  }
  assert info.class_names == ("phase 0", "phase 1", "phase 2", "phase 3")
  write_records(tmp_path, [[(2, [0, 1])]], dataset="pouring")
  names = load_dataset_info(tmp_path, "pouring").class_names
  assert names == name_phases("pouring", 5) and len(names) == 5


def test_a_split_beside_the_file_is_counted_too(tmp_path):
  with pytest.raises(UserError, match="--name mine_train"):
    load_dataset_info(tmp_path, "mine")
  add_split(tmp_path, "mine_train", SplitInfo(5, 50), "a")
  write_records(tmp_path, [[(2, [0, 1])]])
  val = SplitInfo(1, 2, phase_counts={"0": 1, "1": 1})
  info = DatasetInfo(("a", "phase 1"), {"train": SplitInfo(5, 50), "val": val})
  assert load_dataset_info(tmp_path, "mine") == info


def write_file(folder, dataset="mine", version=1, **splits):
  """Writes `dataset.json` as the first version did."""
  (folder / "dataset.json").write_text(
    f'{{"format_version": {version}, "dataset": "{dataset}", "class_names":'
    f' ["a"], "splits": {json.dumps(splits)}}}'
  )


def test_mistakes_in_the_file_name_it(tmp_path):
  write_file(tmp_path, val={"num_videos": 2, "num_frames": 9, "fps": None})
  assert load_dataset_info(tmp_path, "mine").splits == {"val": SplitInfo(2, 9)}
  write_file(tmp_path, train={"videos": 3})
  path, load = tmp_path / "dataset.json", (load_dataset_info, tmp_path, "mine")
  assert "num_videos, num_frames and fps" in message_of(*load)
  message = f"{path}: expected format_version 1, received 2"
  write_file(tmp_path, version=2)
  assert message_of(*load).startswith(message)
  message = f"{path}: expected the data set 'mine', received 'yours'"
  write_file(tmp_path, dataset="yours")
  assert message_of(*load).startswith(message)
  message = f"{path}: expected JSON with format_version"
  for text in ("{", "[]", '{"format_version": 1}'):
    path.write_text(text)
    assert message_of(*load).startswith(message)


@pytest.mark.parametrize("names", [[], ["a"]])
def test_names_that_were_left_out_by_hand_are_made_up(tmp_path, names):
  info = DatasetInfo(names, {"val": labeled(-1, 0, 2)})
  text = dataset_info.format_dataset_file("mine", info)
  (tmp_path / "dataset.json").write_text(text)
  info = load_dataset_info(tmp_path, "mine")
  padded = (*names, *("phase 0", "phase 1", "phase 2")[len(names) :])
  assert info.class_names == padded
  assert dataset_info.load_class_names(tmp_path, "mine") == padded
  [split] = info.splits.values()
  *_, last = dataset_info.describe_split("mine_val", split, padded)
  assert last == "   2 phase 2: 9 frames, 33.3%"
