import os

import av
import numpy as np
import pytest

from core.errors import UserError
from media.video_reader import VideoReader
from media.video_writer import CLOCK_RATE, count_ticks, write_video
from tests.helpers import video_files


def test_what_was_written_is_read(tmp_path):
  images = [video_files.quartered(number) for number in range(12)]
  path = tmp_path / "a.mp4"
  write_video(path, images, fps=29.97)
  frames = list(VideoReader(path))
  times = [frame.time for frame in frames]
  np.testing.assert_allclose(times, np.arange(12) / 29.97, rtol=1e-3)
  for frame, image in zip(frames, images, strict=True):
    # Chroma is at half resolution: only the quarters' borders differ.
    assert np.abs(frame.image.astype(int) - image).mean() < 4
  assert os.listdir(tmp_path) == ["a.mp4"]


def test_odd_sizes_lose_their_last_row_and_column(tmp_path):
  image = video_files.quartered()[:-1, :-1]
  write_video(tmp_path / "a.mp4", [image] * 2, fps=10)
  [first, _] = VideoReader(tmp_path / "a.mp4")
  assert first.image.shape == (image.shape[0] - 1, image.shape[1] - 1, 3)


def test_nothing_is_left_of_a_video_without_frames(tmp_path):
  with pytest.raises(UserError, match="a.mp4: expected at least one frame"):
    write_video(tmp_path / "a.mp4", [], fps=10)
  assert not os.listdir(tmp_path)


def test_frames_are_shown_at_their_times(tmp_path):
  # The first three lie within a tick; the last frame is shown for 2 s.
  times = [0, 0, 1e-6, 0.1, 1 / 3, 5, 3600.25, 3602.25]
  images = [np.full((16, 16, 3), 30 * number, np.uint8) for number in range(7)]
  write_video(tmp_path / "a.mp4", images, times=times)
  reader = VideoReader(tmp_path / "a.mp4")
  found = [(frame.time, frame.image.mean()) for frame in reader]
  ticks = count_ticks(times)
  assert ticks == [0, 1, 2, 9000, 30000, 450000, 324022500, 324202500]
  assert [time for time, _ in found] == [x / CLOCK_RATE for x in ticks[:-1]]
  shades = [shade for _, shade in found]
  np.testing.assert_allclose(shades, 30 * np.arange(7), atol=3)
  assert reader.facts.seconds == 3602.25
  with av.open(tmp_path / "a.mp4") as file:
    assert file.duration == 3602.25e6
    [stream] = file.streams
    assert stream.duration * stream.time_base == 3602.25
