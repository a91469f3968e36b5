import gc
import os
import pathlib
import re
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from media import video_reader
from media.video_reader import VideoReader
from tests.helpers import video_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


def times_of(path):
  return [frame.time for frame in VideoReader(path)]


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
  frames = list(VideoReader(path))
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
  for frame in VideoReader(path):
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
  assert {frame.image.shape for frame in VideoReader(path)} == {expected}


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
  image = next(iter(VideoReader(path))).image
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
  assert len(times_of(pathlib.Path(name))) == 3


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


@pytest.mark.parametrize(
  ("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx")]
)
def test_a_recording_that_states_no_length_is_found_cut_off(
  tmp_path, name, codec
):
  """As browsers record; only what FFmpeg logs tells it."""
  path = video_files.make(
    tmp_path / name, codec, seed=0, container_options={"live": "1"}
  )
  data = path.read_bytes()
  assert b"DURATION" not in data
  assert len(times_of(path)) == 30
  path.write_bytes(data[: len(data) // 2])
  with pytest.raises(UserError, match="received one that ends prematurely;"):
    times_of(path)
  # Told anew of the next file, too.
  with pytest.raises(UserError, match="received one that ends prematurely;"):
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


# Black for a second, then white.
DARK_THEN_WHITE = [0] * 25 + [255] * 25


def white_at(reader):
  """The time of the first white frame."""
  return next(x.time for x in reader if x.image.mean() > 128)


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_frames_that_an_avi_file_dropped_leave_a_gap(tmp_path, codec):
  times = [tick / 25 for tick in range(50) if not 8 <= tick < 16]
  grays = [255 if time >= 1 else 0 for time in times]
  path = video_files.write_gray(tmp_path / "a.avi", codec, grays, times)
  reader = VideoReader(path)
  np.testing.assert_allclose([x.time for x in reader], times, atol=1e-9)
  assert reader.facts.seconds == pytest.approx(2)
  assert white_at(VideoReader(path)) == pytest.approx(1)


@pytest.mark.parametrize(
  ("ending", "codec"),
  [("h264", "libx264"), ("hevc", "libx265"), ("m2v", "mpeg2video")],
)
@pytest.mark.parametrize("rate", [30, 50])
def test_a_bare_stream_has_the_rate_that_it_states(
  tmp_path, ending, codec, rate
):
  path = tmp_path / f"a.{ending}"
  video_files.make(path, codec, 40, fps=rate)  # With frames out of order.
  np.testing.assert_allclose(times_of(path), np.arange(40) / rate)
  means = [frame.image[-9, -9].mean() for frame in VideoReader(path)]
  assert np.all(np.diff(means) < 1)
  reader = VideoReader(path, source_fps=12.5)
  np.testing.assert_allclose([x.time for x in reader], np.arange(40) / 12.5)
  assert reader.facts.seconds == pytest.approx(40 / 12.5)


def test_a_stated_rate_replaces_wrong_stamps(tmp_path):
  path = video_files.make(tmp_path / "a.mp4", num_frames=5, fps=10)
  reader = VideoReader(path, source_fps=240)
  np.testing.assert_allclose([x.time for x in reader], np.arange(5) / 240)
  assert reader.facts.seconds == pytest.approx(5 / 240)


@pytest.mark.parametrize(
  ("times", "end"),
  [
    # A still at the end; a recording of a screen.
    ([*np.arange(25) / 25, 1.0], 4.0),
    ([*np.arange(25) / 25, *np.arange(2, 10) / 2], 5.0),
  ],
)
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_the_last_frame_is_shown_as_long_as_the_file_says(
  tmp_path, ending, times, end
):
  grays = [255 if time >= 1 else 0 for time in times]
  ends = [*times[1:], end]
  path = tmp_path / f"a.{ending}"
  reader = VideoReader(
    video_files.write_gray(path, "libx264", grays, times, ends)
  )
  np.testing.assert_allclose([x.time for x in reader], times, atol=1e-3)
  assert reader.facts.seconds == pytest.approx(end, abs=1e-3)


def test_the_last_picture_of_a_gif_lasts(tmp_path):
  pictures = [Image.new("L", (64, 64), shade) for shade in (0, 100, 200)]
  durations = {"duration": [100, 100, 3000]}
  pictures[0].save(
    tmp_path / "a.gif", save_all=True, append_images=pictures[1:], **durations
  )
  reader = VideoReader(tmp_path / "a.gif")
  assert [x.time for x in reader] == pytest.approx([0, 0.1, 0.2])
  assert reader.facts.seconds == pytest.approx(3.2)


@pytest.mark.parametrize(
  ("ending", "codec"), [("mpg", "mpeg2video"), ("ts", "libx264")]
)
def test_glued_recordings_follow_one_another(tmp_path, ending, codec):
  parts = []
  for gray in (0, 255):
    path = video_files.write_gray(tmp_path / f"a.{ending}", codec, [gray] * 25)
    parts.append(path.read_bytes())
  path.write_bytes(b"".join(parts))
  reader = VideoReader(path)
  np.testing.assert_allclose([x.time for x in reader], np.arange(50) / 25)
  assert reader.facts.seconds == pytest.approx(2)
  assert "start again, as of glued recordings" in reader.facts.notes[0]
  assert white_at(VideoReader(path)) == pytest.approx(1)


def test_a_broadcast_is_read_from_its_first_whole_frame(tmp_path):
  path = video_files.write_gray(
    tmp_path / "a.ts", "libx264", DARK_THEN_WHITE, g="25"
  )
  packets = path.read_bytes()
  cut = len(packets) // 188 // 8
  path.write_bytes(packets[188 * cut :])
  times = times_of(path)
  np.testing.assert_allclose(times, np.arange(len(times)) / 25)
  assert 20 <= len(times) < 50


def test_a_missing_packet_of_a_broadcast_is_told(tmp_path):
  path = video_files.make(tmp_path / "a.ts", "mpeg2video", seed=0)
  data = path.read_bytes()
  packets = [data[x : x + 188] for x in range(0, len(data), 188)]
  is_picture = [packet[1] & 31 == 1 and packet[2] == 0 for packet in packets]
  missing = [x for x in range(60, 80) if is_picture[x]][0]
  path.write_bytes(b"".join(packets[:missing] + packets[missing + 1 :]))
  with pytest.raises(UserError, match="a.ts: .* damaged or cut off near frame"):
    times_of(path)
  reader = VideoReader(path, keep_damaged=True)
  assert len(list(reader)) == 29
  assert reader.facts.lost == 1
  assert any("not numbered on in 1 place(s)" in x for x in reader.facts.notes)


@pytest.mark.parametrize("sound", [4, 6])
def test_sound_may_be_longer_than_the_picture(tmp_path, sound):
  path = video_files.make_with_sound(tmp_path / "a.wmv", 3.0, sound)
  reader = VideoReader(path)
  np.testing.assert_allclose(
    [x.time for x in reader], np.arange(75) / 25, atol=1e-3
  )
  assert reader.facts.seconds == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize("rotation", [None, 90])
def test_pixels_that_are_not_square(tmp_path, rotation):
  path = video_files.make(
    tmp_path / "a.mp4", num_frames=3, rotation=rotation, sar=Fraction(64, 45)
  )
  reader = VideoReader(path)
  frame = next(iter(reader))
  size = round(video_files.WIDTH * 64 / 45), video_files.HEIGHT
  assert frame.size == (size[::-1] if rotation else size)
  assert (reader.facts.width, reader.facts.height) == frame.size


def test_damaged_files_may_be_kept_as_far_as_they_decode(tmp_path):
  path = video_files.make(
    tmp_path / "a.mp4",
    seed=0,
    num_frames=60,
    container_options={"movflags": "faststart"},
  )
  whole = [frame.image for frame in VideoReader(path)]
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  reader = VideoReader(path, keep_damaged=True)
  frames = list(reader)
  count = len(frames)
  assert 10 < count < 50
  np.testing.assert_allclose([x.time for x in frames], np.arange(count) / 10)
  np.testing.assert_array_equal(frames[-5].image, whole[count - 5])
  assert reader.facts.lost == 60 - count
  assert reader.facts.notes == [
    f"it is damaged or cut off; frames lost: {60 - count}"
  ]


def test_frames_after_a_damaged_one_keep_their_times(tmp_path):
  path = video_files.write_gray(tmp_path / "a.avi", "mjpeg", range(0, 250, 10))
  data = bytearray(path.read_bytes())
  starts = [x.start() for x in re.finditer(b"\xff\xd8\xff", data)]
  # The sixth picture, without the header of the next chunk.
  data[starts[5] : starts[6] - 8] = bytes(starts[6] - 8 - starts[5])
  path.write_bytes(data)
  with pytest.raises(UserError, match="a.avi: "):
    times_of(path)
  reader = VideoReader(path, keep_damaged=True)
  frames = list(reader)
  expected = np.delete(np.arange(25), 5)
  np.testing.assert_allclose([x.time for x in frames], expected / 25)
  means = [frame.image.mean() for frame in frames]
  np.testing.assert_allclose(means, expected * 10, atol=4)
  assert reader.facts.lost == 1


def test_interlaced_frames_are_made_whole(tmp_path):
  def draw(number, seed):
    # A bar moves 8 pixels a frame, 4 between the moments of its fields.
    image = np.zeros((64, 96, 3), np.uint8)
    for field in (0, 1):
      image[field::2, 8 * number + 4 * field :][:, :20] = 200
    return image

  path = tmp_path / "a.mpg"
  video_files.make(
    path, "mpeg2video", 6, 25, draw=draw, options={"flags": "+ildct+ilme"}
  )
  plain, whole = VideoReader(path), VideoReader(path, deinterlace=True)
  made = list(whole)
  steps = [
    abs(np.diff(frames[2].image[20:40, :, 0].astype(int), axis=0)).mean()
    for frames in (list(plain), made)
  ]
  assert steps[1] < steps[0] / 4
  assert [x.time for x in made] == times_of(path)
  assert ["--deinterlace" in x for x in plain.facts.notes] == [True]
  assert not whole.facts.notes


@pytest.mark.parametrize(("number", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_told(tmp_path, number, name):
  path = video_files.make(
    tmp_path / "a.mkv", "libx264", 2, pix_fmt="yuv420p10le", color_trc=number
  )
  reader = VideoReader(path)
  list(reader)
  assert [f"HDR ({name})" in note for note in reader.facts.notes] == [True]


def test_metadata_may_be_anything(tmp_path):
  path = video_files.make(tmp_path / "a.mkv", num_frames=30)
  data = path.read_bytes()
  assert data.count(b"00:00:03.000000000") == 1
  path.write_bytes(data.replace(b"00:00:03.000000000", b"about three secs.."))
  assert len(times_of(path)) == 30


def test_animated_pictures_that_are_not_decoded_are_named(tmp_path):
  pictures = [Image.new("L", (8, 8), shade) for shade in (0, 100)]
  path = tmp_path / "a.webp"
  pictures[0].save(path, save_all=True, append_images=pictures[1:])
  with pytest.raises(UserError, match="a.webp: .*a WebP picture, .*convert it"):
    times_of(path)
  path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
  with pytest.raises(UserError, match="a.webp: .*a HEIC picture, .*convert it"):
    times_of(path)


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
    "import os, pathlib, sys\n"
    "from media.video_reader import VideoReader\n"
    "path = pathlib.Path(sys.argv[1])\n"
    "threads = lambda: len(os.listdir('/proc/self/task'))\n"
    "before, frames = threads(), iter(VideoReader(path))\n"
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
    assert len([frame.image for frame in VideoReader(path)]) == 40
    alive = sum(isinstance(x, av.VideoFrame) for x in gc.get_objects())
  finally:
    gc.enable()
  assert alive <= 2
