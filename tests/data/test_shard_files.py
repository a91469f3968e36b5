import pytest

from core.errors import UserError
from data import shard_files
from tests.helpers.errors import message_of


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
  touch(folder, *shards, "pouring_val-0-of-1.tfrecord", "dataset.json")
  touch(folder, "pouring_train_extra-0-of-1.tfrecord")
  touch(folder, ".incomplete-1-pouring_train-0-of-3.tfrecord")
  template = f"{tmp_path}/%s_tfrecords/"
  paths = shard_files.list_record_files(template, "pouring", "train")
  assert paths == [folder / name for name in shards]
  assert shard_files.list_splits(folder, "pouring") == {"train", "val"}


def test_per_class_takes_every_record_file_with_the_split_in_its_name(tmp_path):
  names = [f"bowling_train-{i}-of-2.tfrecord" for i in range(2)]
  names += ["golf-train.tfrecord", "squats_train-0-of-1.tfrecord"]
  touch(tmp_path, *names[::-1], "bowling_val-0-of-1.tfrecord", "training.txt")
  paths = shard_files.list_record_files(tmp_path, "penn", "train", True)
  assert [path.name for path in paths] == names


@pytest.mark.parametrize("other", [None, "val.txt", "train.tfrecord"])
def test_no_records_names_the_pattern_and_the_way_to_make_them(tmp_path, other):
  folder = tmp_path / "pouring"
  if other:
    touch(folder, f"pouring_{other}")
  near = ", but pouring_train.tfrecord" * (other == "train.tfrecord")
  arguments = (f"{tmp_path}/%s", "pouring", "train")
  message = message_of(shard_files.list_record_files, *arguments)
  assert message.startswith(
    f"{folder}/pouring_train-*-of-*.tfrecord: expected records, received"
    f" none{near}; make them with `python -m"
    " dataset_preparation.videos_to_tfrecords --name pouring_train"
  )


def test_sets_that_are_incomplete_or_mixed_are_refused(tmp_path):
  arguments = (shard_files.list_record_files, tmp_path, "a", "train")
  touch(tmp_path, "a_train-0-of-4.tfrecord", "a_train-2-of-4.tfrecord")
  told = "4 files a_train-*-of-4.tfrecord, received all but number 1, 3;"
  assert f"expected {told}" in message_of(*arguments)
  touch(tmp_path, "a_train-0-of-1.tfrecord")
  told = "expected one set of a_train, received several, of 1 and of 4 files;"
  assert told in message_of(*arguments)


def test_set_names_are_split_at_the_last_underscore():
  parse = shard_files.parse_set_name
  assert parse("pouring_train") == ("pouring", "train")
  assert parse("baseball_pitch_val") == ("baseball_pitch", "val")
  for name in ("train", "_train", "a_", "a/b_train", "a b_c"):
    with pytest.raises(UserError, match="--name: expected <dataset>_<split>"):
      parse(name)
