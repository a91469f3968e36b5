import csv
import json

import numpy as np
import pytest

from dataset_preparation import export_records
from dataset_preparation.build_records import LabelOptions, build_records
from dataset_preparation.images_to_tfrecords import find_folders
from dataset_preparation.shards import ShardOptions
from dataset_preparation.videos_to_tfrecords import find_videos
from media.frame_encoding import FrameEncoding
from media.video_reader import VideoReader
from tests.helpers import record_files, video_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python

# Two frames at the same time, a pause, and times beyond 32 bits' microseconds.
UNEVEN = [0, 0.1, 0.1, 0.4, 1 / 3 + 1, 7.5, 7.533333, 130.123456, 130.2]
# Labels that begin, lie between and end without phase.
LABELS = {
  "kitchen/clip1": [-1, 0, 1, 1, -1, 2, 0, 0, -1],
  "kitchen/ä, b": [1] * 9,
  "plain": None,
}


def read_table(path):
  with path.open(encoding="utf-8", newline="") as file:
    return list(csv.reader(file))


def write_records(folder, times=UNEVEN, labels=LABELS, size=(15, 17), **facts):
  """Records whose phases have numbers as names, in another order."""
  records = []
  for index, (name, frame_labels) in enumerate(labels.items()):
    # Far enough apart to survive H.264.
    jpegs = [record_files.jpeg(index, 5 * t, size) for t in range(9)]
    example = (name, jpegs, frame_labels)
    records.append(record_files.sequence_example(*example, times=times))
  folder.mkdir(exist_ok=True)
  record_files.write(folder, [records[:2], records[2:]])
  phases = {str(x): 1 for y in labels.values() for x in y or ()}
  split = {"num_videos": len(labels), "num_frames": 9 * len(labels)}
  content = {"format_version": 1, "dataset": "toy"}
  content |= {"class_names": ["2", "0", "10"] if phases else []}
  content |= {"splits": {"train": split | {"phases": phases} | facts}}
  (folder / "dataset.json").write_text(json.dumps(content))
  return folder


def convert(paths, out, label_file):
  build_records(
    *(paths, "mine_val", out),
    encoding=FrameEncoding(size=None),
    labels=LabelOptions(label_file),
    options=ShardOptions(num_workers=1),
  )
  found = record_files.read(out.glob("*.tfrecord"))
  return {video["name"]: video for video in found}


@pytest.mark.parametrize("times", [UNEVEN, None])
def test_exported_videos_convert_to_the_same_labels(times, tmp_path):
  write_records(tmp_path / "in", times, fps=29.97)
  out = tmp_path / "out"
  export_records.export(tmp_path / "in", "toy", "train", out)
  found = convert(find_videos(out), tmp_path / "again", out / "labels.csv")
  assert found.keys() == LABELS.keys()
  expected = times or np.arange(9) / 29.97
  for index, name in enumerate(LABELS):
    assert found[name]["frame_labels"] == (LABELS[name] or [-1] * 9)
    # Of the two frames at the same time, one comes a tick later.
    np.testing.assert_allclose(found[name]["times"], expected, atol=2e-5)
    images = [frame.image for frame in VideoReader(out / f"{name}.mp4")]
    images = np.stack(images) / 127.5 - 1
    assert images.shape == (9, 14, 16, 3)
    numbers = record_files.frame_numbers(images) / 5
    np.testing.assert_array_equal(numbers.round(), range(9))
    assert (record_files.video_numbers(images) == index).all()
  if times:
    return
  # Each frame is shown as long as the others.
  assert read_table(out / "labels.csv")[:3] == [
    ["video", "start", "end", "phase", "phase_name"],
    ["kitchen/clip1", "0.0", "0.033367", "-1", ""],
    ["kitchen/clip1", "0.033367", "0.066733", "0", "2"],
  ]


@pytest.mark.parametrize("times", [UNEVEN, None])
def test_exported_images_are_the_stored_ones(times, tmp_path):
  write_records(tmp_path / "in", times)
  out = tmp_path / "out"
  export_records.export(tmp_path / "in", "toy", "train", out, images=True)
  found = convert(find_folders(out), tmp_path / "again", out / "labels.csv")
  stored = record_files.read((tmp_path / "in").glob("*.tfrecord"))
  for video in stored:
    again = found[video["name"]]
    assert again["video"] == video["video"]
    assert again["frame_labels"] == (video["frame_labels"] or [-1] * 9)
  assert read_table(out / "labels.csv")[:4] == [
    ["video", "frame", "phase", "phase_name"],
    ["kitchen/clip1", "0", "-1", ""],
    ["kitchen/clip1", "1", "0", "2"],
    ["kitchen/clip1", "2", "1", "0"],
  ]
  about = read_table(out / "videos.csv")
  if not times:
    assert about[1] == ["kitchen/clip1", "", "9", "", ""]
    assert not (out / "frames.csv").exists()
    return
  # The last frame is shown as long as the one before.
  assert about[1] == ["kitchen/clip1", "", "9", "130.276533", "0.061"]
  heading, *rows = read_table(out / "frames.csv")
  assert heading == ["video", "frame", "seconds"]
  assert [row[:2] for row in rows[:2]] == [[*LABELS][:1] + [x] for x in "01"]
  seconds = [float(row[2]) for row in rows]
  np.testing.assert_allclose(seconds, UNEVEN * 3, atol=2e-5)


