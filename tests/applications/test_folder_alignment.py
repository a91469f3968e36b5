import csv
import dataclasses
import os
import shutil

import numpy as np
import pytest

import config as configuration
import embeddings
from applications import folder_alignment
from applications.folder_alignment import Options, align_folder
from core.errors import UserError
from tests.helpers import tiny, video_files
from tests.helpers.processes import run_python

NUM_VIDEOS = 10


def draw_square(start, stop, num_frames):
  """Frames in which a square crosses the picture from left to right."""

  def draw(number, seed):
    image = np.full((video_files.HEIGHT, video_files.WIDTH, 3), 30, np.uint8)
    place = start + (stop - start) * number / (num_frames - 1)
    x = int(place * (video_files.WIDTH - 20))
    image[20:40, x : x + 20] = 220
    return image

  return draw


def make_clip(path, number):
  length = 20 + 3 * number
  draw = draw_square(0.02 * number, 1 - 0.01 * number, length)
  return video_files.make(path, num_frames=length, fps=10, draw=draw)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
  folder = tmp_path_factory.mktemp("clips")
  for number in range(NUM_VIDEOS):
    make_clip(folder / f"take {number}.mp4", number)
  (folder / "notes.txt").write_text("of Tuesday")
  return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory):
  """Options for a network that trains in seconds."""
  folder = tmp_path_factory.mktemp("config")
  config = tiny.config("MODEL.TRAIN_BASE=frozen", "TRAIN.BATCH_SIZE=2")
  configuration.save(config, folder)
  return Options(minutes=1, config=folder / "config.yml")


@pytest.fixture(scope="module")
def aligned(clips, options, tmp_path_factory):
  """The output of the command, and what it printed."""
  folder = tmp_path_factory.mktemp("output") / "aligned"
  words = [f"--input_dir={clips}", f"--output_dir={folder}", "--minutes=1"]
  words += [f"--config={options.config}", "--set=CHECKPOINT.SAVE_INTERVAL=7"]
  done = run_python("-m", "applications.align_folder", *words)
  assert not done.returncode, done.stderr
  return folder, done.stdout


def read_table(path):
  with path.open(newline="", encoding="utf-8") as file:
    return list(csv.DictReader(file))


def test_all_that_the_command_promises_is_written(aligned):
  folder, printed = aligned
  found = {path.name for path in folder.iterdir()}
  written = {"index.html", "aligned.mp4", "frames.csv", "embeddings.npy"}
  assert found >= {*written, "result.txt", "plan.yml", "logs", "records"}
  text = (folder / "result.txt").read_text("utf-8")
  assert "2 held-out videos" in text
  assert "Left out notes.txt" in text
  assert text in printed
  assert f"Open {folder / 'index.html'}" in printed
  config = configuration.load_run(folder / "logs")
  assert config.DATASETS == ["videos"]
  assert config.CHECKPOINT.SAVE_INTERVAL == 7


def test_the_table_has_the_nearest_frame_of_the_reference(aligned):
  folder, _ = aligned
  videos = embeddings.load(folder / "embeddings.npy")
  table = read_table(folder / "frames.csv")
  [reference] = {row["reference_video"] for row in table}
  assert (
    f"The others follow {reference}," in (folder / "result.txt").read_text()
  )
  reference = videos["names"].index(reference)
  assert len(table) == sum(map(len, videos["embs"]))
  target = videos["embs"][reference].astype(np.float64)
  # How many of the 10 frames a second are kept depends on the machine.
  all_times = videos["times"]
  tenths = np.concatenate(all_times) * 10
  np.testing.assert_allclose(tenths, tenths.round(), atol=0.01)
  rows = iter(table)
  for number, (name, embs) in enumerate(
    zip(videos["names"], videos["embs"], strict=True)
  ):
    for frame, embedding in enumerate(embs.astype(np.float64)):
      row = next(rows)
      distances = np.linalg.norm(target - embedding, axis=1)
      match = frame if number == reference else int(distances.argmin())
      assert (row["video"], int(row["frame"])) == (name, frame)
      time = all_times[number][frame]
      assert float(row["time"]) == pytest.approx(time, abs=1e-3)
      assert int(row["reference_frame"]) == match
      time = all_times[reference][match]
      assert float(row["reference_time"]) == pytest.approx(time, abs=1e-3)
      assert float(row["distance"]) == pytest.approx(
        distances[match], rel=1e-4, abs=1e-5
      )


