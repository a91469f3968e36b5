import json
import pathlib
import subprocess
import sys
import types

import pytest
import tensorflow as tf
import video_files

import dataset_info
from dataset_preparation import beam_videos_to_tfrecords

CHECKOUT = pathlib.Path(dataset_info.__file__).parent


@pytest.fixture(scope="module")
def input_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("videos")
  for number in range(5):
    path = folder / "take" / f"v{number}.mp4"
    path.parent.mkdir(exist_ok=True)
    video_files.make(path, num_frames=4 + number, seed=number)
  return folder


def run(module, input_dir, out, *flags):
  return subprocess.run(
    [
      *(sys.executable, "-m", f"dataset_preparation.{module}"),
      *(f"--input_dir={input_dir}", f"--output_dir={out}", "--name=mine"),
      *("--width=24", "--height=16", "--files_per_shard=2", "--fps=5"),
      *("--split=train=0.6,val=0.4", "--seed=1", *flags),
    ],
    cwd=CHECKOUT,
    capture_output=True,
    text=True,
    check=False,
  )


def records_of(folder, split):
  paths = dataset_info.record_paths(str(folder), "mine", split)
  return paths, [r.numpy() for r in tf.data.TFRecordDataset(paths)]


def test_the_records_are_those_of_one_machine(tmp_path, input_dir):
  labels = tmp_path / "labels.csv"
  rows = [
    f"v{n},{s},{s + 0.15},{p}"
    for n in range(5)
    for s, p in ((0, "a"), (0.15, "b"))
  ]
  labels.write_text("\n".join(["video,start,end,phase", *rows]))
  contents = []
  for module, flags in (
    ("videos_to_tfrecords", ()),
    ("beam_videos_to_tfrecords", ("--runner", "DirectRunner")),
  ):
    out = tmp_path / module
    done = run(module, input_dir, out, f"--label_file={labels}", *flags)
    assert done.returncode == 0, done.stderr
    assert "mine_train: 3 videos, " in done.stdout
    contents.append(json.loads((out / "dataset.json").read_text()))
    for split, count in (("train", 2), ("val", 1)):
      paths, records = records_of(out, split)
      assert len(paths) == count
      contents[-1][split] = sorted(records)
  assert contents[0] == contents[1]
  assert contents[0]["class_names"] == ["a", "b"]


def test_broken_videos(tmp_path, input_dir):
  (tmp_path / "in").mkdir()
  for path in (input_dir / "take").iterdir():
    (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
  (tmp_path / "in" / "broken.mp4").write_text("no video")
  module = "beam_videos_to_tfrecords"
  done = run(module, tmp_path / "in", tmp_path / "out")
  assert done.returncode == 1
  last = done.stderr.splitlines()[-1]
  assert last.startswith(f"error: {tmp_path}/in/broken.mp4: can't be decoded")
  assert not list(tmp_path.glob("out/mine_*"))
  done = run(module, tmp_path / "in", tmp_path / "out", "--on_error=skip")
  assert done.returncode == 2, done.stderr
  assert f"  skipped broken: {tmp_path}/in/broken.mp4: can't be" in done.stdout
  done = run(module, tmp_path / "in", tmp_path / "out")
  assert done.returncode == 1
  assert "exists already; give --overwrite" in done.stderr.splitlines()[-1]


def test_videos_in_the_cloud_are_found(monkeypatch):
  class Match:
    metadata_list = [
      types.SimpleNamespace(path=f"mem://bucket/in/{name}")
      for name in ("a/v10.mp4", "a/v9.mp4", "notes.txt", ".x/v1.mp4")
    ]

  monkeypatch.setattr(
    beam_videos_to_tfrecords.FileSystems, "match", lambda patterns: [Match]
  )
  found = beam_videos_to_tfrecords.find_videos("mem://bucket/in/", ["*.mp4"])
  assert found == {
    "a/v9": "mem://bucket/in/a/v9.mp4",
    "a/v10": "mem://bucket/in/a/v10.mp4",
  }
