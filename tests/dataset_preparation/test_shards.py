import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from core.errors import UserError
from data import dataset_info, examples, shard_files
from dataset_preparation import shards, worker_pool
from dataset_preparation.conversion import Source
from dataset_preparation.shards import ShardOptions, SplitPlan
from media.frame_encoding import FrameEncoding
from tests.helpers import video_files
from tests.helpers.errors import message_of
from tests.helpers.paths import ROOT
from tests.helpers.processes import run_modules, run_python
from tests.helpers.record_files import contents

ENCODING = FrameEncoding(size=(24, 16))


@pytest.fixture(scope="module")
def input_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("videos")
  for number in range(7):
    path = folder / f"v{number}.mp4"
    video_files.make(path, num_frames=5 + number, seed=number)
  return folder


def sources(folder):
  return [Source(path.stem, path) for path in sorted(folder.glob("*.mp4"))]


def write(folder, out, num_workers=1, encoding=ENCODING, **options):
  plan = SplitPlan("mine_train", sources(folder))
  options = ShardOptions(files_per_shard=2, num_workers=num_workers, **options)
  return shards.write_splits([plan], encoding, out, options)["mine_train"]


def stamps(folder):
  """When the records in a folder were written."""
  return {path.stat().st_mtime_ns for path in folder.glob("[!.]*.tfrecord")}


def flags_for(input_dir, out):
  return [
    *(f"--input_dir={input_dir}", f"--output_dir={out}", "--name=mine_train"),
    *("--width=24", "--height=16", "--files_per_shard=2", "--num_workers=2"),
  ]


MODULE = "dataset_preparation.videos_to_tfrecords"


@pytest.fixture(scope="module")
def expected(input_dir, tmp_path_factory):
  """What an uninterrupted run writes."""
  out = tmp_path_factory.mktemp("out")
  write(input_dir, out)
  return contents(out)


@pytest.fixture
def broken_dir(input_dir, tmp_path):
  """A copy of the videos of which v5 is broken."""
  folder = shutil.copytree(input_dir, tmp_path / "in")
  (folder / "v5.mp4").write_bytes(b"no video")
  return folder


def repair(folder, input_dir, name="v5.mp4"):
  (folder / name).write_bytes((input_dir / name).read_bytes())


def assert_as_at_once(out, folder):
  write(folder, out.with_name("at once"))
  assert contents(out) == contents(out.with_name("at once"))


@pytest.fixture
def stopped(broken_dir, tmp_path):
  """The output folder, and that of unfinished work, after v5 stopped a run."""
  out = tmp_path / "out"
  with pytest.raises(UserError, match=r"v5\.mp4: "):
    write(broken_dir, out)
  return out, out / ".mine_train.incomplete"


def test_order_and_bytes_do_not_depend_on_the_number_of_workers(
  tmp_path, input_dir, expected
):
  assert sorted(expected) == [
    "dataset.json",
    *(f"mine_train-{index}-of-4.tfrecord" for index in range(4)),
  ]
  written = write(input_dir, tmp_path, num_workers=20)
  assert contents(tmp_path) == expected
  names = [video["name"] for video in written.videos]
  assert names == [f"v{i}" for i in range(7)]