def test_videos_last_as_long_as_their_sources(tmp_path):
  for folder in ("in/a", "in"):
    (tmp_path / folder).mkdir(exist_ok=True, parents=True)
  source = video_files.write_gray(
    *(tmp_path / "in" / "a" / "b.mkv", "libx264", range(0, 250, 50)),
    times=[0, 0.25, 1, 1.5, 1.625],
    ends=[0.25, 1, 1.5, 1.625, 4],
  )
  reader = VideoReader(source)
  assert len(list(reader)) == 5 and reader.facts.seconds == 4
  convert(find_videos(tmp_path / "in"), tmp_path / "records", None)
  out, arguments = tmp_path / "out", (tmp_path / "records", "mine", "val")
  export_records.export(*arguments, out)
  again = VideoReader(out / "a" / "b.mp4")
  assert [frame.time for frame in again] == [0, 0.25, 1, 1.5, 1.625]
  assert again.facts.seconds == 4
  assert record_files.contents(out).keys() == {"a/b.mp4", "videos.csv"}
  heading, row = read_table(out / "videos.csv")
  assert heading == ["video", "source", "frames", "seconds", "fps"]
  assert row == ["a/b", "a/b.mkv", "5", "4.0", "2.462"]


def test_frames_that_all_lack_a_phase_have_a_table(tmp_path):
  jpegs = [record_files.jpeg(0, t) for t in range(2)]
  record_files.write(tmp_path, [[record_files.bare(jpegs, [-1, -1])]])
  export_records.export(tmp_path, "toy", "train", tmp_path / "out")
  assert read_table(tmp_path / "out" / "labels.csv")[1:] == [
    ["video0", "0.0", "0.08", "-1", ""]
  ]


def test_records_of_other_programs(tmp_path):
  jpegs = [record_files.jpeg(0, t) for t in range(3)]
  records = [record_files.bare(jpegs), record_files.bare(jpegs[:1], [4])]
  record_files.write(tmp_path, [records])
  out = tmp_path / "out"
  done = run_python(
    *(export_records.__file__, "--dataset=toy", f"--output_dir={out}"),
    f"--path_to_tfrecords={tmp_path}",
    cwd=tmp_path,
  )
  assert done.stdout == f"{out}: 2 videos, videos.csv, labels.csv\n"
  assert read_table(out / "videos.csv")[1:] == [
    ["video0", "", "3", "0.12", "25.0"],
    ["video1", "", "1", "0.04", ""],
  ]
  assert read_table(out / "labels.csv")[1:] == [
    ["video0", "0.0", "0.12", "-1", ""],
    ["video1", "0.0", "0.04", "4", "phase 4"],
  ]
  reader = VideoReader(out / "video1.mp4")
  assert len(list(reader)) == 1 and reader.facts.seconds == 0.04


@pytest.mark.parametrize("images", [False, True])
def test_files_are_replaced_only_if_wanted(images, tmp_path):
  write_records(tmp_path / "in", labels={"a": None, "a/b": None})
  out, arguments = tmp_path / "out", (tmp_path / "in", "toy", "train")
  first = "a/000000.jpg" if images else "a.mp4"
  (out / first).parent.mkdir(parents=True)
  (out / first).write_text("mine")
  left = out / "a" / "000009.jpg"
  left.parent.mkdir(exist_ok=True)
  left.write_text("of a longer video")
  before = record_files.contents(out)
  message = message_of(export_records.export, *arguments, out, images)
  assert message == (
    f"{out / first}: expected no such file yet, received one; give another"
    " --output_dir, or replace files with --overwrite"
  )
  assert record_files.contents(out) == before
  export_records.export(*arguments, out, images, overwrite=True)
  assert (out / first).stat().st_size > 100
  assert left.exists() == (not images)


@pytest.mark.parametrize(
  "names",
  [
    *(["../x"], ["a/../../x"], ["/tmp/x"], [".."], ["a//b"], ["a/"], ["."]),
    *(["two\nlines"], ["null\0"], ["twice", "twice"]),
  ],
)
@pytest.mark.parametrize("images", [False, True])
def test_names_that_are_no_paths_in_the_folder(names, images, tmp_path):
  jpegs = [record_files.jpeg(0, 0)]
  records = [record_files.sequence_example(x, jpegs) for x in ["a", *names]]
  record_files.write(tmp_path, [records])
  out = tmp_path / "deep" / "out"
  message = message_of(
    export_records.export, tmp_path, "toy", "train", out, images
  )
  assert message.endswith(
    f", video {names[0]!r}: expected a name of its own that is a path in the"
    f" output folder, such as kitchen/clip2, received {names[0]!r}; convert the"
    " videos again under such names"
  )
  assert not out.parent.exists()
