import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
import video_files

import dataset_info
import videos
from dataset_preparation import records, videos_to_tfrecords
from dataset_preparation.videos_to_tfrecords import convert, find_videos
from errors import UserError

CHECKOUT = pathlib.Path(videos.__file__).parent
SCRIPT = CHECKOUT / "dataset_preparation" / "videos_to_tfrecords.py"
DOWNLOAD = CHECKOUT / "dataset_preparation" / "download_pouring_data.sh"


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


@pytest.fixture
def label_file(tmp_path):
  path = tmp_path / "labels.json"
  thirds = {"ann": {"0": [0, 5e5], "1": [5e5, 1e6], "2": [1e6, 1e6]}}
  path.write_text(
    json.dumps(
      {
        "Clip1": {"ann": {"0": [0, 5e5], "1": [5e5, 1e6], "2": [1e6, 2e6]}},
        "clip2": {
          "ann": {"0": [0, 8e5], "1": [12e5, 14e5], "2": [16e5, 3e6]},
          "ben": {"0": [0, 10e5], "1": [14e5, 16e5], "2": [18e5, 3e6]},
        },
        "clip10": thirds,
      }
    )
  )
  return path


def read_records(paths):
  """Parses record files with protobuf alone."""
  found = []
  for record in tf.data.TFRecordDataset([str(path) for path in paths]):
    example = tf.train.SequenceExample.FromString(record.numpy())
    context = example.context.feature
    lists = example.feature_lists.feature_list
    found.append(
      {
        "name": context["name"].bytes_list.value[0].decode(),
        "len": context["len"].int64_list.value[0],
        "label": context["label"].int64_list.value[0],
        "video": [
          cv2.imdecode(
            np.frombuffer(f.bytes_list.value[0], np.uint8), cv2.IMREAD_COLOR
          )[..., ::-1]
          for f in lists["video"].feature
        ],
        "frame_labels": [
          f.int64_list.value[0] for f in lists["frame_labels"].feature
        ]
        if "frame_labels" in lists
        else None,
      }
    )
  return found


def listing(folder):
  """Names and bytes of all files, those that start with a dot too."""
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_unlabeled_videos(tmp_path, input_dir):
  info = convert(input_dir, "mine_train", tmp_path, size=(40, 30))
  assert sorted(os.listdir(tmp_path)) == [
    "dataset.json",
    "mine_train-0-of-1.tfrecord",
  ]
  found = read_records([tmp_path / "mine_train-0-of-1.tfrecord"])
  assert [video["name"] for video in found] == ["Clip1", "clip2", "clip10"]
  assert [video["len"] for video in found] == [20, 30, 12]
  for video in found:
    assert video["label"] == -1
    assert video["frame_labels"] is None
    assert len(video["video"]) == video["len"]
    for image in video["video"]:
      assert image.shape == (30, 40, 3)
      assert video_files.colours(image) == video_files.QUARTERS
  assert info == dataset_info.SplitInfo(3, 62, 10.0)
  assert dataset_info.read(str(tmp_path), "mine") == dataset_info.DatasetInfo(
    (), {"train": info}
  )


def test_labeled_videos(tmp_path, input_dir, label_file):
  out = tmp_path / "out"
  convert(
    input_dir, "mine_val", out, label_file=label_file, expected_segments=3
  )
  found = {v["name"]: v for v in read_records(out.glob("*.tfrecord"))}
  assert found["Clip1"]["frame_labels"] == [0] * 5 + [1] * 5 + [2] * 10
  # Means: [0, .9], [1.3, 1.5], [1.7, 3]; middles: 1.1 and 1.6.
  assert found["clip2"]["frame_labels"] == [0] * 11 + [1] * 5 + [2] * 14
  # The last segment holds no instant; the frames after it stay with the one
  # before.
  assert found["clip10"]["frame_labels"] == [0] * 5 + [1] * 7
  info = dataset_info.read(str(out), "mine")
  assert info.class_names == ("phase 0", "phase 1", "phase 2")


def test_labels_can_be_left_out(tmp_path, input_dir, label_file):
  out = tmp_path / "out"
  convert(
    *(input_dir, "mine_val", out),
    label_file=label_file,
    frame_labels=False,
    action_label=4,
    size=None,
  )
  for video in read_records(out.glob("*.tfrecord")):
    assert video["frame_labels"] is None
    assert video["label"] == 4
    sides = (video_files.HEIGHT, video_files.WIDTH, 3)
    assert video["video"][0].shape == sides


