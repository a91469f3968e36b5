import json
import os
import shutil
import types

import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from core.errors import UserError
from data import dataset_info, shard_files
from data.dataset_info import SplitInfo
from dataset_preparation import beam_videos_to_tfrecords, build_records
from dataset_preparation.build_records import LabelOptions, SplitOptions
from dataset_preparation.shards import ShardOptions
from media.frame_encoding import FrameEncoding
from tests.helpers import video_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_modules, run_python
from tests.helpers.record_files import contents


@pytest.fixture(scope="module")
def input_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("videos")
  (folder / "take").mkdir()
  for number in range(5):
    path = folder / "take" / f"v{number}.mp4"
    video_files.make(path, num_frames=4 + number, seed=number)
  return folder


def flags_for(input_dir, out):
  return [
    *(f"--input_dir={input_dir}", f"--output_dir={out}", "--name=mine"),
    *("--width=24", "--height=16", "--files_per_shard=2", "--fps=5"),
    *("--split=train=0.6,val=0.4", "--seed=1"),
  ]


def convert(input_dir, out, label_file=None, **options):
  """Does in this process what the command does with those flags."""
  module = beam_videos_to_tfrecords
  division = SplitOptions({"train": 0.6, "val": 0.4}, seed=1)
  videos = module.find_videos(str(input_dir), ["*.mp4"])
  plans = build_records.plan_splits(
    build_records.divide_videos(videos, "mine", division),
    *(str(out), LabelOptions(label_file)),
    read_info=module._read_info,
  )
  module._run_pipeline(
    PipelineOptions(["--runner=DirectRunner"]),
    *(plans, FrameEncoding(size=(24, 16), fps=5), str(out)),
    ShardOptions(files_per_shard=2, **options),
  )


def test_the_records_are_those_of_one_machine(tmp_path, input_dir):
  folder, labels = tmp_path / "in", tmp_path / "labels.csv"
  shutil.copytree(input_dir, folder)
  (folder / "take" / "broken.mp4").write_text("no video")
  rows = [
    f"{video},{s},{s + 0.01},{p}"
    for video in ("broken", *(f"v{n}" for n in range(5)))
    # No frame lies in the last one: a warning, which names the video.
    for s, p in ((0, "a"), (0.15, "b"), (0.305, "c"))
  ]
  labels.write_text("\n".join(["video,start,end,phase", *rows]))
  infos = []
  for module, *flags in (
    ["videos_to_tfrecords"],
    ["beam_videos_to_tfrecords", "--runner", "DirectRunner"],
  ):
    out = tmp_path / module
    done = run_python(
      *("-m", f"dataset_preparation.{module}", *flags_for(folder, out)),
      *(f"--label_file={labels}", "--on_error=skip", *flags),
    )
    assert done.returncode == 2, done.stderr
    assert "mine_train: 3 videos, " in done.stdout
    skipped = f"  skipped take/broken: {folder}/take/broken.mp4: expected"
    assert skipped in done.stdout
    infos.append(json.loads((out / "dataset.json").read_text()))
    for split, count in (("train", 2), ("val", 1)):
      paths = shard_files.list_record_files(str(out), "mine", split)
      assert len(paths) == count
      records = tf.data.TFRecordDataset(paths).as_numpy_iterator()
      infos[-1][split] = sorted(records)
  assert infos[0] == infos[1]
  assert infos[0]["class_names"] == ["a", "b", "c"]
  [warning] = infos[0]["splits"]["val"]["videos"][0]["warnings"]
  assert warning.startswith(f"{folder}/take/v")


def test_videos_in_the_cloud_are_found(monkeypatch):
  names = ("a/v10.mp4", "a/v9.mp4", "notes.txt", ".x/v1.mp4")
  paths = [types.SimpleNamespace(path=f"mem://bucket/in/{x}") for x in names]
  match = types.SimpleNamespace(metadata_list=paths)
  systems = beam_videos_to_tfrecords.FileSystems
  monkeypatch.setattr(systems, "match", lambda patterns: [match])
  found = beam_videos_to_tfrecords.find_videos("mem://bucket/in/", ["*.mp4"])
  assert list(found) == ["a/v9", "a/v10"]
  assert found["a/v9"] == "mem://bucket/in/a/v9.mp4"


