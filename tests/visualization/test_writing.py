import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from core.errors import UserError
from visualization.clips import Clip
from visualization.writing import write_clip

SHADES = Clip(12, lambda i: np.full((48, 64, 3), 20 * i, np.uint8))


def read_gif(path):
  """Pictures and their milliseconds."""
  with Image.open(path) as image:
    for frame in ImageSequence.Iterator(image):
      yield np.array(frame.convert("RGB")), frame.info["duration"]


@pytest.mark.parametrize("interval, fps", [(50, 20), (100, 10), (40, 25)])
def test_mp4_is_playable_anywhere(tmp_path, interval, fps):
  write_clip(tmp_path / "a.mp4", SHADES, interval)
  with av.open(str(tmp_path / "a.mp4")) as container:
    stream = container.streams.video[0]
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert stream.average_rate == fps
    assert sum(1 for _ in container.decode(stream)) == 12
    assert (stream.width, stream.height) == (64, 48)
  assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("interval, stored", [(50, 50), (33, 30), (1, 20)])
def test_gif_counts_and_times_its_frames(tmp_path, interval, stored):
  write_clip(tmp_path / "A.GIF", SHADES, interval)
  with Image.open(tmp_path / "A.GIF") as image:
    assert image.info["loop"] == 0
  assert [time for _, time in read_gif(tmp_path / "A.GIF")] == [stored] * 12
  assert [path.name for path in tmp_path.iterdir()] == ["A.GIF"]


def local_palettes(data):
  """Counts the frames of a GIF with a table of colors of their own."""
  at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
  count = 0
  while data[at] != 0x3B:
    if data[at] == 0x21:
      at += 2
    else:
      count += data[at + 9] >> 7
      at += 11
    while data[at]:
      at += data[at] + 1
    at += 1
  return count


def test_gif_has_one_palette_and_keeps_a_still_image_still(tmp_path):
  rng = np.random.default_rng(0)
  still = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
  moving = rng.integers(0, 256, (12, 40, 30, 3)).astype(np.uint8)
  clip = Clip(12, lambda i: np.concatenate([still, moving[i]], 1))
  write_clip(tmp_path / "a.gif", clip, 50)
  data = (tmp_path / "a.gif").read_bytes()
  assert data[10] & 128 and local_palettes(data) == 0
  pictures = [picture for picture, _ in read_gif(tmp_path / "a.gif")]
  for picture, expected in zip(pictures, moving, strict=True):
    np.testing.assert_array_equal(picture[:, :50], pictures[0][:, :50])
    assert abs(picture.mean() - expected.mean()) < 20
  assert all((p[:, 50:] != pictures[0][:, 50:]).any() for p in pictures[1:])


def test_gif_stores_equal_frames_once_but_as_long(tmp_path):
  shades = [10, 10, 200, 200, 200]
  clip = Clip(5, lambda i: np.full((8, 8, 3), shades[i], np.uint8))
  write_clip(tmp_path / "a.gif", clip, 50)
  stored = [(picture.mean(), t) for picture, t in read_gif(tmp_path / "a.gif")]
  assert stored == [(10, 100), (200, 150)]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_error_while_drawing_leaves_nothing(tmp_path, name):
  def draw(i):
    if i == 3:
      raise RuntimeError("no more")
    return np.zeros((16, 16, 3), np.uint8)

  with pytest.raises(RuntimeError, match="no more"):
    write_clip(tmp_path / name, Clip(5, draw), 50)
  with pytest.raises(UserError, match="expected at least one frame"):
    write_clip(tmp_path / name, Clip(0, draw), 50)
  assert not list(tmp_path.iterdir())
