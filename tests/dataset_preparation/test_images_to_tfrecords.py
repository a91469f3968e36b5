import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from data import dataset_info
from dataset_preparation.build_records import LabelOptions, prepare
from dataset_preparation.conversion import FrameEncoding
from dataset_preparation.images_to_tfrecords import find_folders
from dataset_preparation.shards import ShardOptions
from media import image_folders
from tests.helpers import image_files, record_files, video_files
from tests.helpers.paths import ROOT

SIZE = (video_files.WIDTH, video_files.HEIGHT)


def convert(root, out, label_file=None, **storing):
  prepare(
    find_folders(root),
    *("mine_val", out),
    storing=FrameEncoding(**storing),
    labeling=LabelOptions(label_file),
    writing=ShardOptions(num_workers=1),
  )
  return record_files.read(out.glob("*.tfrecord"))


def decoded(jpeg):
  array = np.frombuffer(jpeg, np.uint8)
  return cv2.imdecode(array, cv2.IMREAD_COLOR)[..., ::-1]


def test_natural_order():
  names = ["img10.jpg", "img2.jpg", "img1.jpg", "2", "10", "b", "a1b2", "a1b10"]
  assert sorted(names, key=image_folders.natural_order) == [
    *("2", "10", "a1b2", "a1b10", "b", "img1.jpg", "img2.jpg", "img10.jpg")
  ]


def test_folders_are_found(tmp_path):
  for name in ("v10", "v9", "more/v1", ".hidden/v1"):
    image_files.make(tmp_path / name, 1)
  (tmp_path / "empty").mkdir()
  (tmp_path / "notes").mkdir()
  (tmp_path / "notes" / "a.txt").touch()
  assert list(find_folders(tmp_path)) == ["more/v1", "v9", "v10"]
  (tmp_path / "list.txt").write_text("v10\n# a remark\n\n more/v1/ \n")
  found = find_folders(tmp_path, tmp_path / "list.txt")
  assert found == {"v10": tmp_path / "v10", "more/v1": tmp_path / "more/v1"}


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("v0\nv1\n", r"list.txt: line 2 lists 'v1', expected a folder in"),
    ("v0\nv0\n", r"list.txt: line 2 lists 'v0' again"),
    ("\n", r"list.txt: lists no videos"),
  ],
)
def test_wrong_lists_are_named(tmp_path, text, message):
  image_files.make(tmp_path / "v0", 1)
  (tmp_path / "list.txt").write_text(text)
  with pytest.raises(UserError, match=message):
    find_folders(tmp_path, tmp_path / "list.txt")


def test_missing_folders_and_lists_are_named(tmp_path):
  with pytest.raises(UserError, match="nowhere: expected a folder that holds"):
    find_folders(tmp_path / "nowhere")
  with pytest.raises(UserError, match="found no folder of images"):
    find_folders(tmp_path)
  with pytest.raises(UserError, match="none.txt: can't read the list"):
    find_folders(tmp_path, tmp_path / "none.txt")


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp"])
def test_formats_in_natural_order(tmp_path, ending):
  image_files.make(tmp_path / "in" / "v0", ending=ending)
  [record] = convert(tmp_path / "in", tmp_path / "out", size=(48, 32))
  frames = [decoded(jpeg) for jpeg in record["video"]]
  assert len(frames) == 12
  corners = [image_files.corner(frame) for frame in frames]
  assert corners == sorted(corners, reverse=True)
  for frame in frames:
    assert frame.shape == (32, 48, 3)
    assert video_files.colors(frame) == video_files.QUARTERS


@pytest.mark.parametrize("storing", [{"size": SIZE}, {"size": None}])
def test_jpegs_of_the_right_size_are_copied(tmp_path, storing):
  folder = image_files.make(tmp_path / "in" / "v0", quality=41)
  [record] = convert(tmp_path / "in", tmp_path / "out", **storing)
  assert record["video"] == [
    (folder / f"img{number}.jpg").read_bytes() for number in range(12)
  ]


