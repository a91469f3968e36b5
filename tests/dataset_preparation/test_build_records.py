import os
import shutil

import pytest

from core.errors import UserError
from data import dataset_info
from dataset_preparation import build_records, shards, splits
from dataset_preparation.build_records import LabelOptions, SplitOptions
from dataset_preparation.shards import ShardOptions
from dataset_preparation.videos_to_tfrecords import find_videos
from media.frame_encoding import FrameEncoding
from tests.helpers import record_files, video_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_modules

NAMES = [f"{take}/v{number}" for take in ("a", "b") for number in range(5)]


@pytest.fixture(scope="module")
def input_dir(tmp_path_factory):
  """Ten videos of 20 frames at 10 frames per second, in two folders."""
  folder = tmp_path_factory.mktemp("videos")
  for number, name in enumerate(NAMES):
    path = folder / f"{name}.mp4"
    path.parent.mkdir(exist_ok=True)
    video_files.make(path, num_frames=20, seed=number)
  return folder


def run(input_dir, name, out, label_file=None, phases=(), **options):
  return build_records.build_records(
    find_videos(input_dir, [options.pop("pattern", "*.mp4")]),
    *(name, out),
    encoding=FrameEncoding(size=(24, 16)),
    labels=LabelOptions(label_file, phases),
    division=options.pop("division", None),
    options=ShardOptions(num_workers=1, **options),
  )


def table(path, videos=NAMES, phases=("reach", "pour")):
  segments = [f"{k},{k + 1},{phase}" for k, phase in enumerate(phases)]
  rows = [f"{video},{segment}" for video in videos for segment in segments]
  path.write_text("\n".join(["video,start,end,phase", *rows]))
  return path


def test_a_folder_is_divided(tmp_path, input_dir):
  splitting = SplitOptions({"train": 0.8, "val": 0.2}, seed=3)
  labels = table(tmp_path / "labels.csv")
  out = tmp_path / "out"
  written = run(input_dir, "mine", out, labels, division=splitting)
  assert list(written) == ["mine_train", "mine_val"]
  train, val = (
    [x["name"] for x in record_files.read(out.glob(f"mine_{split}-*"))]
    for split in ("train", "val")
  )
  assert (len(train), len(val)) == (8, 2)
  assert sorted(train + val) == NAMES
  info = dataset_info.load_dataset_info(str(out), "mine")
  assert info.splits["train"].num_videos == 8
  assert info.class_names == ("reach", "pour")
  assert info.splits["val"].phase_counts == {"0": 20, "1": 20}


def test_labels_of_a_video_that_is_missing(tmp_path, input_dir):
  labels = table(tmp_path / "labels.csv", [*NAMES, "a/v9"])
  out = tmp_path / "out"
  division = SplitOptions({"all": 1.0})
  assert message_of(run, input_dir, "mine", out, labels, division=division) == (
    f"{labels}: expected labels of the 10 videos to convert, received those of"
    " 'a/v9' too; remove them, or add the video"
  )
  # Without --split the file may serve several folders.
  run(input_dir, "mine_train", out, labels)


def test_phases_that_have_other_names_in_another_split(
  tmp_path, input_dir, monkeypatch
):
  out = tmp_path / "out"
  labels = table(tmp_path / "labels.csv")
  run(input_dir, "mine_train", out, labels, pattern="v0.mp4")
  monkeypatch.setattr(shards.conversion, "convert", None)
  with pytest.raises(UserError, match="^mine_train: expected 'reach' as phase"):
    run(input_dir, "mine_val", out, labels, ("pour", "reach"))


@pytest.mark.parametrize("name", ["mine_train", "train", "my videos"])
def test_a_name_that_is_not_the_data_set_alone(tmp_path, input_dir, name):
  splitting, out = SplitOptions({"train": 0.5, "val": 0.5}), tmp_path / "out"
  assert message_of(run, input_dir, name, out, division=splitting) == (
    "--name: expected with --split the data set alone, such as pouring, of"
    " letters, digits, '_', '-' and '.', as each split's name is added;"
    f" received {name!r}, which would make {name}_train and {name}_val"
  )
  assert not out.exists()


def test_flags_of_groups_and_paths_from_the_home_folder(tmp_path, input_dir):
  (tmp_path / "in").symlink_to(input_dir)
  (tmp_path / "groups.csv").write_text("video,group\na/v0,a\nb/v0,b\n")
  table(tmp_path / "labels.csv", ["a/v0", "b/v0"])
  line = (
    "dataset_preparation.videos_to_tfrecords --input_dir=~/in --name=mine"
    " --output_dir=~/out --group_file=~/groups.csv --label_file=~/labels.csv"
    " --file_pattern=v0.mp4 --num_workers=1 --width=8 --height=8"
  )
  done = run_modules(
    *(line, f"{line} --split=train=0.5,val=0.5"),
    env=os.environ | {"HOME": str(tmp_path)},
  )
  assert done.stderr.splitlines()[:2] == [
    "error: --group_file: expected --split, whose groups it lists, received"
    " none; give --split, or leave --group_file away",
    "dataset_preparation.videos_to_tfrecords ended with 1",
  ]
  assert done.stderr.endswith("ended with None\n"), done.stderr
  assert (tmp_path / "out" / "dataset.json").exists()


def test_linked_folders_are_followed(tmp_path, input_dir):
  (tmp_path / "in" / "more").mkdir(parents=True)
  (tmp_path / "in" / "more" / "take").symlink_to(input_dir / "a")
  found = find_videos(tmp_path / "in")
  assert list(found) == [f"more/take/v{number}" for number in range(5)]
  (tmp_path / "in" / "more" / "up").symlink_to(tmp_path / "in")
  assert message_of(find_videos, tmp_path / "in") == (
    f"{tmp_path}/in/more/up: expected each folder once, received a link to"
    f" {tmp_path}/in; remove the link"
  )


