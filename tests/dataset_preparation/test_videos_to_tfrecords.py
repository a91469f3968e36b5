import fcntl
import json
import os
import pty
import struct
import sys
import termios

import cv2
import numpy as np
import pytest

from core import files
from core.errors import UserError
from data import dataset_info, shard_files
from dataset_preparation import videos_to_tfrecords
from dataset_preparation.build_records import LabelOptions, build_records
from dataset_preparation.shards import ShardOptions
from dataset_preparation.video_names import ENDINGS
from dataset_preparation.videos_to_tfrecords import FILE_PATTERNS, find_videos
from media.frame_encoding import FrameEncoding
from tests.helpers import record_files, video_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


@pytest.fixture(scope="module")
def input_dir(tmp_path_factory):
  """Three videos of 30, 12 and 20 frames at 10 frames per second."""
  folder = tmp_path_factory.mktemp("videos")
  video_files.make(folder / "clip2.mp4")
  video_files.make(folder / "clip10.mkv", num_frames=12, first=7)
  video_files.make(folder / "Clip1.MP4", num_frames=20)
  (folder / "notes.txt").write_text("no video")
  (folder / "._clip2.mp4").write_bytes(b"left by a file manager")
  (folder / "folder.mp4").mkdir()
  return folder


@pytest.fixture(scope="module")
def label_file(tmp_path_factory):
  path = tmp_path_factory.mktemp("labels") / "labels.json"
  ann = {"0": [0, 8e5], "1": [12e5, 14e5], "2": [16e5, 3e6]}
  ben = {"0": [0, 10e5], "1": [14e5, 16e5], "2": [18e5, 3e6]}
  begin = {"0": [0, 5e5], "1": [5e5, 1e6]}
  labels = {"clip2": {"ann": ann, "ben": ben}}
  labels["Clip1"] = {"ann": begin | {"2": [1e6, 2e6]}}
  labels["clip10"] = {"ann": begin | {"2": [1e6, 1e6]}}
  path.write_text(json.dumps(labels))
  return path


def read_records(paths):
  found = record_files.read(paths)
  for record in found:
    record["video"] = [
      cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
      for jpeg in record["video"]
    ]
  return found


def convert(input_dir, name, out, labels=None, sharding=None, **storing):
  patterns = storing.pop("file_pattern", FILE_PATTERNS)
  written = build_records(
    *(find_videos(input_dir, patterns), name, out),
    encoding=FrameEncoding(**storing),
    labels=LabelOptions(**(labels or {})),
    options=ShardOptions(num_workers=1, **(sharding or {})),
  )
  return written[name]


def test_unlabeled_videos(tmp_path, input_dir):
  info = convert(input_dir, "mine_train", tmp_path, size=(40, 30))
  path = tmp_path / "mine_train-0-of-1.tfrecord"
  assert sorted(os.listdir(tmp_path)) == ["dataset.json", path.name]
  found = read_records([path])
  assert [video["name"] for video in found] == ["Clip1", "clip2", "clip10"]
  assert [video["len"] for video in found] == [20, 30, 12]
  for video in found:
    assert video["label"] == -1
    assert video["frame_labels"] is None
    assert len(video["video"]) == video["len"]
    for image in video["video"]:
      assert image.shape == (30, 40, 3)
      assert video_files.colors(image) == video_files.QUARTERS
  assert (info.num_videos, info.num_frames, info.fps) == (3, 62, 10.0)
  stored = dataset_info.load_dataset_info(str(tmp_path), "mine")
  assert stored == dataset_info.DatasetInfo((), {"train": info})