def test_photos_of_a_turned_camera_are_upright(tmp_path):
  folder = tmp_path / "in" / "v0"
  folder.mkdir(parents=True)
  turned = np.rot90(video_files.quartered(), 1)  # Counter-clockwise.
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned clockwise for display.
  Image.fromarray(turned).save(folder / "a.jpg", exif=exif)
  [record] = convert(tmp_path / "in", tmp_path / "out", size=None)
  frame = decoded(record["video"][0])
  assert video_files.colors(frame) == video_files.QUARTERS


def test_gray_deep_and_transparent_images(tmp_path):
  folder = tmp_path / "in" / "v0"
  folder.mkdir(parents=True)
  shape = (32, 32)
  Image.fromarray(np.full(shape, 200, np.uint8)).save(folder / "0.png")
  Image.fromarray(np.full(shape, 200 << 8, np.uint16)).save(folder / "1.png")
  half = np.full((*shape, 4), 200, np.uint8)
  half[:16, :, 3] = 255
  half[16:, :, 3] = 0
  Image.fromarray(half).save(folder / "2.png")
  Image.fromarray(half).convert("P").save(folder / "3.png")
  Image.new("CMYK", shape, (55, 55, 55, 0)).save(folder / "4.jpg")
  [record] = convert(tmp_path / "in", tmp_path / "out", size=None)
  frames = [decoded(jpeg).astype(int) for jpeg in record["video"]]
  for frame in frames:
    assert abs(frame[:12] - 200).max() < 8
  assert frames[2][20:].max() < 8


def test_labels_of_frames_and_of_seconds(tmp_path):
  image_files.make(tmp_path / "in" / "v0")
  (tmp_path / "frames.csv").write_text(
    "video,phase\n" + "v0,reach\n" * 5 + "v0,pour\n" * 7
  )
  (tmp_path / "seconds.csv").write_text(
    "video,start,end,phase\nv0,0,1,reach\nv0,1,2.4,pour\n"
  )
  for name in ("frames", "seconds"):
    [record] = convert(
      tmp_path / "in", tmp_path / name, tmp_path / f"{name}.csv", fps=5
    )
    assert record["frame_labels"] == [0] * 5 + [1] * 7
    info = dataset_info.load_dataset_info(str(tmp_path / name), "mine")
    assert info.class_names == ("reach", "pour")
    assert info.splits["val"].fps == 5
  with pytest.raises(UserError) as error:
    convert(tmp_path / "in", tmp_path / "no fps", tmp_path / "seconds.csv")
  assert str(error.value) == (
    f"{tmp_path}/seconds.csv: video 'v0', row 2 and after: has segments in"
    " seconds, but images have no time stamps; give their rate with --fps"
  )
  assert not (tmp_path / "no fps").exists()