class InterruptedError(Exception):
  """Stands for whatever ends a process."""


@pytest.mark.slow
def test_interrupted_at_each_stage_it_comes_to_the_same(
  aligned, clips, options, tmp_path, monkeypatch
):
  expected, _ = aligned
  for place in ("_plan", "_train", "_embed", "judge"):
    function = getattr(folder_alignment, place)

    def interrupt(*arguments, function=function):
      function(*arguments)
      raise InterruptedError

    with monkeypatch.context() as patch:
      patch.setattr(folder_alignment, place, interrupt)
      with pytest.raises(InterruptedError):
        align_folder(clips, tmp_path, options)
    if place == "_plan":  # Which depends on the speed that is measured.
      assert (tmp_path / "plan.yml").exists()
      shutil.copy(expected / "plan.yml", tmp_path)
  align_folder(clips, tmp_path, options)
  found, videos = (
    embeddings.load_many(folder / "embeddings.npy").videos
    for folder in (tmp_path, expected)
  )
  for one, other in zip(found, videos, strict=True):
    assert one.name == other.name
    np.testing.assert_allclose(one.embs, other.embs, rtol=1e-3, atol=1e-4)
  plans = [(x / "plan.yml").read_bytes() for x in (tmp_path, expected)]
  assert plans[0] == plans[1]


def test_a_trained_run_takes_the_clip_of_the_next_day(aligned, clips, tmp_path):
  folder, _ = aligned
  (tmp_path / "new").mkdir()
  make_clip(tmp_path / "new" / "tomorrow.mp4", 4)
  run = folder / "logs"
  with pytest.raises(UserError, match="--reference_video"):
    align_folder(tmp_path / "new", tmp_path / "out", Options(logdir=run))
  reference = str(clips / "take 2.mp4")
  with_reference = Options(logdir=run, reference_video=reference)
  align_folder(tmp_path / "new", tmp_path / "out", with_reference)
  table = read_table(tmp_path / "out" / "frames.csv")
  assert {row["video"] for row in table} == {"tomorrow", "take 2"}
  before = embeddings.load(folder / "embeddings.npy")
  after = embeddings.load(tmp_path / "out" / "embeddings.npy")
  rows = [lists["names"].index("take 2") for lists in (before, after)]
  old, new = before["embs"][rows[0]], after["embs"][rows[1]]
  np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-5)
  assert not (tmp_path / "out" / "logs").exists()


def test_labels_may_come_later_and_be_corrected(aligned, clips, tmp_path):
  (tmp_path / "new").mkdir()
  for number in (2, 3):
    shutil.copy(clips / f"take {number}.mp4", tmp_path / "new")
  table, out = tmp_path / "labels.csv", tmp_path / "out"
  options = Options(logdir=aligned[0] / "logs")
  align_folder(tmp_path / "new", out, options)
  options = dataclasses.replace(options, label_file=table)
  for end, middle in ((99, 1), (2, 1), (2, 0.5)):
    rows = f"take 2,0,{middle},reach\ntake 2,{middle},{end},pour\n"
    table.write_text(f"video,start,end,phase\n{rows}")
    # Also if it was written before the records were.
    os.utime(table, (0, 0))
    if end == 99:  # Beyond the end of the video.
      with pytest.raises(UserError, match=f"^{table}: video 'take 2', row 3"):
        align_folder(tmp_path / "new", out, options)
      continue
    align_folder(tmp_path / "new", out, options)
    found = embeddings.load_many(out / "embeddings.npy")
    first, second = found.videos
    assert found.class_names == ("reach", "pour")
    expected = (first.times >= middle - 0.01).astype(int)
    assert first.labels.tolist() == expected.tolist()
    assert set(second.labels) == {-1}


