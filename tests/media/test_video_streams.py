import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from media.video_reader import VideoReader
from tests.helpers import video_files

FILM = {"codec": "libx264", "size": (128, 64), "grays": range(0, 200, 10)}
PREVIEW = {"codec": "libx264", "size": (32, 16), "grays": range(0, 200, 10)}
THUMBNAIL = {"codec": "mjpeg", "size": (32, 16), "grays": [0]}
LARGE_THUMBNAIL = {"codec": "mjpeg", "size": (256, 128), "grays": [0]}


@pytest.mark.parametrize(
  ("name", "others", "default"),
  [
    *((f"a.{x}", [THUMBNAIL], True) for x in ("mov", "mkv", "avi")),
    *((f"a.{x}", [LARGE_THUMBNAIL], False) for x in ("mov", "mkv")),
    ("a.mp4", [PREVIEW], True),
    ("a.mkv", [PREVIEW, PREVIEW], False),
  ],
)
def test_the_film_is_chosen(tmp_path, name, others, default):
  film = FILM | {"default": default}
  path = video_files.write_streams(tmp_path / name, *others, film)
  reader = VideoReader(path)
  frames = list(reader)
  assert {frame.image.shape for frame in frames} == {(64, 128, 3)}
  means = [frame.image.mean() for frame in frames]
  np.testing.assert_allclose(means, range(0, 200, 10), atol=3)
  np.testing.assert_allclose([f.time for f in frames], np.arange(20) / 25)
  number, all_streams = len(others), range(len(others) + 1)
  assert reader.facts.stream == (
    f"{number} (h264, 128 x 64) of {', '.join(map(str, all_streams))}"
  )


def test_a_small_default_is_preferred_to_a_large_film(tmp_path):
  streams = FILM, PREVIEW | {"default": True}
  path = video_files.write_streams(tmp_path / "a.mp4", *streams)
  assert next(iter(VideoReader(path))).image.shape == (16, 32, 3)


def test_the_only_stream_is_not_worth_a_word(tmp_path):
  reader = VideoReader(video_files.write_streams(tmp_path / "a.mp4", FILM))
  list(reader)
  assert reader.facts.stream == ""


def test_animated_avif_is_more_than_its_first_picture(tmp_path):
  pictures = [Image.new("L", (96, 64), 20 * i) for i in range(8)]
  pictures[0].save(
    tmp_path / "a.avif", save_all=True, append_images=pictures[1:], duration=200
  )
  frames = list(VideoReader(tmp_path / "a.avif"))
  np.testing.assert_allclose([f.time for f in frames], np.arange(8) / 5)
  means = [frame.image.mean() for frame in frames]
  np.testing.assert_allclose(means, np.arange(8) * 20, atol=3)


def test_an_unknown_codec_is_named(tmp_path):
  path = video_files.make(tmp_path / "a.mov", num_frames=3)
  data = path.read_bytes().replace(b"avcC", b"free")
  for letters in (b"brxq", b"aprn"):
    path.write_bytes(data.replace(b"avc1\0\0", letters + b"\0\0"))
    with pytest.raises(UserError, match=rf"a.mov: .*\({letters.decode()}\);"):
      list(VideoReader(path))
  # Cut inside the index, before it names a codec.
  whole = video_files.make(tmp_path / "a.mp4", num_frames=3).read_bytes()
  path.write_bytes(whole[: whole.index(b"stsd") - 4])
  with pytest.raises(UserError, match="a.mov: .*perhaps because it is cut off"):
    list(VideoReader(path))