def test_shards_splits_and_stale_shards(tmp_path, input_dir, label_file):
  out = tmp_path / "out"
  convert(input_dir, "mine_train", out, files_per_shard=2)
  convert(input_dir, "mine_val", out, files_per_shard=1, label_file=label_file)
  convert(input_dir, "mine_val_extra", tmp_path / "extra")
  train = dataset_info.record_paths(str(out), "mine", "train")
  val = dataset_info.record_paths(str(out), "mine", "val")
  assert [len(read_records([path])) for path in train] == [2, 1]
  assert [read_records([path])[0]["name"] for path in val] == [
    *("Clip1", "clip2", "clip10")
  ]
  assert set(dataset_info.read(str(out), "mine").splits) == {"train", "val"}
  before = listing(out)

  convert(input_dir, "mine_train", out, file_pattern=["*2.mp4"])
  after = listing(out)
  assert set(before) - set(after) == {
    *("mine_train-0-of-2.tfrecord", "mine_train-1-of-2.tfrecord")
  }
  assert set(after) - set(before) == {"mine_train-0-of-1.tfrecord"}
  info = dataset_info.read(str(out), "mine")
  assert info.splits["train"].num_videos == 1
  assert info.splits["val"].num_videos == 3
  assert len(info.class_names) == 3


def test_the_same_input_gives_the_same_bytes(tmp_path, input_dir, label_file):
  for folder in ("a", "b"):
    convert(input_dir, "mine_val", tmp_path / folder, label_file=label_file)
  assert listing(tmp_path / "a") == listing(tmp_path / "b")


def test_the_output_folder_may_be_a_template(tmp_path, input_dir):
  convert(input_dir, "mine_val", f"{tmp_path}/%s_records", size=(8, 8))
  paths = dataset_info.record_paths(f"{tmp_path}/%s_records", "mine", "val")
  assert paths == [str(tmp_path / "mine_records/mine_val-0-of-1.tfrecord")]


@pytest.mark.parametrize(
  ("rotate", "expected"), [(90, "BRWG"), (180, "WBGR"), (270, "GWRB")]
)
def test_rotate_turns_clockwise_before_resizing(tmp_path, rotate, expected):
  video_files.make(tmp_path / "a.mp4", num_frames=2)
  out = tmp_path / "out"
  convert(tmp_path, "mine_val", out, rotate=rotate, size=(40, 20))
  [video] = read_records(out.glob("*.tfrecord"))
  assert video_files.colours(video["video"][0]) == expected
  assert video["video"][0].shape == (20, 40, 3)


def test_shrinking_averages_over_areas():
  rng = np.random.default_rng(0)
  image = np.repeat(rng.integers(0, 255, (16, 16, 1), np.uint8), 3, axis=2)
  means = image.reshape(4, 4, 4, 4, 3).mean((1, 3)).round().astype(np.uint8)
  small, expected = (
    cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    for jpeg in (
      records.encode_frame(image, (4, 4)),
      records.encode_frame(means),
    )
  )
  np.testing.assert_allclose(small, expected, atol=2)


def test_fps_drops_frames_and_their_labels(tmp_path, input_dir, label_file):
  out = tmp_path / "out"
  info = convert(
    input_dir, "mine_val", out, label_file=label_file, fps=5, size=(8, 8)
  )
  assert info == dataset_info.SplitInfo(3, 10 + 15 + 6, 5.0)
  found = {v["name"]: v for v in read_records(out.glob("*.tfrecord"))}
  # Frames at 0, 0.2, 0.4, ... s.
  assert found["Clip1"]["frame_labels"] == [0] * 3 + [1] * 2 + [2] * 5


def frames_at(times):
  return [videos.Frame(time, np.zeros((1, 1, 3), np.uint8)) for time in times]


def kept(times, fps):
  return [
    frame.time
    for frame in videos_to_tfrecords.at_rate(frames_at(times), fps, "a.mp4")
  ]


def test_the_frame_nearest_to_each_tick_is_kept():
  rng = np.random.default_rng(0)
  for fps in (1, 2.5, 4):
    times = np.cumsum(rng.uniform(0.02, 0.3, 60))
    times = [0.0, *times]
    ticks = np.arange(0, times[-1], 1 / fps)
    nearest = {min(times, key=lambda time, t=t: abs(time - t)) for t in ticks}
    assert kept(times, fps) == sorted(nearest)