def test_damaged_videos_are_kept_as_far_as_they_decode(tmp_path, input_dir):
  folder, out = tmp_path / "videos", tmp_path / "out"
  folder.mkdir()
  data = (input_dir / "clip2.mp4").read_bytes()
  (folder / "lost.mp4").write_bytes(data[:60])
  options = {"movflags": "faststart"}
  cut = video_files.make(
    folder / "cut.mp4", seed=0, num_frames=60, container_options=options
  )
  cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
  command = (
    *("-m", "dataset_preparation.videos_to_tfrecords", "--input_dir", folder),
    *("--name", "mine_train", "--output_dir", out, "--num_workers=1"),
  )
  assert run_python(*command).returncode == 1
  assert not list(out.glob("*.tfrecord"))
  done = run_python(*command, "--on_error=keep")
  assert done.returncode == 2  # As one was left out.
  [video] = dataset_info.load_dataset_info(out, "mine").splits["train"].videos
  lost = 60 - video["num_frames"]
  assert video["facts"]["lost"] == lost > 10
  assert f"note on cut: it is damaged or cut off; frames lost: {lost}\n" in (
    done.stdout
  )
  assert f"skipped lost: {folder}/lost.mp4: " in done.stdout
  [record] = read_records(out.glob("*.tfrecord"))
  times = np.arange(60 - lost) / 10
  np.testing.assert_allclose(record["times"], times, atol=1e-6)


def test_labeled_videos(tmp_path, input_dir, label_file):
  out = tmp_path / "out"
  labels = {"label_file": label_file, "expected_segments": 3, "action_label": 4}
  convert(input_dir, "mine_val", out, labels=labels, size=None)
  found = {v["name"]: v for v in read_records(out.glob("*.tfrecord"))}
  assert found["Clip1"]["frame_labels"] == [0] * 5 + [1] * 5 + [2] * 10
  # Means: [0, .9], [1.3, 1.5], [1.7, 3]; middles: 1.1 and 1.6.
  assert found["clip2"]["frame_labels"] == [0] * 11 + [1] * 5 + [2] * 14
  # The last segment holds no instant.
  assert found["clip10"]["frame_labels"] == [0] * 5 + [1] * 7
  info = dataset_info.load_dataset_info(str(out), "mine")
  assert info.class_names == ("phase 0", "phase 1", "phase 2")
  for video in found.values():
    assert video["label"] == 4
    assert video["video"][0].shape == (video_files.HEIGHT, video_files.WIDTH, 3)
  # Frames that are dropped take their labels with them.
  labels, out = {"label_file": label_file}, tmp_path / "slow"
  info = convert(input_dir, "mine_val", out, labels=labels, fps=5, size=(8, 8))
  assert (info.num_frames, info.fps) == (10 + 15 + 6, 5.0)
  [first, *_] = read_records(out.glob("*.tfrecord"))
  assert first["frame_labels"] == [0] * 3 + [1] * 2 + [2] * 5


def test_shards_splits_and_stale_shards(tmp_path, input_dir, label_file):
  out = tmp_path / "out"
  labels = {"label_file": label_file}
  convert(input_dir, "mine_train", out, sharding={"files_per_shard": 2})
  convert(input_dir, "mine_val", out, labels, {"files_per_shard": 1})
  convert(input_dir, "mine_val_extra", tmp_path / "extra")
  train = shard_files.list_record_files(str(out), "mine", "train")
  val = shard_files.list_record_files(str(out), "mine", "val")
  assert [len(read_records([path])) for path in train] == [2, 1]
  names = [read_records([path])[0]["name"] for path in val]
  assert names == ["Clip1", "clip2", "clip10"]
  info = dataset_info.load_dataset_info(str(out), "mine")
  assert set(info.splits) == {"train", "val"}
  before = {path: path.read_bytes() for path in out.iterdir()}
  with pytest.raises(UserError, match="received 'mine'; keep one data set a"):
    convert(input_dir, "yours_val", out)
  assert {path: path.read_bytes() for path in out.iterdir()} == before

  options = {"sharding": {"overwrite": True}, "file_pattern": ["*2.mp4"]}
  convert(input_dir, "mine_train", out, **options)
  assert {path.name for path in before} ^ set(os.listdir(out)) == {
    *("mine_train-0-of-1.tfrecord", "mine_train-0-of-2.tfrecord"),
    "mine_train-1-of-2.tfrecord",
  }
  info = dataset_info.load_dataset_info(str(out), "mine")
  assert info.splits["train"].num_videos == 1
  assert info.splits["val"].num_videos == 3
  assert len(info.class_names) == 3


