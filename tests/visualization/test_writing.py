import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from core.errors import UserError
from media.video_reader import VideoReader
from visualization.clips import Clip
from visualization.writing import write_clip


def make(count, draw, interval=50):
  return Clip(draw, np.full(count, interval / 1000))


def shade(i):
  return np.full((48, 64, 3), 20 * (i % 13), np.uint8)


def read_gif(path):
  """Pictures and their milliseconds."""
  with Image.open(path) as image:
    for frame in ImageSequence.Iterator(image):
      yield np.array(frame.convert("RGB")), frame.info["duration"]


@pytest.mark.parametrize("interval, fps", [(50, 20), (100, 10), (40, 25)])
def test_mp4_is_playable_anywhere(tmp_path, interval, fps):
  write_clip(tmp_path / "a.mp4", make(12, shade, interval))
  with av.open(str(tmp_path / "a.mp4")) as container:
    stream = container.streams.video[0]
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert stream.average_rate == fps
    # The box of the decoder's settings: profile and level of H.264.
    _, profile, _, level = stream.codec_context.extradata[:4]
    assert profile == 100 and level <= 42  # High, at most 4.2.
    assert sum(1 for _ in container.decode(stream)) == 12
    assert (stream.width, stream.height) == (64, 48)
  assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("interval, stored", [(50, 50), (33, 30), (1, 20)])
def test_gif_counts_and_times_its_frames(tmp_path, interval, stored):
  write_clip(tmp_path / "A.GIF", make(12, shade, interval))
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
  clip = make(12, lambda i: np.concatenate([still, moving[i]], 1))
  write_clip(tmp_path / "a.gif", clip)
  data = (tmp_path / "a.gif").read_bytes()
  assert data[10] & 128 and local_palettes(data) == 0
  pictures = [picture for picture, _ in read_gif(tmp_path / "a.gif")]
  for picture, expected in zip(pictures, moving, strict=True):
    np.testing.assert_array_equal(picture[:, :50], pictures[0][:, :50])
    assert abs(picture.mean() - expected.mean()) < 20
  assert all((p[:, 50:] != pictures[0][:, 50:]).any() for p in pictures[1:])


def test_gif_stores_equal_frames_once_but_as_long(tmp_path):
  shades = [10, 10, 200, 200, 200]
  clip = make(5, lambda i: np.full((8, 8, 3), shades[i], np.uint8))
  write_clip(tmp_path / "a.gif", clip)
  stored = [(picture.mean(), t) for picture, t in read_gif(tmp_path / "a.gif")]
  assert stored == [(10, 100), (200, 150)]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_error_while_drawing_leaves_nothing(tmp_path, name):
  def draw(i):
    if i == 3:
      raise RuntimeError("no more")
    return np.zeros((16, 16, 3), np.uint8)

  with pytest.raises(RuntimeError, match="no more"):
    write_clip(tmp_path / name, make(5, draw))
  with pytest.raises(UserError, match="expected at least one frame"):
    write_clip(tmp_path / name, make(0, draw))
  assert not list(tmp_path.iterdir())


def test_mp4_starts_before_it_is_loaded(tmp_path):
  """The index comes first, and sizes are even, up to full HD."""
  picture = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
  write_clip(tmp_path / "a.mp4", make(3, lambda i: picture, 1000 / 30))
  data = (tmp_path / "a.mp4").read_bytes()
  assert 0 < data.index(b"moov") < data.index(b"mdat")
  with av.open(str(tmp_path / "a.mp4")) as container:
    [stream] = container.streams
    assert stream.codec_context.extradata[3] <= 42
    assert (stream.width, stream.height) == (1920, 1080)


def test_uneven_pictures_are_shown_at_their_times(tmp_path):
  durations = np.array([0.5, 0.1, 0.1, 1.2])
  write_clip(tmp_path / "a.mp4", Clip(shade, durations))
  reader = VideoReader(tmp_path / "a.mp4")
  times = [frame.time for frame in reader]
  np.testing.assert_allclose(times, [0, 0.5, 0.6, 0.7], atol=1e-4)
  assert reader.facts.seconds == pytest.approx(1.9, abs=1e-4)
  write_clip(tmp_path / "a.gif", Clip(shade, durations))
  assert [time for _, time in read_gif(tmp_path / "a.gif")] == [300] * 4


def test_times_that_were_rounded_are_still_a_rate(tmp_path):
  times = np.round(np.arange(31) / 29.97, 3)
  write_clip(tmp_path / "a.mp4", Clip(shade, np.diff(times)))
  with av.open(str(tmp_path / "a.mp4")) as container:
    assert float(container.streams.video[0].average_rate) == pytest.approx(
      29.97, abs=0.05
    )