def test_damaged_images_are_named(tmp_path):
  folder = image_files.make(tmp_path / "in" / "v0", 3)
  data = (folder / "img1.jpg").read_bytes()
  for damage in (b"", b"no image", data[: len(data) // 2]):
    (folder / "img1.jpg").write_bytes(damage)
    with pytest.raises(UserError, match=r"img1.jpg: can't be decoded as an"):
      convert(tmp_path / "in", tmp_path / "out")
  assert not list((tmp_path / "out").iterdir())


def test_links_to_nothing_are_named_and_linked_folders_followed(tmp_path):
  image_files.make(tmp_path / "v0", 3)
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "linked").symlink_to(tmp_path / "v0")
  assert list(find_folders(tmp_path / "in")) == ["linked"]
  (tmp_path / "v0" / "img1.jpg").unlink()
  (tmp_path / "v0" / "img1.jpg").symlink_to("nowhere.jpg")
  with pytest.raises(UserError) as error:
    convert(tmp_path / "in", tmp_path / "out")
  assert str(error.value) == (
    f"{tmp_path}/in/linked/img1.jpg: links to a file that is not there;"
    " expected an image, replace or remove it"
  )


def test_images_of_several_sizes_need_one(tmp_path):
  image_files.make(tmp_path / "in" / "v0", 2)
  image_files.make(tmp_path / "in" / "v0", 1, pattern="z{}", size=(20, 30))
  with pytest.raises(UserError) as error:
    convert(tmp_path / "in", tmp_path / "out", size=None)
  assert str(error.value) == (
    f"{tmp_path}/in/v0: frame 2 has 20 x 30 pixels, those before 96 x 64; give"
    " --width and --height, which make them alike"
  )
  [record] = convert(tmp_path / "in", tmp_path / "out", size=(8, 8))
  assert len(record["video"]) == 3


def test_script(tmp_path):
  for name in ("a", "b", "c"):
    image_files.make(tmp_path / "in" / name, 2)
    image_files.make(tmp_path / "in" / name, 3, "png", pattern="z{}")
  (tmp_path / "list.txt").write_text("c\na\n")
  script = ROOT / "dataset_preparation" / "images_to_tfrecords.py"
  done = subprocess.run(
    [
      *(sys.executable, str(script), "--name=mine_train", "--noresize"),
      *(f"--dir={tmp_path}/in", f"--vid_list={tmp_path}/list.txt"),
      *("--extension=png", f"--output_dir={tmp_path}/out"),
      "--vids_per_shard=1",
    ],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  first, second = (
    record_files.read([tmp_path / f"out/mine_train-{index}-of-2.tfrecord"])[0]
    for index in (0, 1)
  )
  assert (first["name"], second["name"]) == ("c", "a")
  assert len(first["video"]) == 3
  assert done.stdout.splitlines()[0] == (
    "mine_train: 2 videos, 6 frames (rate unknown)"
  )
  assert done.stdout.splitlines()[-1] == (
    "4 files have no --extension and are left out, the first is c/img0.jpg"
  )


@pytest.mark.parametrize("count", [1, 12])
def test_segments_may_go_up_to_the_end_of_slow_images(tmp_path, count):
  image_files.make(tmp_path / "in" / "v0", count)
  table = tmp_path / "seconds.csv"
  table.write_text(f"video,start,end,phase\nv0,0,{count / 0.2},reach\n")
  [record] = convert(tmp_path / "in", tmp_path / "out", table, fps=0.2)
  assert record["frame_labels"] == [0] * count


def test_images_that_cannot_be_read_are_named_and_left_out(tmp_path):
  for name in ("v0", "v1"):
    folder = image_files.make(tmp_path / "in" / name, 3)
  (folder / "img1.jpg").unlink()
  # Reading fails, whoever asks.
  (folder / "img1.jpg").symlink_to("/proc/self/mem")
  with pytest.raises(UserError) as error:
    convert(tmp_path / "in", tmp_path / "out")
  assert str(error.value) == (
    f"{folder}/img1.jpg: can't be decoded as an image ([Errno 5] Input/output"
    " error); expected a whole image file, replace or remove it"
  )
  written = prepare(
    find_folders(tmp_path / "in"),
    *("mine_val", tmp_path / "out"),
    writing=ShardOptions(num_workers=1, skip_broken=True),
  )
  assert [x["name"] for x in written["mine_val"].skipped] == ["v1"]


def test_a_list_of_an_editor_that_marks_the_byte_order(tmp_path):
  image_files.make(tmp_path / "v0", 1)
  (tmp_path / "list.txt").write_text("\ufeffv0\r\n", encoding="utf-8")
  assert list(find_folders(tmp_path, tmp_path / "list.txt")) == ["v0"]


def test_the_report_names_folders(tmp_path):
  image_files.make(tmp_path / "in" / "more" / "v0.1", 3)
  written = prepare(
    find_folders(tmp_path / "in"), *("mine_val", tmp_path / "out")
  )
  [video] = written["mine_val"].videos
  assert (video["source"], video["fps"]) == ("more/v0.1", None)


def test_folders_that_cannot_be_read_are_named(tmp_path, monkeypatch):
  folder = image_files.make(tmp_path / "in" / "v0", 1)
  (tmp_path / "list.txt").write_text("v0")
  found = find_folders(tmp_path / "in", tmp_path / "list.txt")
  original = pathlib.Path.iterdir

  def iterdir(path):
    if path == folder:
      raise PermissionError(13, "Permission denied", str(path))
    return original(path)

  monkeypatch.setattr(pathlib.Path, "iterdir", iterdir)
  with pytest.raises(UserError) as error:
    prepare(found, "mine_val", tmp_path / "out")
  assert str(error.value) == (
    f"{folder}: expected to read this, received an error (Permission denied);"
    " correct its permissions or remove it"
  )
