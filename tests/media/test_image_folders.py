import pathlib

import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from media import image_folders
from media.image_folders import ImageFolderReader
from tests.helpers import image_files, video_files
from tests.helpers.errors import message_of


def read(folder, fps=0):
  return list(ImageFolderReader(folder, fps, image_folders.ENDINGS))


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp"])
def test_formats_in_natural_order(tmp_path, ending):
  folder = image_files.make(tmp_path, ending=ending)
  (folder / ".hidden.jpg").touch()
  frames = read(folder, fps=5)
  assert [frame.index for frame in frames] == list(range(12))
  np.testing.assert_allclose([f.time for f in frames], np.arange(12) / 5)
  corners = [float(frame.image[-9:, -9:].mean()) for frame in frames]
  assert corners == sorted(corners, reverse=True)
  for frame in frames:
    assert video_files.colors(frame.image) == video_files.QUARTERS
    assert (frame.jpeg is not None) == (ending in ("jpg", "JPEG"))
  assert {frame.time for frame in read(folder)} == {0}


def test_photos_of_a_turned_camera_are_upright(tmp_path):
  turned = np.rot90(video_files.quartered(), 1)  # Counter-clockwise.
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned clockwise for display.
  Image.fromarray(turned).save(tmp_path / "a.jpg", exif=exif)
  [frame] = read(tmp_path)
  assert video_files.colors(frame.image) == video_files.QUARTERS
  assert frame.jpeg is None


def test_gray_deep_and_transparent_images(tmp_path):
  shape = (32, 32)
  Image.fromarray(np.full(shape, 200, np.uint8)).save(tmp_path / "0.png")
  Image.fromarray(np.full(shape, 200 << 8, np.uint16)).save(tmp_path / "1.png")
  half = np.full((*shape, 4), 200, np.uint8)
  half[..., 3] = 255 * (np.arange(32) < 16)[:, None]
  Image.fromarray(half).save(tmp_path / "2.png")
  Image.fromarray(half).convert("P").save(tmp_path / "3.png")
  Image.new("CMYK", shape, (55, 55, 55, 0)).save(tmp_path / "4.jpg")
  frames = read(tmp_path)
  for frame in frames:
    assert abs(frame.image[:12].astype(int) - 200).max() < 8
    assert frame.jpeg is None
  assert frames[2].image[20:].max() < 8


def test_damaged_images_are_named(tmp_path):
  path = image_files.make(tmp_path, 3) / "img1.jpg"
  data = path.read_bytes()
  for damage in (b"", b"no image", data[: len(data) // 2]):
    path.write_bytes(damage)
    with pytest.raises(UserError, match=r"img1.jpg: expected a whole image"):
      read(tmp_path)
  path.unlink()
  # Reading fails, whoever asks.
  for target, reason in (
    ("/proc/self/mem", "[Errno 5] Input/output error"),
    ("nowhere", f"[Errno 2] No such file or directory: '{path}'"),
  ):
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    assert message_of(read, tmp_path) == (
      f"{path}: expected a whole image file, received one that can't be decoded"
      f" ({reason}); replace or remove it"
    )


def test_folders_without_images_and_unreadable_ones(tmp_path, monkeypatch):
  (tmp_path / "a.txt").touch()
  with pytest.raises(UserError, match=r"expected images \(.jpg, .jpeg, .png"):
    read(tmp_path)

  def iterdir(path):
    raise PermissionError(13, "Permission denied", str(path))

  monkeypatch.setattr(pathlib.Path, "iterdir", iterdir)
  with pytest.raises(UserError, match=f"{tmp_path}: .*Permission denied"):
    read(tmp_path)