def test_names_that_are_not_in_utf_8(tmp_path, input_dir):
  folder = tmp_path / "in"
  folder.mkdir()
  shutil.copy(input_dir / "a" / "v0.mp4", folder / os.fsdecode(b"caf\xe9.mp4"))
  assert message_of(run, folder, "mine_val", tmp_path / "out") == (
    f"{folder}/caf\\xe9.mp4: expected a name in UTF-8, received other bytes;"
    " rename it"
  )
  with pytest.raises(UserError, match=r"out\\xe9: expected a name in UTF-8"):
    run(input_dir, "mine_val", tmp_path / os.fsdecode(b"out\xe9"))
  assert sorted(os.listdir(tmp_path)) == ["in"]


def test_the_next_split_keeps_the_numbers_of_the_phases(tmp_path, input_dir):
  first = table(tmp_path / "first.csv", phases=("reach", "pour"))
  second = table(tmp_path / "second.csv", phases=("pour", "reach"))
  out = tmp_path / "out"
  run(input_dir, "mine_train", out, first, pattern="v0.mp4")
  run(input_dir, "mine_val", out, second, pattern="v1.mp4")
  for record in record_files.read(out.glob("*_val-*")):
    assert record["frame_labels"] == [1] * 10 + [0] * 10
  info = dataset_info.load_dataset_info(str(out), "mine")
  assert info.class_names == ("reach", "pour")
  third = table(tmp_path / "third.csv", phases=("poor", "reach"))
  with pytest.raises(UserError, match="received 'poor'; did you mean 'pour'"):
    run(input_dir, "mine_test", out, third)


def test_the_only_split_may_get_other_phases(tmp_path, input_dir):
  out = tmp_path / "out"
  for phases in (("reach", "poor"), ("touch", "reach", "pour")):
    labels = table(tmp_path / "labels.csv", phases=phases[-2:])
    options = {"pattern": "v0.mp4", "overwrite": True}
    run(input_dir, "mine_train", out, labels, phases, **options)
    info = dataset_info.load_dataset_info(str(out), "mine")
    assert info.class_names == phases


def test_flags_that_need_a_label_file(tmp_path, input_dir):
  arguments = (find_videos(input_dir), "mine_val", tmp_path)
  values = {"phases": ["reach"], "expected_segments": 4}
  values |= {"label_tier": "ann", "resample_labels": True}
  for name, value in values.items():
    labels = LabelOptions(**{name: value})
    message = f"--{name}: expected labels of frames, received"
    with pytest.raises(UserError, match=message):
      build_records.build_records(*arguments, labels=labels)


def test_the_summary(tmp_path, input_dir):
  labels = table(tmp_path / "labels.csv", phases=("reach", "pour", "rest"))
  labels.write_text(labels.read_text().replace(",2,3,", ",2,2.3,"))
  out = tmp_path / "out"
  written = run(input_dir, "mine_val", out, labels, pattern="v0.mp4")
  summary = build_records.summarize(written, ("reach", "pour", "rest"))
  assert summary.splitlines() == [
    "mine_val: 2 videos, 40 frames (10 frames per second)",
    "   0 reach: 20 frames, 50.0%",
    "   1 pour: 20 frames, 50.0%",
    "  shortest a/v0: 20 frames, longest a/v0: 20",
    *(
      f"  warning: {input_dir}/{name}.mp4: no frame lies in phase 2 of its"
      " annotation (times are microseconds in JSON, seconds in CSV)"
      for name in ("a/v0", "b/v0")
    ),
  ]
  written = run(input_dir, "mine_test", out, pattern="v0.mp4")
  _, second, *_ = build_records.summarize(written, ()).splitlines()
  assert second == "  no labels of frames"
  videos = written["mine_test"].videos
  assert [video["source"] for video in videos] == ["a/v0.mp4", "b/v0.mp4"]
  assert [video["fps"] for video in videos] == [10.0, 10.0]


def test_splits_appear_together_and_go_on_together(tmp_path, input_dir):
  folder, out = tmp_path / "in", tmp_path / "out"
  shutil.copytree(input_dir, folder)
  splitting = SplitOptions({"train": 0.5, "val": 0.5})
  divided = splits.assign_videos(NAMES, splitting.shares, 0, {})
  broken = folder / f"{divided['val'][-1]}.mp4"
  broken.write_bytes(b"no video")
  with pytest.raises(UserError, match="one that can't be decoded"):
    run(folder, "mine", out, division=splitting)
  assert os.listdir(out) == [".mine_train.incomplete"]
  broken.write_bytes((input_dir / f"{divided['val'][-1]}.mp4").read_bytes())
  run(folder, "mine", out, division=splitting)
  records = [f"mine_{split}-0-of-1.tfrecord" for split in ("train", "val")]
  assert sorted(os.listdir(out)) == ["dataset.json", *records]


def test_labels_of_other_videos_are_told_in_one_line(tmp_path):
  describe, labeled = build_records.describe_unused_labels, [*NAMES, "typo9"]
  labels = table(tmp_path / "labels.csv", labeled)
  assert describe(labels, ["a/v0", "b/v0"]) == [
    f"9 videos in {labels} are not among those converted, the first is a/v1"
  ]
  assert describe(labels, labeled) == describe(None, NAMES) == []
  labels.write_text("video,start,end,phase,who\nv0,0,1,reach,me\n")
  assert describe(labels, ["a/v0"]) == [f"columns of {labels} not used: who"]