@pytest.mark.parametrize("rate", [24, 25, 29.97, 30, 60])
def test_even_rates_are_kept_evenly(rate):
  times = [k / rate for k in range(200)]
  assert kept(times, 0) == times
  assert kept(times, rate) == times
  assert kept(times, rate / 2) == times[::2]
  assert kept(times, rate / 5) == times[::5]
  # Time stamps in milliseconds, as of Matroska files.
  assert len(kept([round(time, 3) for time in times], rate / 2)) == 100


def test_a_rate_above_the_videos_is_refused(tmp_path, input_dir):
  out = tmp_path / "out"
  with pytest.raises(UserError) as error:
    convert(input_dir, "mine_val", out, fps=15)
  assert str(error.value) == (
    "Clip1.MP4: has 10 frames per second, expected at least the 15 of --fps;"
    " frames are dropped, never made up"
  )
  assert not os.listdir(out)


@pytest.mark.parametrize("files_per_shard", [1, 2, 50])
def test_a_broken_video_leaves_the_folder_as_it_was(
  tmp_path, input_dir, files_per_shard
):
  folder, out = tmp_path / "in", tmp_path / "out"
  shutil.copytree(input_dir, folder)
  convert(input_dir, "mine_train", out, files_per_shard=files_per_shard)
  before = listing(out)
  data = (folder / "clip2.mp4").read_bytes()
  (folder / "clip2.mp4").write_bytes(data[: len(data) // 2])
  for name in ("mine_train", "mine_val"):
    with pytest.raises(UserError, match="clip2.mp4: "):
      convert(folder, name, out, files_per_shard=files_per_shard)
    assert listing(out) == before


def test_a_video_without_annotation_is_found_before_decoding(
  tmp_path, input_dir, label_file
):
  annotations = json.loads(label_file.read_text())
  del annotations["clip10"]
  label_file.write_text(json.dumps(annotations))
  out = tmp_path / "out"
  with pytest.raises(UserError, match="no annotation of video 'clip10'"):
    convert(input_dir, "mine_val", out, label_file=label_file)
  assert not os.listdir(out)


def test_wrong_number_of_segments(tmp_path, input_dir, label_file):
  out = tmp_path / "out"
  with pytest.raises(UserError, match="'Clip1' has 3 segments, expected 4"):
    convert(
      *(input_dir, "mine_val", out), label_file=label_file, expected_segments=4
    )
  with pytest.raises(UserError, match="--expected_segments: needs annotations"):
    convert(input_dir, "mine_val", out, expected_segments=4)


def test_another_data_set_in_the_folder_is_refused(tmp_path, input_dir):
  convert(input_dir, "mine_val", tmp_path, size=(8, 8))
  before = listing(tmp_path)
  with pytest.raises(UserError, match="is about the data set 'mine'"):
    convert(input_dir, "yours_val", tmp_path)
  assert listing(tmp_path) == before


def test_videos_are_found_in_natural_order(tmp_path):
  names = ["v10.mp4", "v2.MOV", "a.webm", "v2b.avi", "007.mkv", "v02c.mp4"]
  for name in names:
    (tmp_path / name).touch()
  assert [path.name for path in find_videos(tmp_path)] == [
    *("007.mkv", "a.webm", "v2.MOV", "v2b.avi", "v02c.mp4", "v10.mp4")
  ]
  found = find_videos(tmp_path, ["V*.mp4"])
  assert [path.name for path in found] == ["v02c.mp4", "v10.mp4"]


def test_two_videos_of_one_name_are_refused(tmp_path):
  (tmp_path / "a.mp4").touch()
  (tmp_path / "a.avi").touch()
  with pytest.raises(UserError, match="a.avi and a.mp4 would both be records"):
    find_videos(tmp_path)


def test_no_videos_and_no_folder_are_named(tmp_path, input_dir):
  with pytest.raises(UserError, match=r"found no videos that match \*.webm;"):
    find_videos(input_dir, ["*.webm"])
  with pytest.raises(UserError, match="nowhere: expected a folder of videos"):
    find_videos(tmp_path / "nowhere")


def test_an_output_that_is_a_file_is_named(tmp_path, input_dir):
  (tmp_path / "out").touch()
  with pytest.raises(
    UserError, match=f"{tmp_path}/out: can't make this folder"
  ):
    convert(input_dir, "mine_val", tmp_path / "out")


def test_script_by_its_path_from_elsewhere(tmp_path, input_dir, label_file):
  arguments = [
    f"--input_dir={input_dir}",
    f"--label_file={label_file}",
    f"--output_dir={tmp_path}/%s_out",
    "--name=mine_val",
    "--width=16",
    "--height=8",
    "--file_pattern=*.mp4,*.mkv",
  ]
  done = subprocess.run(
    [sys.executable, str(SCRIPT), *arguments],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  folder = tmp_path / "mine_out"
  assert done.stdout.startswith(
    f"Wrote 3 videos with 62 labelled frames (10 frames per second) as mine_val"
    f" to {folder}."
  )
  assert "mine_val-0-of-1.tfrecord: 3 of 3 videos written" in done.stderr
  [first, *_] = read_records(folder.glob("*.tfrecord"))
  assert first["video"][0].shape == (8, 16, 3)


def test_script_as_a_module_tells_a_mistake_in_one_line(tmp_path, input_dir):
  done = subprocess.run(
    [
      *(sys.executable, "-m", "dataset_preparation.videos_to_tfrecords"),
      *("--name=train", f"--input_dir={input_dir}", f"--output_dir={tmp_path}"),
    ],
    cwd=CHECKOUT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert "Traceback" not in done.stderr
  assert done.stderr.splitlines()[-1] == (
    "error: --name: expected <dataset>_<split>, such as pouring_train, of"
    " letters, digits, '_', '-' and '.'; received 'train'"
  )
  assert not os.listdir(tmp_path)


def run_download(folder, **environment):
  return subprocess.run(
    [shutil.which("bash"), str(DOWNLOAD), str(folder)],
    env={"PATH": os.environ["PATH"], **environment},
    capture_output=True,
    text=True,
    check=False,
  )


def test_download_without_network(tmp_path):
  with socket.socket() as server:  # Bound but not listening: refuses.
    server.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = run_download(tmp_path / "out", POURING_URL=url)
  assert done.returncode == 1
  last = done.stderr.splitlines()[-1]
  assert last.startswith("error: ")
  if shutil.which("curl") or shutil.which("wget"):
    assert f"{url}/pouring_train-0-of-2.tfrecord: the download stopped" in last
  assert not list(tmp_path.glob("out/pouring*"))


def test_download_without_curl_and_wget(tmp_path):
  done = run_download(tmp_path / "out", PATH=str(tmp_path))
  assert done.returncode == 1
  assert done.stderr.startswith("error: neither curl nor wget is installed")


def test_download_with_a_stand_in_for_curl(tmp_path):
  tools = tmp_path / "tools"
  tools.mkdir()
  for tool in ("mkdir", "head", "tail", "tr", "wc", "mv", "rm", "cat"):
    (tools / tool).symlink_to(shutil.which(tool))
  curl = tools / "curl"
  # Like curl, goes on where the file ends; its arguments end in: FILE URL.
  curl.write_text(
    f"#!{shutil.which('bash')}\n"
    'out="${@: -2:1}" url="${@: -1}"\n'
    'case "$url" in *val*) [ -e "$out" ] || { printf a > "$out"; exit 18; };;'
    " esac\n"
    'printf "\\5\\0\\0\\0\\0\\0\\0\\0" > "$out"\n'
  )
  curl.chmod(0o755)
  out = tmp_path / "out"
  names = [f"pouring_train-{i}-of-2.tfrecord" for i in range(2)]
  done = run_download(out, PATH=str(tools))
  assert done.returncode == 1
  assert sorted(os.listdir(out)) == [
    ".incomplete-pouring_val-0-of-1.tfrecord",
    *names,
  ]
  done = run_download(out, PATH=str(tools))
  assert done.returncode == 0, done.stderr
  assert f"{names[0]} is there already" in done.stdout
  assert sorted(os.listdir(out)) == [*names, "pouring_val-0-of-1.tfrecord"]

  page = 'printf "<html>sign in</html>" > "${@: -2:1}"'
  curl.write_text(f"#!{shutil.which('bash')}\n{page}\n")
  done = run_download(tmp_path / "page", PATH=str(tools))
  assert done.returncode == 1
  assert "received something else than records" in done.stderr
  assert not os.listdir(tmp_path / "page")


def test_download_script_parses():
  bash = shutil.which("bash")
  assert (
    subprocess.run([bash, "-n", str(DOWNLOAD)], check=False).returncode == 0
  )