@pytest.mark.slow
def test_clips_that_come_later_are_aligned_too(aligned, clips, tmp_path):
  new, out = tmp_path / "new", tmp_path / "out"
  new.mkdir()
  options = Options(logdir=aligned[0] / "logs")
  for numbers in ((2, 3), (3, 4, 5)):
    shutil.rmtree(new)
    new.mkdir()
    names = [f"take {number}" for number in numbers]
    for name in names:
      shutil.copy(clips / f"{name}.mp4", new)
    align_folder(new, out, options)
    assert embeddings.load(out / "embeddings.npy")["names"] == names
  # Its features are of this output, not of the one with the run.
  assert (out / "cache").is_dir()
  # A reference of another folder does not take the place of a clip.
  other = tmp_path / "take 3.mp4"
  shutil.copy(clips / "take 7.mp4", other)
  align_folder(new, out, dataclasses.replace(options, reference_video=other))
  table = read_table(out / "frames.csv")
  assert {row["video"] for row in table} == {*names, "take 3 (reference)"}
  assert {row["reference_video"] for row in table} == {"take 3 (reference)"}
  # One that is in the folder is no further video.
  inside = dataclasses.replace(options, reference_video=new / "take 4.mp4")
  align_folder(new, out, inside)
  assert {row["video"] for row in read_table(out / "frames.csv")} == {*names}


def test_videos_that_break_off_are_left_out(aligned, clips, tmp_path):
  new, out = tmp_path / "new", tmp_path / "out"
  new.mkdir()
  shutil.copy(clips / "take 2.mp4", new)
  shutil.copy(clips / "take 3.mp4", new)
  path = make_clip(new / "cut.mkv", 12)
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) * 4 // 5])
  # Labels that lie beside the videos have nothing to do with it.
  for name in ("cut", "take 3"):
    rows = f"video,start,end,phase\n{name},0,1,reach\n"
    (new / f"{name}.csv").write_text(rows)
  options = Options(logdir=aligned[0] / "logs", label_file=new)
  (out / "records").mkdir(parents=True)
  (out / "records" / "mine.txt").write_text("of someone else")
  align_folder(new, out, options)
  assert (out / "records" / "mine.txt").exists()
  assert "Left out cut: " in (out / "result.txt").read_text("utf-8")
  broken = dataclasses.replace(options, reference_video="cut")
  with pytest.raises(UserError, match="^--reference_video: .*cut.mkv"):
    align_folder(new, out, broken)
  (new / "take 3.mp4").unlink()
  (new / "take 3.csv").unlink()
  with pytest.raises(UserError, match="at least two videos, received take 2"):
    align_folder(new, out, options)


@pytest.mark.slow
def test_a_folder_that_was_moved_is_used_as_it_is(
  aligned, clips, options, tmp_path
):
  moved = tmp_path / "moved"
  shutil.copytree(aligned[0], moved)
  table = tmp_path / "labels.csv"
  table.write_text("video,start,end,phase\ntake 2,0,2,reach\n")
  # First for a few clips, with the run that is in it.
  (tmp_path / "few").mkdir()
  for number in (2, 3):
    shutil.copy(clips / f"take {number}.mp4", tmp_path / "few")
  align_folder(tmp_path / "few", moved, Options(logdir=moved / "logs"))
  align_folder(clips, moved, dataclasses.replace(options, label_file=table))
  before, after = (
    embeddings.load_many(folder / "embeddings.npy")
    for folder in (aligned[0], moved)
  )
  assert (before.class_names, after.class_names) == ((), ("reach",))
  for one, other in zip(before.videos, after.videos, strict=True):
    np.testing.assert_allclose(one.embs, other.embs, rtol=1e-4, atol=1e-5)
    assert set(other.labels) == {0 if other.name == "take 2" else -1}


def test_files_are_found_by_their_embeddings(aligned, clips):
  videos = embeddings.load(aligned[0] / "embeddings.npy")
  expected = [str(clips / f"{name}.mp4") for name in videos["names"]]
  assert videos["sources"] == expected


def test_what_cannot_work_is_said_at_once(clips, tmp_path, options):
  with pytest.raises(UserError, match="^--output_dir: "):
    align_folder(clips, clips / "out", options)
  with pytest.raises(UserError, match="^--reference_video: "):
    align_folder(clips, tmp_path, Options(reference_video="nobody"))
  (tmp_path / "one").mkdir()
  make_clip(tmp_path / "one" / "a.mp4", 0)
  with pytest.raises(UserError, match="at least two videos, received a"):
    align_folder(tmp_path / "one", tmp_path / "out", options)