def test_records_are_replaced_when_the_new_ones_are_there(tmp_path, input_dir):
  out = tmp_path / "out"
  convert(input_dir, out)
  before = contents(out)
  folder = tmp_path / "in"
  folder.mkdir()
  for number in range(2):
    shutil.copy(input_dir / "take" / f"v{number}.mp4", folder)
  (folder / "v2.mp4").write_text("no video")
  with pytest.raises(UserError, match="give --overwrite to replace"):
    convert(folder, out)
  assert message_of(convert, folder, out, overwrite=True) == (
    f"{folder}/v2.mp4: expected a whole video file, received one that can't be"
    " decoded (invalid data found when processing input); replace or remove it"
  )
  assert contents(out) == before
  (folder / "v2.mp4").unlink()
  convert(folder, out, overwrite=True)
  assert set(contents(out)) == {
    *("dataset.json", "mine_train-0-of-1.tfrecord"),
    "mine_val-0-of-1.tfrecord",
  }


def test_dataset_json_is_read_before_anything_is_converted(tmp_path, input_dir):
  test = SplitInfo(1, 2, phase_counts={"0": 1, "1": 1})
  dataset_info.add_split(tmp_path, "yours", "test", test, ("b", "a"))
  with pytest.raises(UserError, match="'mine', received 'yours'"):
    convert(input_dir, tmp_path)
  (tmp_path / "dataset.json").unlink()
  dataset_info.add_split(tmp_path, "mine", "test", test, ("b", "a"))
  rows = [f"v{n},0,0.1,a" for n in range(5)]
  labels = tmp_path / "labels.csv"
  labels.write_text("\n".join(["video,start,end,phase", *rows]))
  convert(input_dir, tmp_path, labels)
  content = json.loads((tmp_path / "dataset.json").read_text())
  assert content["class_names"] == ["b", "a"]
  assert content["splits"]["val"]["phases"].keys() == {"1"}


def test_mistakes_are_told_in_one_line(tmp_path, input_dir):
  mistakes = {
    "--lable_file=x": "expected a known flag, received another; did you mean"
    " --label_file?",
    "--runner=No": "expected flags that Beam takes, received others (Unexp",
    "--output_dir=no://x": "expected a path that Beam can access, received no:",
  }
  flags = flags_for(input_dir, tmp_path / "out")
  module = "dataset_preparation.beam_videos_to_tfrecords"
  done = run_modules(*(" ".join([module, *flags, x]) for x in mistakes))
  told = done.stderr.splitlines()
  told = [told[i - 1 : i + 1] for i, line in enumerate(told) if "ended" in line]
  for (error, end), (flag, message) in zip(told, mistakes.items(), strict=True):
    assert error.startswith(f"error: {flag.partition('=')[0]}: {message}")
    assert end == f"{module} ended with 1"
  assert "Traceback" not in done.stderr


def test_workers_are_beams_too(monkeypatch):
  given = types.SimpleNamespace(FLAGS=types.SimpleNamespace(num_workers=7))
  monkeypatch.setattr(beam_videos_to_tfrecords, "flags", given)
  parse = beam_videos_to_tfrecords._parse_beam_options
  assert parse(["--runner=DirectRunner"]).get_all_options()["num_workers"] == 7


def test_beam_that_is_missing_is_told(tmp_path):
  code = "raise ModuleNotFoundError('', name='apache_beam')"
  (tmp_path / "apache_beam.py").write_text(code)
  env = os.environ | {"PYTHONPATH": str(tmp_path)}
  done = run_python(beam_videos_to_tfrecords.__file__, env=env)
  assert done.returncode == 1
  told = "error: apache_beam is missing; run pip install '.[beam]'"
  assert done.stderr.splitlines()[-1] == told
