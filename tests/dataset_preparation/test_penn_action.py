import numpy as np
import pytest
import scipy.io

from core.errors import UserError
from data import dataset_info
from dataset_preparation import penn_action
from dataset_preparation.build_records import LabelOptions
from dataset_preparation.shards import ShardOptions
from media.frame_encoding import FrameEncoding
from tests.helpers import image_files, record_files
from tests.helpers.processes import run_python

# Number -> Penn Action's name, 1 = train or -1 = test, images.
VIDEOS = {"0001": ("squat", 1, 6), "0002": ("squat", -1, 4)}
VIDEOS |= {"0003": ("bowl", 1, 5), "0004": ("jump_rope", 1, 3)}
VIDEOS |= {"0005": ("squat", 1, 11)}


@pytest.fixture
def penn_dir(tmp_path):
  root = tmp_path / "Penn_Action"
  (root / "labels").mkdir(parents=True)
  for name, (action, train, count) in VIDEOS.items():
    image_files.make(root / "frames" / name, count, pattern="{:06d}")
    content = {"action": action, "train": train, "nframes": count}
    content["x"] = np.zeros((count, 13))
    scipy.io.savemat(root / "labels" / f"{name}.mat", content)
  return root


def convert(penn_dir, out, label_file=None):
  return penn_action.convert_actions(
    penn_dir,
    f"{out}/%s_tfrecords",
    encoding=FrameEncoding(size=(24, 16)),
    labels=LabelOptions(label_file),
    options=ShardOptions(num_workers=1),
  )


def test_a_set_an_action_in_the_official_splits(tmp_path, penn_dir, caplog):
  caplog.set_level("WARNING")
  written = convert(penn_dir, tmp_path)
  assert list(written) == ["bowling_train", "squats_train", "squats_val"]
  squats, bowling = (tmp_path / f"{a}_tfrecords" for a in ("squats", "bowling"))
  for paths, names in (
    (squats.glob("squats_train-*"), ["0001", "0005"]),
    (squats.glob("squats_val-*"), ["0002"]),
    (bowling.glob("*.tfrecord"), ["0003"]),
  ):
    assert [record["name"] for record in record_files.read(paths)] == names
  info = dataset_info.load_dataset_info(squats, "squats")
  assert info.splits["train"].num_frames == 17
  warning = "squats: 2 train and 1 val videos, the paper has 114 and 116"
  assert warning in caplog.messages and len(caplog.messages) == 13


def test_phases_of_the_labeled_videos(tmp_path, penn_dir, caplog):
  rows = [f"000{v},down" for v in (2, 2, 1, 1, 1, 1)]
  rows += [f"000{v},up" for v in (2, 2, 1, 1)] + ["0003,swing"] * 5
  path = tmp_path / "phases.csv"
  path.write_text("\n".join(["video,phase", *rows]))
  convert(penn_dir, tmp_path, path)
  squats, bowling = (tmp_path / f"{a}_tfrecords" for a in ("squats", "bowling"))
  [train] = record_files.read(squats.glob("squats_train-*"))
  [val] = record_files.read(squats.glob("squats_val-*"))
  assert train["frame_labels"] == [0] * 4 + [1] * 2
  assert val["frame_labels"] == [0] * 2 + [1] * 2
  [swing] = record_files.read(bowling.glob("*.tfrecord"))
  assert swing["frame_labels"] == [0] * 5
  names = dataset_info.load_dataset_info(str(squats), "squats").class_names
  assert names == ("down", "up")
  assert "1 of 4 videos have no labels and are left out" in caplog.text


def test_phases_as_an_array_a_video(tmp_path, penn_dir, caplog):
  phases = {"train/squats/0001": 6, "val/squats/0002": 4, "train/bowl/0003": 5}
  for name, count in phases.items():
    path = tmp_path / "phases" / f"{name}.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.arange(count) // 3)
  convert(penn_dir, tmp_path, tmp_path / "phases")
  squats, bowling = (tmp_path / f"{a}_tfrecords" for a in ("squats", "bowling"))
  [train] = record_files.read(squats.glob("squats_train-*"))
  [val] = record_files.read(squats.glob("squats_val-*"))
  [swing] = record_files.read(bowling.glob("*.tfrecord"))
  assert train["frame_labels"] == [0, 0, 0, 1, 1, 1]
  assert val["frame_labels"] == [0, 0, 0, 1]
  assert swing["frame_labels"] == [0, 0, 0, 1, 1]
  assert "1 of 4 videos have no labels and are left out" in caplog.text


def test_wrong_files_are_named(tmp_path, penn_dir):
  (tmp_path / "phases.csv").write_text("video,phase\nclip,0\n")
  with pytest.raises(UserError, match="expected labels of the 4 videos"):
    convert(penn_dir, tmp_path, tmp_path / "phases.csv")
  with pytest.raises(UserError, match="labels: expected the .mat files"):
    convert(tmp_path, tmp_path)
  (penn_dir / "labels" / "0009.mat").write_bytes(b"no file of Matlab")
  with pytest.raises(UserError, match=r"0009.mat: expected a .mat file"):
    convert(penn_dir, tmp_path)
  content = {"action": "squat", "train": 1}
  scipy.io.savemat(penn_dir / "labels" / "0009.mat", content)
  with pytest.raises(UserError, match="frames/0009: expected the folder of"):
    convert(penn_dir, tmp_path)


def test_script_and_labels_of_other_videos(tmp_path, penn_dir):
  table = tmp_path / "phases.csv"
  rows = ["0002,0,0.1,down", "0009,0,1,zzz", "0004,0,0.1,jump"]
  table.write_text("\n".join(["video,start,end,phase", *rows]))
  done = run_python(
    *(penn_action.__file__, f"--penn_dir={penn_dir}", "--num_workers=1"),
    *(f"--output_dir={tmp_path}/out", f"--label_file={table}", "--fps=30"),
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  told = f"2 videos in {table} are not among those converted, the first is 0009"
  assert done.stdout.splitlines()[-1] == told
  assert "squats_val: 1 videos, 4 frames (30 frames per second)" in done.stdout
  assert "PATH_TO_TFRECORDS: " in done.stdout
  folder = tmp_path / "out" / "squats_tfrecords"
  info = dataset_info.load_dataset_info(str(folder), "squats")
  assert info.class_names == ("down",)
