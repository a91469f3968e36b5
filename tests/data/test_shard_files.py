import re

import pytest

from core.errors import UserError
from data import shard_files


def touch(folder, *names):
  folder.mkdir(parents=True, exist_ok=True)
  for name in names:
    (folder / name).touch()


def test_template_is_filled_with_the_data_set_and_plain_paths_are_kept():
  folder = shard_files.records_folder
  assert str(folder("/tmp/%s_records/", "pouring")) == "/tmp/pouring_records"
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
  paths = shard_files.list_record_files(
    f"{tmp_path}/%s_tfrecords/", "pouring", "train"
  )
  assert paths == [folder / name for name in shards]
  assert shard_files.list_splits(folder, "pouring") == {"train", "val"}


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
  paths = shard_files.list_record_files(tmp_path, "penn", "train", True)
  assert [path.name for path in paths] == [
    "bowling_train-0-of-2.tfrecord",
    "bowling_train-1-of-2.tfrecord",
    "golf-train.tfrecord",
    "squats_train-0-of-1.tfrecord",
  ]


@pytest.mark.parametrize(
  "others, near",
  [
    (None, ""),
    (["pouring_val.txt"], ""),
    (["pouring_train.tfrecord"], ", but pouring_train.tfrecord"),
  ],
)
def test_no_records_names_the_pattern_and_the_way_to_make_them(
  tmp_path, others, near
):
  folder = tmp_path / "pouring"
  if others:
    touch(folder, *others)
  with pytest.raises(UserError) as error:
    shard_files.list_record_files(f"{tmp_path}/%s", "pouring", "train")
  assert str(error.value).startswith(
    f"{folder}/pouring_train-*-of-*.tfrecord: expected records, received"
    f" none{near}; make them with `python -m"
    " dataset_preparation.videos_to_tfrecords --name pouring_train"
  )
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  "shards, message",
  [
    (
      ["0-of-4", "2-of-4"],
      "expected 4 files a_train-*-of-4.tfrecord, received all but number 1, 3;",
    ),
    (
      ["0-of-1", "0-of-2", "1-of-2"],
      "expected one set of a_train, received several, of 1 and of 2 files;",
    ),
  ],
)
def test_sets_that_are_incomplete_or_mixed_are_refused(
  tmp_path, shards, message
):
  touch(tmp_path, *(f"a_train-{shard}.tfrecord" for shard in shards))
  with pytest.raises(UserError, match=re.escape(message)):
    shard_files.list_record_files(tmp_path, "a", "train")


@pytest.mark.parametrize(
  "name, parts",
  [
    ("pouring_train", ("pouring", "train")),
    ("baseball_pitch_val", ("baseball_pitch", "val")),
  ],
)
def test_set_name_is_split_at_the_last_underscore(name, parts):
  assert shard_files.parse_set_name(name) == parts


@pytest.mark.parametrize(
  "name", ["train", "_train", "a_", "a/b_train", "a b_c"]
)
def test_other_set_names_are_refused(name):
  with pytest.raises(UserError, match="--name: expected <dataset>_<split>"):
    shard_files.parse_set_name(name)