def test_the_report_of_each_video_is_stored(input_dir, expected):
  [train] = json.loads(expected["dataset.json"])["splits"].values()
  assert train["num_frames"] == sum(range(5, 12))
  digest = hashlib.sha256((input_dir / "v3.mp4").read_bytes()).hexdigest()
  assert train["encoding"]["size"] == [24, 16]
  facts = train["videos"][3].pop("facts")
  assert (facts["codec"], facts["width"], facts["height"]) == ("h264", 96, 64)
  assert (facts["lost"], facts["notes"], facts["stream"]) == (0, [], "")
  assert (facts["num_frames"], facts["seconds"]) == (8, 0.8)
  assert train["videos"][3] == {
    **{"name": "v3", "source": "v3.mp4", "sha256": digest},
    **{"num_frames": 8, "width": 24, "height": 16, "seconds": 0.7},
    **{"fps": 10.0, "phases": {}, "warnings": []},
  }


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_an_interrupted_run_goes_on_where_it_was(
  tmp_path, input_dir, expected, how
):
  folder, out = shutil.copytree(input_dir, tmp_path / "in"), tmp_path / "out"
  (folder / "v6.mp4").unlink()
  os.mkfifo(folder / "v6.mp4")  # Keeps its worker waiting.
  work = out / ".mine_train.incomplete"
  command = [sys.executable, "-m", MODULE, *flags_for(folder, out)]
  with subprocess.Popen(
    command, cwd=ROOT, stderr=subprocess.PIPE, text=True
  ) as process:
    assert any("3 of 4 shards done" in line for line in process.stderr)
    process.send_signal(getattr(signal, how))
    # The workers hold the pipe as well: its end is the end of all of them.
    messages = process.stderr.read()
  assert process.returncode != 0
  if how == "SIGINT":
    assert messages.splitlines()[-1] == "error: interrupted"
  assert "Traceback" not in messages
  # The lock of a process that was killed stays, and is nobody's.
  assert set(os.listdir(out)) - {".mine_train.lock"} == {work.name}
  with pytest.raises(UserError, match="expected records, received none"):
    shard_files.list_record_files(str(out), "mine", "train")

  (folder / "v6.mp4").unlink()
  repair(folder, input_dir, "v6.mp4")
  times = stamps(work)
  assert len(times) == 3
  write(folder, out, num_workers=2)
  assert contents(out) == expected
  assert times < stamps(out)


