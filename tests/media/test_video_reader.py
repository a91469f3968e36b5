import gc
import os
import pathlib
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from core.errors import UserError
from media import video_reader
from media.video_reader import read_frames
from tests.helpers import video_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


def times_of(path):
  return [frame.time for frame in read_frames(path)]


@pytest.mark.parametrize(
  ("ending", "codec", "pix_fmt"),
  [
    *(("mp4", x, "yuv420p") for x in ("libx264", "libx265", "libsvtav1")),
    *((e, "libx264", "yuv420p") for e in ("mkv", "mov", "avi", "flv", "ts")),
    *(("webm", "libvpx-vp9", "yuv420p"), ("avi", "mpeg4", "yuv420p")),
    # Ten bits, alpha, and the whole range.
    *(("mp4", "libx265", "yuv420p10le"), ("mkv", "libx264", "yuv422p10le")),
    *(("webm", "libsvtav1", "yuv420p10le"), ("mov", "qtrle", "argb")),
    *(("mov", "png", "rgba"), ("mov", "prores_ks", "yuva444p10le")),
    ("avi", "mjpeg", "yuvj420p"),
  ],
)
def test_codecs_containers_and_depths(tmp_path, ending, codec, pix_fmt):
  path = tmp_path / f"a.{ending}"
  video_files.make(path, codec, pix_fmt=pix_fmt)
  frames = list(read_frames(path))
  times = [frame.time for frame in frames]
  np.testing.assert_allclose(times, np.arange(30) / 10, atol=1e-9)
  for frame in frames:
    assert frame.image.dtype == np.uint8
    assert frame.image.shape == (video_files.HEIGHT, video_files.WIDTH, 3)
    assert video_files.colors(frame.image) == video_files.QUARTERS
  # The order of presentation: the corner darkens.
  corner = [int(frame.image[-9, -9].mean()) for frame in frames]
  assert np.all(np.diff(corner) < 1)
  assert corner[0] - corner[-1] > 40


def test_the_rate_is_that_of_the_stream_that_is_read(tmp_path, monkeypatch):
  """AVI files store no time stamps; here one with two video streams."""
  path, rates = tmp_path / "two.avi", (25, 10)
  with av.open(str(path), "w") as container:
    streams = {x: container.add_stream("mjpeg", rate=x) for x in rates}
    for stream in streams.values():
      stream.width, stream.height = video_files.WIDTH, video_files.HEIGHT
      stream.pix_fmt = "yuvj420p"
    for number in range(5):
      for rate, stream in streams.items():
        image = video_files.quartered(number)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, rate)
        container.mux(stream.encode(frame))

  second = lambda container, path: container.streams.video[1]  # noqa: E731
  monkeypatch.setattr(video_reader, "_video_stream", second)
  np.testing.assert_allclose(times_of(path), np.arange(5) / 10)


@pytest.mark.parametrize(
  ("name", "codec", "pix_fmt"),
  [
    *(("a.ts", "libx264", "yuv420p"), ("a.h264", "libx264", "yuv420p")),
    *((f"a.{ending}", "mpeg2video", "yuv420p") for ending in ("vob", "mxf")),
    *(("a.gif", "gif", "rgb8"), ("a.y4m", "rawvideo", "yuv420p")),
  ],
)
def test_less_common_containers(tmp_path, name, codec, pix_fmt):
  path = tmp_path / name
  video_files.make(path, codec, 5, fps=25, pix_fmt=pix_fmt)
  assert len(times_of(path)) == 5


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_gray(tmp_path, pix_fmt):
  path = video_files.make(tmp_path / "a.mkv", "ffv1", 4, pix_fmt=pix_fmt)
  for frame in read_frames(path):
    red, green, blue = np.moveaxis(frame.image, -1, 0)
    np.testing.assert_array_equal(red, green)
    np.testing.assert_array_equal(red, blue)
    corners = red[[9, 9, -9, -9], [9, -9, 9, -9]].astype(int)
    luma = [0.299 * 250, 0.587 * 250, 0.114 * 250]
    np.testing.assert_allclose(corners[:3], luma, atol=4)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm", "ts"])
def test_streams_that_start_late_start_at_zero(tmp_path, ending):
  codec = "libvpx-vp9" if ending == "webm" else "libx264"
  path = video_files.make(tmp_path / f"a.{ending}", codec, first=57)
  np.testing.assert_allclose(times_of(path), np.arange(30) / 10, atol=1e-9)


@pytest.mark.parametrize(
  ("ticks", "crop"),
  [([0], (0, 1)), ([0, 1, 2, 7, 8, 20], (1, 0)), (range(3), (33, 45))],
)
def test_odd_sizes_and_uneven_time_stamps(tmp_path, ticks, crop):
  options = {"pts": ticks, "pix_fmt": "yuv444p", "crop": crop}
  path = video_files.make(tmp_path / "a.mp4", **options)
  times = [tick / 10 for tick in ticks]
  np.testing.assert_allclose(times_of(path), times, atol=1e-9)
  expected = (video_files.HEIGHT - crop[0], video_files.WIDTH - crop[1], 3)
  assert {frame.image.shape for frame in read_frames(path)} == {expected}


