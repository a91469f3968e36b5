import cv2
import numpy as np
import pytest

from dataset_preparation import conversion
from dataset_preparation.conversion import FrameEncoding
from media import videos
from media.image_folders import Frame
from tests.helpers import video_files


def frames_at(times):
  image = np.zeros((1, 1, 3), np.uint8)
  return [Frame(index, time, lambda: image) for index, time in enumerate(times)]


def kept(times, fps):
  return [
    frame.time for frame in conversion.at_rate(frames_at(times), fps, "a.mp4")
  ]


def test_the_frame_nearest_to_each_tick_is_kept():
  rng = np.random.default_rng(0)
  for fps in (1, 2.5, 4):
    times = np.cumsum(rng.uniform(0.02, 0.3, 60))
    times = [0.0, *times]
    ticks = np.arange(0, times[-1], 1 / fps)
    nearest = {min(times, key=lambda time, t=t: abs(time - t)) for t in ticks}
    assert kept(times, fps) == sorted(nearest)


def test_frames_that_are_dropped_are_never_decoded(tmp_path, monkeypatch):
  path = video_files.make(tmp_path / "a.mp4", num_frames=12, fps=20)
  asked = []
  image = videos.Frame.image
  monkeypatch.setattr(
    videos.Frame,
    "image",
    property(lambda frame: asked.append(frame.time) or image.fget(frame)),
  )
  report = conversion.convert(
    conversion.Source("a", path), FrameEncoding(fps=5), tmp_path / "a.tfrecord"
  )
  assert len(asked) == report.num_frames == 3


@pytest.mark.parametrize("rate", [24, 25, 29.97, 30, 60])
def test_even_rates_are_kept_evenly(rate):
  times = [k / rate for k in range(200)]
  assert kept(times, 0) == times
  assert kept(times, rate) == times
  assert kept(times, rate / 2) == times[::2]
  assert kept(times, rate / 5) == times[::5]
  # Time stamps in milliseconds, as of Matroska files.
  assert len(kept([round(time, 3) for time in times], rate / 2)) == 100


def encode(image, storing, jpeg=None):
  return conversion.encode(Frame(0, 0.0, lambda: image, jpeg), storing, "a.mp4")


def decoded(image, storing):
  jpeg, size = encode(image, storing)
  found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
  assert found.shape[1::-1] == size
  return found.astype(int)


def test_shrinking_averages_over_areas():
  rng = np.random.default_rng(0)
  image = np.repeat(rng.integers(0, 255, (16, 16, 1), np.uint8), 3, axis=2)
  means = image.reshape(4, 4, 4, 4, 3).mean((1, 3)).round().astype(np.uint8)
  small = decoded(image, FrameEncoding(size=(4, 4)))
  np.testing.assert_allclose(
    small, decoded(means, FrameEncoding(size=None)), atol=2
  )


@pytest.mark.parametrize(
  ("width", "height", "rotate", "expected"),
  [
    (96, 64, 0, (48, 32)),
    (64, 96, 0, (32, 48)),
    (96, 64, 90, (32, 48)),
    (33, 65, 0, (32, 63)),
    (7, 7, 0, (32, 32)),
  ],
)
def test_short_side_keeps_the_aspect_ratio(width, height, rotate, expected):
  image = np.zeros((height, width, 3), np.uint8)
  found = decoded(image, FrameEncoding(short_side=32, rotate=rotate))
  assert found.shape[1::-1] == expected


def test_quality_sets_the_size_of_the_file():
  image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
  small, large = (
    len(encode(image, FrameEncoding(quality=q))[0]) for q in (20, 95)
  )
  assert small < large / 2


def test_a_jpeg_is_taken_over_unless_something_has_to_be_changed():
  image = np.zeros((8, 12, 3), np.uint8)
  for storing in (FrameEncoding(size=None), FrameEncoding(size=(12, 8))):
    assert encode(image, storing, b"as it is") == (b"as it is", (12, 8))
  for storing in (FrameEncoding(), FrameEncoding(size=None, rotate=180)):
    assert encode(image, storing, b"as it is")[0] != b"as it is"