def test_videos_are_found_in_natural_order(tmp_path):
  names = ["v10.mp4", "v2.MOV", "a.webm", "v2b.avi", "v02c.mp4"]
  for folder in ("", "take10", "take9", "take9/a", ".hidden"):
    (tmp_path / folder).mkdir(exist_ok=True)
  for name in (*names, "take10/v1.mp4", "take9/v1.mp4", "take9/a/v1.mp4"):
    (tmp_path / name).touch()
  (tmp_path / ".hidden" / "v1.mp4").touch()
  (tmp_path / "007.mkv").symlink_to("nowhere.mkv")  # Its conversion tells.
  found = find_videos(tmp_path)
  assert [str(path.relative_to(tmp_path)) for path in found.values()] == [
    *("007.mkv", "a.webm", "take9/a/v1.mp4", "take9/v1.mp4", "take10/v1.mp4"),
    *("v2.MOV", "v2b.avi", "v02c.mp4", "v10.mp4"),
  ]
  assert list(found)[:4] == ["007", "a", "take9/a/v1", "take9/v1"]
  assert list(find_videos(tmp_path, ["V*c.mp4", "*.MOV"])) == ["v2", "v02c"]
  paths = videos_to_tfrecords.list_files(tmp_path)
  describe = videos_to_tfrecords.describe_left_out
  assert describe(paths, FILE_PATTERNS) == []
  assert describe(paths, ["*.MP4", "*.mov"]) == [
    "3 files match no --file_pattern and are left out, the first is 007.mkv"
  ]
  assert {".ts", ".vob", ".mxf", ".gif", ".y4m", ".h264"} <= set(ENDINGS)


def test_wrong_folders_are_named(tmp_path, input_dir, monkeypatch):
  (tmp_path / "a.mp4").touch()
  (tmp_path / "a.avi").touch()
  with pytest.raises(UserError, match="record 'a', received a.avi and a.mp4"):
    find_videos(tmp_path)
  with pytest.raises(UserError, match=r"videos that match \*.webm, received"):
    find_videos(input_dir, ["*.webm"])
  with pytest.raises(UserError, match="nowhere: expected a folder of videos"):
    find_videos(tmp_path / "nowhere")
  message = ": expected a folder to write"
  for out in (str(tmp_path / "a.mp4"), "/proc/out"):
    assert message_of(convert, input_dir, "a_b", out).startswith(out + message)
  # The administrator, as whom tests may run, may write everywhere.
  monkeypatch.setattr(files.os, "access", lambda path, mode: False)
  with pytest.raises(UserError, match=f"^{tmp_path}{message}"):
    convert(input_dir, "mine_val", tmp_path)


