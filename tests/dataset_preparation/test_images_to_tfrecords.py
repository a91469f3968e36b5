import shutil

import pytest

from core.errors import UserError
from data import dataset_info
from dataset_preparation import images_to_tfrecords
from dataset_preparation.build_records import LabelOptions, build_records
from dataset_preparation.images_to_tfrecords import find_folders
from dataset_preparation.shards import ShardOptions
from media.frame_encoding import FrameEncoding
from tests.helpers import image_files, record_files, video_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


def convert(root, out, label_file=None, **encoding):
  build_records(
    find_folders(root),
    *("mine_val", out),
    encoding=FrameEncoding(**encoding),
    labels=LabelOptions(label_file),
    options=ShardOptions(num_workers=1),
  )
  return record_files.read(out.glob("*.tfrecord"))


@pytest.fixture(scope="module")
def input_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("images")
  image_files.make(folder / "v0", quality=41)
  return folder


def test_folders_are_found(tmp_path):
  for name in ("v10", "v9", "more/v1", ".hidden/v1"):
    image_files.make(tmp_path / name, 1)
  for name in ("empty", "notes"):
    (tmp_path / name).mkdir()
  (tmp_path / "notes" / "a.txt").touch()
  outside = image_files.make(tmp_path / "outside", 1)
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "linked").symlink_to(outside)
  assert list(find_folders(tmp_path / "in")) == ["linked"]
  for name in ("in", "outside"):
    shutil.rmtree(tmp_path / name)
  (tmp_path / "linked").symlink_to(tmp_path / "v9")
  with pytest.raises(UserError, match="v9: expected each folder once"):
    find_folders(tmp_path)
  (tmp_path / "linked").unlink()
  assert list(find_folders(tmp_path)) == ["more/v1", "v9", "v10"]
  text = "\ufeffv10\r\n# a remark\n\n more/v1/ \n"
  (tmp_path / "list.txt").write_text(text, encoding="utf-8")
  found = find_folders(tmp_path, tmp_path / "list.txt")
  assert found == {"v10": tmp_path / "v10", "more/v1": tmp_path / "more/v1"}


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("v0\nv1\n", "line 2: expected a folder in .* received 'v1'; correct or"),
    ("v0\nv0\n", "line 2: expected a folder in .* received 'v0'; correct or"),
    ("\n", "expected the name of a folder per line, received none"),
  ],
)
def test_wrong_lists_are_named(tmp_path, input_dir, text, message):
  (tmp_path / "list.txt").write_text(text)
  with pytest.raises(UserError, match=f"list.txt: {message}"):
    find_folders(input_dir, tmp_path / "list.txt")
  with pytest.raises(UserError, match="nowhere: expected a folder that holds"):
    find_folders(tmp_path / "nowhere")
  with pytest.raises(UserError, match="expected folders of images"):
    find_folders(tmp_path)
  with pytest.raises(UserError, match="none.txt: expected a text.*--vid_list"):
    find_folders(tmp_path, tmp_path / "none.txt")


SIZE = (video_files.WIDTH, video_files.HEIGHT)


@pytest.mark.parametrize("size", [SIZE, None])
def test_jpegs_of_the_right_size_are_copied(tmp_path, input_dir, size):
  [record] = convert(input_dir, tmp_path, size=size)
  paths = [input_dir / f"v0/img{number}.jpg" for number in range(12)]
  assert record["video"] == [path.read_bytes() for path in paths]


def test_labels_of_frames_and_of_seconds(tmp_path, input_dir):
  rows = "video,phase\n" + "v0,reach\n" * 5 + "v0,pour\n" * 7
  (tmp_path / "frames.csv").write_text(rows)
  seconds = tmp_path / "seconds.csv"
  seconds.write_text("video,start,end,phase\nv0,0,1,reach\nv0,1,2.4,pour\n")
  for name in ("frames", "seconds"):
    labels = tmp_path / f"{name}.csv"
    [record] = convert(input_dir, tmp_path / name, labels, fps=5)
    assert record["frame_labels"] == [0] * 5 + [1] * 7
    info = dataset_info.load_dataset_info(str(tmp_path / name), "mine")
    assert info.class_names == ("reach", "pour")
    assert info.splits["val"].fps == 5
  # Up to the end of slow images.
  seconds.write_text("video,start,end,phase\nv0,0,60,reach\n")
  [record] = convert(input_dir, tmp_path / "slow", seconds, fps=0.2)
  assert record["frame_labels"] == [0] * 12
  assert message_of(convert, input_dir, tmp_path / "no fps", seconds) == (
    f"{seconds}: video 'v0': expected labels of frames, as"
    " images have no time stamps, received segments in seconds; give the"
    " images' rate with --fps"
  )
  assert not (tmp_path / "no fps").exists()
  # Numbers of frames need no rate.
  seconds.write_text("video,start_frame,end_frame,phase\nv0,0,4,a\nv0,5,11,b\n")
  [record] = convert(input_dir, tmp_path / "ranges", seconds)
  assert record["frame_labels"] == [0] * 5 + [1] * 7


def test_images_of_several_sizes_need_one(tmp_path):
  folder = image_files.make(tmp_path / "in" / "v0.1", 2)
  image_files.make(folder, 1, pattern="z{}", size=(20, 30))
  folders = (tmp_path / "in", tmp_path / "out")
  assert message_of(convert, *folders, size=None) == (
    f"{folder}: expected frames of 96 x 64 pixels as before, received 20 x 30"
    " for frame 2; give --width and --height"
  )
  [record] = convert(*folders, size=(8, 8))
  assert len(record["video"]) == 3
  info = dataset_info.load_dataset_info(str(tmp_path / "out"), "mine")
  [video] = info.splits["val"].videos
  assert (video["source"], video["fps"]) == ("v0.1", None)


def test_script(tmp_path):
  for name in ("a", "b", "c"):
    image_files.make(tmp_path / "in" / name, 2)
    image_files.make(tmp_path / "in" / name, 3, "png", pattern="z{}")
  (tmp_path / "list.txt").write_text("c\na\n")
  done = run_python(
    *(images_to_tfrecords.__file__, "--name=mine_train", "--noresize"),
    *(f"--dir={tmp_path}/in", f"--vid_list={tmp_path}/list.txt"),
    *("--extension=png", f"--output_dir={tmp_path}/out"),
    *("--vids_per_shard=1", "--num_workers=1"),
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  first, second = record_files.read((tmp_path / "out").glob("*-of-2.tfrecord"))
  assert (first["name"], second["name"]) == ("c", "a")
  assert len(first["video"]) == 3
  first, *_, last = done.stdout.splitlines()
  assert first == "mine_train: 2 videos, 6 frames (rate unknown)"
  told = "4 files have no --extension and are left out, the first is c/img0.jpg"
  assert last == told
