import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from core.errors import UserError
from data import dataset_info, examples, shard_files
from dataset_preparation import shards
from dataset_preparation.conversion import FrameEncoding, Source
from dataset_preparation.shards import ShardOptions, SplitPlan
from tests.helpers import video_files
from tests.helpers.paths import ROOT

STORING = FrameEncoding(size=(24, 16))
NUM_VIDEOS = 7


@pytest.fixture(scope="module")
def input_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("videos")
  for number in range(NUM_VIDEOS):
    video_files.make(
      folder / f"v{number}.mp4", num_frames=5 + number, seed=number
    )
  return folder


def sources(folder):
  paths = sorted(folder.glob("*.mp4"))
  return [Source(path.stem, path) for path in paths]


def write(folder, out, num_workers=1, storing=STORING, **writing):
  part = SplitPlan("mine_train", sources(folder))
  options = ShardOptions(files_per_shard=2, num_workers=num_workers, **writing)
  return shards.write([part], storing, out, options)["mine_train"]


def listing(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def expected(input_dir, tmp_path_factory):
  """What an uninterrupted run writes."""
  out = tmp_path_factory.mktemp("out")
  write(input_dir, out)
  return listing(out)


def test_order_and_bytes_do_not_depend_on_the_number_of_workers(
  tmp_path, input_dir, expected
):
  assert sorted(expected) == [
    "dataset.json",
    *(f"mine_train-{index}-of-4.tfrecord" for index in range(4)),
  ]
  for num_workers in (2, 3, 20):
    out = tmp_path / str(num_workers)
    written = write(input_dir, out, num_workers)
    assert listing(out) == expected
    assert [video["name"] for video in written.videos] == [
      f"v{i}" for i in range(7)
    ]


def test_the_report_of_each_video_is_stored(input_dir, expected):
  [train] = json.loads(expected["dataset.json"])["splits"].values()
  assert train["num_frames"] == sum(range(5, 12))
  digest = subprocess.run(
    ["sha256sum", input_dir / "v3.mp4"], capture_output=True, check=True
  ).stdout.decode()
  assert train["videos"][3] == {
    **{"name": "v3", "source": "v3.mp4", "sha256": digest.split()[0]},
    **{"num_frames": 8, "width": 24, "height": 16, "seconds": 0.7},
    **{"fps": 10.0, "phases": {}, "warnings": []},
  }


def script(input_dir, out, *flags):
  return [
    *(sys.executable, "-m", "dataset_preparation.videos_to_tfrecords"),
    *(f"--input_dir={input_dir}", f"--output_dir={out}", "--name=mine_train"),
    *("--width=24", "--height=16", "--files_per_shard=2", "--num_workers=2"),
    *flags,
  ]


def wait_for(path, process):
  deadline = time.monotonic() + 60
  while not path.exists():
    assert process.poll() is None
    assert time.monotonic() < deadline
    time.sleep(0.001)


def children_of(pid):
  done = subprocess.run(
    ["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True
  )
  return [int(line) for line in done.stdout.split()]


def is_running(pid):
  try:
    status = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except FileNotFoundError:
    return False
  return status.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def slow_dir(tmp_path_factory):
  """Videos of which the last one takes long enough to interrupt it."""
  folder = tmp_path_factory.mktemp("slow")
  for number in range(7):
    length = 8000 if number == 6 else 4
    video_files.make(folder / f"v{number}.mp4", num_frames=length)
  return folder


@pytest.fixture(scope="module")
def whole(slow_dir, tmp_path_factory):
  """What an uninterrupted run makes of them."""
  out = tmp_path_factory.mktemp("whole")
  write(slow_dir, out)
  return listing(out)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_goes_on_where_it_was(
  tmp_path, slow_dir, whole, how
):
  out = tmp_path / "out"
  work = out / ".mine_train.incomplete"
  command = script(slow_dir, out)
  process = subprocess.Popen(
    command, cwd=ROOT, stderr=subprocess.PIPE, text=True
  )
  wait_for(work / "2.json", process)
  workers = children_of(process.pid)
  process.send_signal(how)
  _, messages = process.communicate(timeout=30)
  assert process.returncode != 0
  if how == signal.SIGINT:
    assert messages.splitlines()[-1] == "error: interrupted"
  assert "Traceback" not in messages
  assert os.listdir(out) == [work.name]
  with pytest.raises(UserError, match="expected records, received none"):
    shard_files.list_record_files(str(out), "mine", "train")
  # Nobody is left who could write into the folder.
  deadline = time.monotonic() + 10
  while any(map(is_running, workers)):
    assert time.monotonic() < deadline
    time.sleep(0.01)
  assert not (work / "3.json").exists()

  inode = (work / "0.tfrecord").stat().st_ino
  subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
  assert listing(out) == whole
  assert (out / "mine_train-0-of-4.tfrecord").stat().st_ino == inode


def interrupted(input_dir, out, monkeypatch, name, calls, **writing):
  """Runs until a function is called the given number of times."""
  left = iter(range(calls))
  original = getattr(shards.os, name)

  def stop(*arguments):
    if next(left, None) is None:
      raise KeyboardInterrupt
    return original(*arguments)

  with monkeypatch.context() as patch:
    patch.setattr(shards.os, name, stop)
    with pytest.raises(KeyboardInterrupt):
      write(input_dir, out, **writing)


# What is renamed before shards get their names.
MADE = [f"{index}.{kind}" for index in range(4) for kind in ("record", "json")]


def test_records_never_mix_with_those_they_replace(
  tmp_path, input_dir, expected, monkeypatch
):
  write(input_dir, tmp_path, storing=FrameEncoding(size=(8, 8)))
  before = [*MADE, "publishing.json", "dataset.json"]
  interrupted(
    *(input_dir, tmp_path, monkeypatch, "replace", len(before) + 2),
    overwrite=True,
  )
  assert json.loads((tmp_path / "dataset.json").read_text())["splits"] == {}
  for index in range(2):
    name = f"mine_train-{index}-of-4.tfrecord"
    assert (tmp_path / name).read_bytes() == expected[name]
  with pytest.raises(UserError, match="received all but number 2, 3;"):
    shard_files.list_record_files(str(tmp_path), "mine", "train")
  write(input_dir, tmp_path)
  assert listing(tmp_path) == expected


def copied(input_dir, folder):
  folder.mkdir()
  for path in input_dir.iterdir():
    (folder / path.name).write_bytes(path.read_bytes())
  return folder


def test_more_sources_after_an_interruption_at_the_end(
  tmp_path, input_dir, monkeypatch
):
  folder, out = copied(input_dir, tmp_path / "in"), tmp_path / "out"
  interrupted(
    *(folder, out, monkeypatch, "replace", len(MADE) + len(["publishing"]) + 2)
  )
  assert len(list(out.glob("*.tfrecord"))) == 2
  for number in (7, 8):
    data = (input_dir / "v1.mp4").read_bytes()
    (folder / f"v{number}.mp4").write_bytes(data)
  assert write(folder, out).num_videos == 9
  write(folder, tmp_path / "at once")
  assert listing(out) == listing(tmp_path / "at once")


def test_records_that_vanish_after_an_interruption_are_made_again(
  tmp_path, input_dir, expected, monkeypatch
):
  calls = len(MADE) + len(["publishing"]) + 2
  interrupted(input_dir, tmp_path, monkeypatch, "replace", calls)
  (tmp_path / "mine_train-0-of-4.tfrecord").unlink()
  write(input_dir, tmp_path)
  assert listing(tmp_path) == expected


def test_records_that_vanish_at_the_end_are_told(
  tmp_path, input_dir, expected, monkeypatch
):
  original = os.replace

  def replace(source, target):
    original(source, target)
    if str(target).endswith("train-2-of-4.tfrecord"):
      os.unlink(target)

  with monkeypatch.context() as patch:
    patch.setattr(shards.os, "replace", replace)
    with pytest.raises(UserError) as error:
      write(input_dir, tmp_path)
  assert str(error.value) == (
    f"{tmp_path}/mine_train-2-of-4.tfrecord: vanished while it was written;"
    " leave the folder alone and start the same command again"
  )
  assert not (tmp_path / "dataset.json").exists()
  write(input_dir, tmp_path)
  assert listing(tmp_path) == expected


def test_unfinished_work_does_not_open_records_to_being_replaced(
  tmp_path, input_dir
):
  folder, out = copied(input_dir, tmp_path / "in"), tmp_path / "out"
  write(folder, out, storing=FrameEncoding(size=(8, 8)))
  before = listing(out)
  (folder / "v3.mp4").write_bytes(b"no video")
  with pytest.raises(UserError, match=r"v3\.mp4: "):
    write(folder, out, overwrite=True)
  (folder / "v3.mp4").write_bytes((input_dir / "v3.mp4").read_bytes())
  assert (out / ".mine_train.incomplete" / "0.json").exists()
  with pytest.raises(UserError, match="exists already; give --overwrite"):
    write(folder, out)
  shutil.rmtree(out / ".mine_train.incomplete")
  assert listing(out) == before


def test_nothing_is_replaced_before_every_split_has_videos(tmp_path, input_dir):
  out = tmp_path / "out"
  write(input_dir, out)
  before = listing(out)
  (tmp_path / "v0.mp4").write_bytes(b"no video")
  parts = [
    SplitPlan("mine_train", sources(input_dir)[:1]),
    SplitPlan("mine_val", sources(tmp_path)),
  ]
  options = ShardOptions(num_workers=1, overwrite=True, skip_broken=True)
  with pytest.raises(UserError, match="mine_val: none of 1 videos could be"):
    shards.write(parts, STORING, out, options)
  for work in out.glob(".*"):
    shutil.rmtree(work)
  assert listing(out) == before


CONVERT = shards.conversion.convert


def wait_until_done(record):
  """Waits until another worker has converted what becomes this record."""
  deadline = time.monotonic() + 60
  while not record.exists() or shards.conversion.spool(record).exists():
    assert time.monotonic() < deadline
    time.sleep(0.01)


def convert_and_change(source, storing, target):
  """Changes v3 when the other worker has read it, before v0 is done."""
  report = CONVERT(source, storing, target)
  if source.name == "v0":
    wait_until_done(target.with_name("4.record"))
    other = source.path.with_name("v1.mp4")
    source.path.with_name("v3.mp4").write_bytes(other.read_bytes())
  return report


def test_a_source_that_changes_meanwhile_is_converted_again(
  tmp_path, input_dir, monkeypatch
):
  folder, out = copied(input_dir, tmp_path / "in"), tmp_path / "out"
  (folder / "v6.mp4").write_bytes(b"no video")
  with monkeypatch.context() as patch:
    patch.setattr(shards.conversion, "convert", convert_and_change)
    with pytest.raises(UserError, match=r"v6\.mp4: "):
      write(folder, out, num_workers=2)
  assert (out / ".mine_train.incomplete" / "1.json").exists()
  (folder / "v6.mp4").write_bytes((input_dir / "v6.mp4").read_bytes())
  write(folder, out)
  write(folder, tmp_path / "at once")
  assert listing(out) == listing(tmp_path / "at once")


def test_changed_sources_are_converted_again(
  tmp_path, input_dir, expected, monkeypatch
):
  folder, out = copied(input_dir, tmp_path / "in"), tmp_path / "out"
  (folder / "v3.mp4").write_bytes(b"no video")
  with pytest.raises(UserError, match=r"v3\.mp4: "):
    write(folder, out)
  assert sorted(os.listdir(out / ".mine_train.incomplete")) == [
    *("0.json", "0.tfrecord")
  ]
  (folder / "v3.mp4").write_bytes((input_dir / "v3.mp4").read_bytes())
  (folder / "v0.mp4").write_bytes((input_dir / "v1.mp4").read_bytes())
  write(folder, out)
  found = listing(out)
  for name in ("mine_train-1-of-4.tfrecord", "mine_train-3-of-4.tfrecord"):
    assert found[name] == expected[name]
  assert (
    found["mine_train-0-of-4.tfrecord"]
    != (expected["mine_train-0-of-4.tfrecord"])
  )


def test_records_that_exist_are_kept(tmp_path, input_dir, expected):
  write(input_dir, tmp_path)
  with pytest.raises(UserError) as error:
    write(input_dir, tmp_path)
  assert str(error.value) == (
    f"{tmp_path}/mine_train-0-of-4.tfrecord: exists already; give --overwrite"
    " to replace mine_train, or another --name or --output_dir"
  )
  write(input_dir, tmp_path, overwrite=True)
  assert listing(tmp_path) == expected


def test_two_at_once_are_refused(tmp_path, input_dir, monkeypatch):
  attempts = []

  def convert(*arguments):
    try:
      write(input_dir, tmp_path)
    except UserError as error:
      attempts.append(str(error))
    raise UserError("enough")

  monkeypatch.setattr(shards.conversion, "convert", convert)
  with pytest.raises(UserError, match="enough"):
    write(input_dir, tmp_path)
  assert attempts == [
    f"{tmp_path}/.mine_train.incomplete: another process is converting"
    " mine_train; wait for it"
  ]
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_broken_videos_are_left_out_if_asked_for(
  tmp_path, input_dir, num_workers
):
  folder, out = tmp_path / "in", tmp_path / "out"
  folder.mkdir()
  for number in (1, 2, 4):
    data = (input_dir / f"v{number}.mp4").read_bytes()
    (folder / f"v{number}.mp4").write_bytes(data)
  (folder / "v0.mp4").touch()
  (folder / "v3.mp4").write_text("no video")
  written = write(folder, out, num_workers, skip_broken=True)
  assert [video["name"] for video in written.videos] == ["v1", "v2", "v4"]
  assert [skipped["name"] for skipped in written.skipped] == ["v0", "v3"]
  assert (
    f"{folder / 'v3.mp4'}: can't be decoded" in written.skipped[1]["reason"]
  )
  assert (
    dataset_info.load_dataset_info(str(out), "mine").splits["train"].num_videos
    == 3
  )

  done = subprocess.run(
    script(folder, tmp_path / "again", "--on_error=skip"),
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert f"  skipped v0: {folder / 'v0.mp4'}: can't be" in done.stdout
  assert listing(tmp_path / "again") == listing(out)
  done = subprocess.run(
    script(folder, tmp_path / "stop"),
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  last = done.stderr.splitlines()[-1]
  assert last.startswith(f"error: {folder / 'v0.mp4'}: can't be decoded")
  assert not os.listdir(tmp_path / "stop")


def test_nothing_but_broken_videos(tmp_path):
  (tmp_path / "v0.mp4").touch()
  with pytest.raises(UserError) as error:
    write(tmp_path, tmp_path / "out", skip_broken=True)
  assert str(error.value).startswith(
    "mine_train: none of 1 videos could be converted; the first: "
  )


def die(*_):
  os._exit(9)


def die_in_v5(source, storing, target):
  """Ends as a bug in a decoder does, when all others are done."""
  if source.name == "v5":
    wait_until_done(target.with_name("6.record"))
    shards.conversion.videos.read = lambda path: os.kill(
      os.getpid(), signal.SIGSEGV
    )
  return CONVERT(source, storing, target)


@pytest.mark.parametrize(
  ("convert", "named"), [(die, "a video"), (die_in_v5, "{}/v5.mp4")]
)
def test_a_worker_that_is_killed_is_told(
  tmp_path, monkeypatch, input_dir, convert, named
):
  monkeypatch.setattr(shards.conversion, "convert", convert)
  with pytest.raises(UserError) as error:
    write(input_dir, tmp_path, num_workers=2, skip_broken=True)
  assert str(error.value) == (
    f"{named.format(input_dir)}: the process that converted it crashed or was"
    " killed, perhaps for want of memory; leave the video out, or try fewer"
    " --num_workers"
  )


def die_in_v1(source, storing, target):
  if source.name == "v1":
    wait_until_done(target.with_name("0.record"))
    os._exit(9)
  return CONVERT(source, storing, target)


def test_a_worker_that_is_killed_while_more_is_handed_out(
  tmp_path, monkeypatch, input_dir
):
  monkeypatch.setattr(shards.conversion, "convert", die_in_v1)
  original = shards._move_content

  def when_all_are_gone(*arguments):
    deadline = time.monotonic() + 60
    while multiprocessing.active_children():
      assert time.monotonic() < deadline
      time.sleep(0.01)
    original(*arguments)

  monkeypatch.setattr(shards, "_move_content", when_all_are_gone)
  with pytest.raises(UserError, match="crashed or was killed"):
    write(input_dir, tmp_path, num_workers=2)


def test_workers_do_without_tensorflow():
  code = (
    "import sys; from dataset_preparation import videos_to_tfrecords;"
    " sys.exit('tensorflow' in sys.modules)"
  )
  done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
  assert done.returncode == 0


def test_videos_too_long_for_a_record_are_named_and_left_out(
  tmp_path, input_dir, expected, monkeypatch
):
  shard = len(expected["mine_train-3-of-4.tfrecord"])  # Of v6 alone.
  monkeypatch.setattr(examples, "MAX_BYTES", shard - 100)
  with pytest.raises(UserError) as error:
    write(input_dir, tmp_path / "stop")
  assert str(error.value).startswith(f"{input_dir}/v6.mp4: is too long for one")
  assert str(error.value).endswith(
    "GiB, enough for 10 of its frames; cut the video into several, or give a"
    " lower --fps, smaller frames or a lower --jpeg_quality"
  )
  written = write(input_dir, tmp_path / "skip", skip_broken=True)
  assert [skipped["name"] for skipped in written.skipped] == ["v6"]
  assert not list(tmp_path.glob("**/*.jpegs"))


def test_skipping_goes_on_where_a_broken_video_stopped(
  tmp_path, input_dir, expected
):
  folder, out = copied(input_dir, tmp_path / "in"), tmp_path / "out"
  (folder / "v5.mp4").write_bytes(b"no video")
  with pytest.raises(UserError, match=r"v5\.mp4: "):
    write(folder, out)
  inode = (out / ".mine_train.incomplete/0.tfrecord").stat().st_ino
  written = write(folder, out, skip_broken=True)
  assert [skipped["name"] for skipped in written.skipped] == ["v5"]
  assert (out / "mine_train-0-of-4.tfrecord").stat().st_ino == inode


def test_without_skipping_what_was_skipped_is_tried_again(
  tmp_path, input_dir, expected, monkeypatch
):
  folder = copied(input_dir, tmp_path / "in")
  (folder / "v1.mp4").write_bytes(b"no video")
  out = tmp_path / "out"
  interrupted(folder, out, monkeypatch, "replace", 4, skip_broken=True)
  assert (out / ".mine_train.incomplete/0.json").exists()
  with pytest.raises(UserError, match=r"v1\.mp4: "):
    write(folder, out)