def interrupt(input_dir, out, monkeypatch, before, **options):
  """Run until a file is about to be renamed to one that ends so."""
  original = os.replace

  def stop(source, target):
    if str(target).endswith(before):
      raise KeyboardInterrupt
    original(source, target)

  with monkeypatch.context() as patch:
    patch.setattr(shards.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
      write(input_dir, out, **options)


THIRD = "mine_train-2-of-4.tfrecord"


def test_records_never_mix_with_those_they_replace(
  tmp_path, input_dir, expected, monkeypatch
):
  write(input_dir, tmp_path, encoding=FrameEncoding(size=(8, 8)))
  interrupt(input_dir, tmp_path, monkeypatch, THIRD, overwrite=True)
  assert json.loads((tmp_path / "dataset.json").read_text())["splits"] == {}
  for index in range(2):
    name = f"mine_train-{index}-of-4.tfrecord"
    assert (tmp_path / name).read_bytes() == expected[name]
  with pytest.raises(UserError, match="received all but number 2, 3;"):
    shard_files.list_record_files(str(tmp_path), "mine", "train")
  write(input_dir, tmp_path)
  assert contents(tmp_path) == expected


@pytest.mark.parametrize("change", ["more sources", "a record is removed"])
def test_changes_after_an_interruption_at_the_end(
  tmp_path, input_dir, broken_dir, monkeypatch, change
):
  out = tmp_path / "out"
  repair(broken_dir, input_dir)
  interrupt(broken_dir, out, monkeypatch, THIRD)
  assert len(list(out.glob("*.tfrecord"))) == 2
  if change == "more sources":
    for number in (7, 8):
      shutil.copy(input_dir / "v1.mp4", broken_dir / f"v{number}.mp4")
  else:
    (out / "mine_train-0-of-4.tfrecord").unlink()
  assert write(broken_dir, out).num_videos == len(os.listdir(broken_dir))
  assert_as_at_once(out, broken_dir)


def test_unfinished_work_does_not_open_records_to_being_replaced(
  tmp_path, input_dir, broken_dir
):
  out = tmp_path / "out"
  write(input_dir, out, encoding=FrameEncoding(size=(8, 8)))
  before = contents(out)
  with pytest.raises(UserError, match=r"v5\.mp4: "):
    write(broken_dir, out, overwrite=True)
  repair(broken_dir, input_dir)
  work = out / ".mine_train.incomplete"
  assert len(list(work.glob("*.json"))) == 2
  with pytest.raises(UserError, match="give --overwrite"):
    write(broken_dir, out)
  shutil.rmtree(work)
  assert contents(out) == before


def test_nothing_is_replaced_before_every_split_has_videos(tmp_path, input_dir):
  out = tmp_path / "out"
  write(input_dir, out)
  before = contents(out)
  (tmp_path / "v0.mp4").write_bytes(b"no video")
  plans = [SplitPlan("mine_train", sources(input_dir)[:1])]
  plans.append(SplitPlan("mine_val", sources(tmp_path)))
  options = ShardOptions(num_workers=1, overwrite=True, skip_broken=True)
  message = message_of(shards.write_splits, plans, ENCODING, out, options)
  assert message.startswith(
    "mine_val: expected at least one video, received none of 1 whole; the"
    f" first: {tmp_path}/v0.mp4: expected a whole video file"
  )
  for work in out.glob(".*"):
    shutil.rmtree(work)
  assert contents(out) == before


def test_a_source_that_changes_meanwhile_is_converted_again(
  tmp_path, input_dir, broken_dir, monkeypatch
):
  original = worker_pool.conversion.convert

  def convert_and_change(source, encoding, target):
    if source.name == "v0":
      shutil.copy(input_dir / "v1.mp4", source.path.with_name("v3.mp4"))
    return original(source, encoding, target)

  out = tmp_path / "out"
  with monkeypatch.context() as patch:
    patch.setattr(worker_pool.conversion, "convert", convert_and_change)
    with pytest.raises(UserError, match=r"v5\.mp4: "):
      write(broken_dir, out)
  repair(broken_dir, input_dir)
  write(broken_dir, out)
  assert_as_at_once(out, broken_dir)


def test_shards_of_changed_sources_are_made_again(
  input_dir, broken_dir, expected, stopped
):
  out, work = stopped
  kinds = [path.suffix for path in work.iterdir() if path.name != "lock"]
  assert sorted(kinds) == [".json", ".json", ".tfrecord", ".tfrecord"]
  times = stamps(work)
  repair(broken_dir, input_dir)
  shutil.copy(input_dir / "v1.mp4", broken_dir / "v0.mp4")
  write(broken_dir, out)
  found = contents(out)
  same = {name for name in expected if found[name] == expected[name]}
  assert same == {f"mine_train-{index}-of-4.tfrecord" for index in (1, 2, 3)}
  kept = times & stamps(out)
  assert kept == {(out / "mine_train-1-of-4.tfrecord").stat().st_mtime_ns}


def test_records_that_exist_are_kept(tmp_path, input_dir, expected):
  write(input_dir, tmp_path)
  assert message_of(write, input_dir, tmp_path) == (
    f"{tmp_path}/mine_train-0-of-4.tfrecord: expected no records of mine_train,"
    " received some of an earlier conversion; give --overwrite to replace them,"
    " or another --name or --output_dir"
  )
  write(input_dir, tmp_path, overwrite=True)
  assert contents(tmp_path) == expected


def test_two_at_once_are_refused(tmp_path, input_dir, monkeypatch):
  def convert(*arguments):
    raise UserError(message_of(write, input_dir, tmp_path))

  monkeypatch.setattr(worker_pool.conversion, "convert", convert)
  assert message_of(write, input_dir, tmp_path) == (
    f"{tmp_path}/.mine_train.incomplete: expected one process to convert"
    " mine_train, received a second; wait for the first"
  )
  assert not os.listdir(tmp_path)


def test_broken_videos_are_left_out_if_asked_for(
  tmp_path, input_dir, broken_dir
):
  (broken_dir / "v0.mp4").write_bytes(b"")
  out = tmp_path / "out"
  written = write(broken_dir, out, skip_broken=True)
  assert [x["name"] for x in written.videos] == ["v1", "v2", "v3", "v4", "v6"]
  assert [x["name"] for x in written.skipped] == ["v0", "v5"]
  assert written.skipped[1]["reason"].startswith(
    f"{broken_dir / 'v5.mp4'}: expected a whole video file, received one that"
  )
  info = dataset_info.load_dataset_info(str(out), "mine")
  assert info.splits["train"].num_videos == 5
  flags = [
    [f"--on_error={x}", *flags_for(broken_dir, tmp_path / x)]
    for x in ("skip", "stop")
  ]
  done = run_modules(*(" ".join([MODULE, *each]) for each in flags))
  assert re.findall(r"ended with (\d+)", done.stderr) == ["2", "1"]
  assert f"  skipped v0: {broken_dir}/v0.mp4: expected" in done.stdout
  assert contents(tmp_path / "skip") == contents(out)
  assert f"error: {broken_dir}/v0.mp4: expected" in done.stderr
  assert not os.listdir(tmp_path / "stop")


def test_skipping_goes_on_where_a_broken_video_stopped(
  broken_dir, monkeypatch, stopped
):
  out, work = stopped
  times = stamps(work)
  assert len(times) == 2
  interrupt(broken_dir, out, monkeypatch, THIRD, skip_broken=True)
  # Without skipping, what was skipped is tried again.
  with pytest.raises(UserError, match=r"v5\.mp4: "):
    write(broken_dir, out)
  written = write(broken_dir, out, skip_broken=True)
  assert [skipped["name"] for skipped in written.skipped] == ["v5"]
  assert times < stamps(out)


def test_a_worker_that_is_killed_is_told(tmp_path, input_dir):
  folder = tmp_path / "in"
  folder.mkdir()
  shutil.copy(input_dir / "v0.mp4", folder)
  os.mkfifo(folder / "v1.mp4")
  list_children = worker_pool.multiprocessing.active_children
  others = set(list_children())

  def kill():
    # Opened as soon as a worker reads the video.
    with (folder / "v1.mp4").open("wb"):
      for worker in set(list_children()) - others:
        worker.kill()

  killer = threading.Thread(target=kill)
  killer.start()
  options = {"num_workers": 2, "skip_broken": True}
  message = message_of(write, folder, tmp_path / "out", **options)
  killer.join()
  video, _, rest = message.rpartition(": expected a worker")
  assert video.split(", ")[-1] == f"{folder}/v1.mp4"
  assert rest == (
    " process to convert it, received none, as one crashed or was killed,"
    " perhaps for want of memory; leave the video out, or try fewer"
    " --num_workers"
  )


def die(*_):
  os._exit(9)


def test_workers_that_are_killed_at_once_are_told(
  tmp_path, monkeypatch, input_dir
):
  monkeypatch.setattr(worker_pool, "_try_convert", die)
  with pytest.raises(UserError, match="^a video: expected a worker process"):
    write(input_dir, tmp_path, num_workers=2)


def test_workers_and_records_do_without_tensorflow():
  code = (
    "import sys\n"
    "from dataset_preparation import videos_to_tfrecords, visualize_tfrecords\n"
    "sys.exit('tensorflow' in sys.modules)"
  )
  assert run_python("-c", code).returncode == 0


def test_videos_too_long_for_a_record_are_named_and_left_out(
  tmp_path, input_dir, expected, monkeypatch
):
  shard = len(expected["mine_train-3-of-4.tfrecord"])  # Of v6 alone.
  monkeypatch.setattr(examples, "MAX_BYTES", shard - 100)
  [skipped] = write(input_dir, tmp_path, skip_broken=True).skipped
  begin, _, end = skipped["reason"].partition(" GiB")
  limit = f"{(shard - 100) / 2**30:.3g}"
  assert begin == f"{input_dir}/v6.mp4: expected at most {limit}"
  assert end == (
    " of frames, as a record holds, received more after 10 frames; cut the"
    " video into several, or give a lower --fps, smaller frames or a lower"
    " --jpeg_quality"
  )
  assert not list(tmp_path.glob("**/*.jpegs"))