@pytest.mark.parametrize(
  ("degrees", "mirrored", "expected"),
  [
    # Counter-clockwise: after 90 degrees the right column is the top row.
    *((90, False, "GWRB"), (180, False, "WBGR"), (270, False, "BRWG")),
    *((0, True, "GRWB"), (90, True, "WGBR")),
    *((180, True, "BWRG"), (270, True, "RBGW")),
  ],
)
def test_rotation_in_metadata_is_applied(tmp_path, degrees, mirrored, expected):
  path = tmp_path / "a.mp4"
  video_files.make(path, num_frames=2, rotation=degrees, hflip=mirrored)
  image = next(read_frames(path)).image
  assert video_files.colors(image) == expected
  turned = degrees in (90, 270)
  sides = (video_files.HEIGHT, video_files.WIDTH)
  assert image.shape[:2] == (sides[::-1] if turned else sides)
  assert image.flags.c_contiguous
  if not mirrored:  # OpenCV applies the rotation too.
    _, other = cv2.VideoCapture(str(path)).read()
    assert video_files.colors(other[..., ::-1]) == expected


@pytest.mark.parametrize("name", ["12:30.mp4", "100%s done.mp4", "ü.mp4"])
def test_any_file_name_is_read(tmp_path, monkeypatch, name):
  video_files.make(tmp_path / "a.mp4", num_frames=3)
  os.rename(tmp_path / "a.mp4", tmp_path / name)
  monkeypatch.chdir(tmp_path)
  assert len(times_of(name)) == 3


@pytest.mark.parametrize(
  ("name", "codec", "options"),
  [
    *((f"a.{ending}", "libx264", {}) for ending in ("mp4", "mkv", "flv")),
    ("a.webm", "libvpx-vp9", {}),
    *(
      ("front.mp4", codec, {"movflags": "faststart"})
      for codec in ("libx264", "libx265", "libsvtav1")
    ),
  ],
)
def test_truncated_files_are_found(tmp_path, name, codec, options):
  options = {"container_options": options, "seed": 0}
  path = video_files.make(tmp_path / name, codec, 60, **options)
  assert len(times_of(path)) == 60
  data = path.read_bytes()
  for part in (0.4, 0.7, 0.95):
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(UserError, match=f"^{path}: .*replace or remove it"):
      times_of(path)


def test_much_of_the_damage_in_the_middle_is_told(tmp_path):
  # Not all of it: some bytes still decode, to wrong pixels.
  path = video_files.make(tmp_path / "a.mp4", seed=0)
  whole = path.read_bytes()
  told = 0
  for place in np.linspace(0.1, 0.9, 24):
    data = bytearray(whole)
    start = int(place * len(data))
    data[start : start + 400] = np.random.default_rng(start).bytes(400)
    path.write_bytes(data)
    try:
      times_of(path)
    except UserError as error:
      told += str(error).startswith(f"{path}: ")
  assert told >= 8


def test_other_files_are_named(tmp_path):
  path = tmp_path / "a.mp4"
  with pytest.raises(UserError, match=f"{path}: .*no such file"):
    times_of(path)
  for content in (b"", b"some text\n" * 500, b'{"a": 1}', bytes(5000)):
    path.write_bytes(content)
    with pytest.raises(UserError, match="a.mp4: .*one that can't be decoded"):
      times_of(path)
  video_files.make_audio(path)
  with pytest.raises(UserError, match="a.mp4: .*one without a video stream"):
    times_of(path)
  with pytest.raises(UserError, match=f"{tmp_path}: .*directory"):
    times_of(tmp_path)


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_a_video_is_read_by_one_thread(tmp_path, codec):
  """In a process of its own, where nothing else starts or ends threads."""
  path = video_files.make(tmp_path / "a.mkv", codec)
  code = (
    "import os, sys\n"
    "from media.video_reader import read_frames\n"
    "threads = lambda: len(os.listdir('/proc/self/task'))\n"
    "before, frames = threads(), read_frames(sys.argv[1])\n"
    "next(frames)\n"
    "sys.exit(threads() - before)"
  )
  assert run_python("-c", code, path).returncode == 0


def test_pixels_that_can_not_be_converted_name_the_video():
  decoded = av.VideoFrame(16, 16, "gray32le")
  convert, path = video_reader._to_image, pathlib.Path("a.mp4")
  assert message_of(convert, decoded, path) == (
    "a.mp4: expected a whole video file, received one that can't be decoded"
    " (operation not supported); replace or remove it"
  )


@pytest.mark.parametrize("rotation", [None, 90])
def test_frames_do_not_wait_for_the_garbage_collector(tmp_path, rotation):
  path = video_files.make(tmp_path / "a.mp4", num_frames=40, rotation=rotation)
  gc.collect()
  gc.disable()
  try:
    assert len([frame.image for frame in read_frames(path)]) == 40
    alive = sum(isinstance(x, av.VideoFrame) for x in gc.get_objects())
  finally:
    gc.enable()
  assert alive <= 2