def test_script_by_its_path_from_elsewhere(tmp_path, input_dir, label_file):
  done = run_python(
    *(videos_to_tfrecords.__file__, f"--input_dir={input_dir}"),
    *(f"--label_file={label_file}", f"--output_dir={tmp_path}/%s_out"),
    *("--name=mine_val", "--width=16", "--height=8"),
    "--file_pattern=*.mp4,*.mkv",
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  folder = tmp_path / "mine_out"
  assert done.stdout.splitlines() == [
    "mine_val: 3 videos, 62 frames (10 frames per second)",
    "   0 phase 0: 21 frames, 33.9%",
    "   1 phase 1: 17 frames, 27.4%",
    "   2 phase 2: 24 frames, 38.7%",
    "  shortest clip10: 12 frames, longest clip2: 30",
    f"  warning: {input_dir}/clip10.mkv: no frame lies in phase 2 of its"
    " annotation (times are microseconds in JSON, seconds in CSV)",
    f"Use the records with DATASETS: [mine] and PATH_TO_TFRECORDS: {folder}."
    f" {folder}/dataset.json has the details; edit its class_names to name the"
    " phases.",
    "1 files match no --file_pattern and are left out, the first is notes.txt",
  ]
  assert "mine_val: 1 of 1 shards done" in done.stderr
  assert "video/s" not in done.stderr  # No progress bar in logs.
  [first, *_] = read_records(folder.glob("*.tfrecord"))
  assert first["video"][0].shape == (8, 16, 3)


def test_script_with_a_tier_of_an_export(tmp_path, input_dir):
  rows = [
    ("ann", 2, 5, "pour"),
    ("ann", 5.5, 10, "rest"),
    ("ben", 0, 20, "reach"),
  ]
  heading = "Subject\tBehavior\tBehavior type\tStart (s)\tStop (s)\tMedia file"
  lines = [
    f"{subject}\t{phase}\tSTATE\t{start / 10}\t{end / 10}\tC:\\x\\Clip1.mp4"
    for subject, start, end, phase in rows
  ]
  export = tmp_path / "events.tsv"
  export.write_text("\n".join([heading, *lines]))
  done = run_python(
    *(videos_to_tfrecords.__file__, f"--input_dir={input_dir}"),
    *(f"--label_file={export}", f"--output_dir={tmp_path}/out"),
    *("--name=mine_val", "--width=16", "--height=8", "--file_pattern=Clip1.*"),
    *("--label_tier=ann", "--outside_segments=none"),
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  [record] = read_records((tmp_path / "out").glob("*.tfrecord"))
  # Frames 0.1 s apart: frame 5 is in the gap.
  found = [-1, -1, 0, 0, 0, -1, 1, 1, 1, 1]
  assert record["frame_labels"] == found + [-1] * 10


@pytest.mark.parametrize(
  ("source_fps", "fps"), [(10, 0), (10, 1), (10, 0.3), (1, 0), (1, 0.5)]
)
def test_segments_may_go_up_to_the_end_of_the_video(tmp_path, source_fps, fps):
  folder, out = tmp_path / "in", tmp_path / "out"
  folder.mkdir()
  video_files.make(folder / "a.mp4", num_frames=20, fps=source_fps)
  end = 20 // source_fps
  table = tmp_path / "l.csv"

  def label(name, *segments):
    rows = [f"a,{start},{end},{start}" for start, end in segments]
    table.write_text("\n".join(["video,start,end,phase", *rows]))
    labels = {"label_file": table}
    return convert(folder, name, out, labels=labels, fps=fps, size=(8, 8))

  label("mine_val", (0, end // 2), (end // 2, end))
  [record] = record_files.read(out.glob("*.tfrecord"))
  assert set(record["frame_labels"]) <= {0, end // 2}
  row = f"{table}: video 'a', row 3: expected"
  limit = f"{end:g} s, where the video ends, received"
  late = message_of(label, "mine_test", (0, end // 2), (end // 2, end + 0.6))
  assert late == f"{row} an end of at most {limit} {end + 0.6:g} s; correct it"
  later = message_of(label, "mine_test", (0, end), (end + 1, end + 2))
  assert later == f"{row} a start before {limit} {end + 1:g} s; correct it"


def test_a_terminal_shows_a_progress_bar(tmp_path, input_dir, monkeypatch):
  terminal, end = pty.openpty()
  fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
  with open(end, "w") as stderr:
    monkeypatch.setattr(sys, "stderr", stderr)
    convert(input_dir, "mine_val", tmp_path, size=(8, 8))
    # Less than a terminal holds: it could be written before anybody read it.
    shown = os.read(terminal, 2**16).decode()
  os.close(terminal)
  assert "mine_val:   0%|" in shown
  assert "0/3 [" in shown
