import os

import numpy as np
import pytest

from core.errors import UserError
from media.video_reader import read_frames
from media.video_writer import write_video
from tests.helpers import video_files


def test_what_was_written_is_read(tmp_path):
  images = [video_files.quartered(number) for number in range(12)]
  path = tmp_path / "a.mp4"
  write_video(path, images, fps=29.97)
  frames = list(read_frames(path))
  times = [frame.time for frame in frames]
  np.testing.assert_allclose(times, np.arange(12) / 29.97, rtol=1e-3)
  for frame, image in zip(frames, images, strict=True):
    # Chroma is at half resolution: only the quarters' borders differ.
    assert np.abs(frame.image.astype(int) - image).mean() < 4
  assert os.listdir(tmp_path) == ["a.mp4"]


def test_odd_sizes_lose_their_last_row_and_column(tmp_path):
  image = video_files.quartered()[:-1, :-1]
  write_video(tmp_path / "a.mp4", [image] * 2, fps=10)
  [first, _] = read_frames(tmp_path / "a.mp4")
  assert first.image.shape == (image.shape[0] - 1, image.shape[1] - 1, 3)


def test_nothing_is_left_of_a_video_without_frames(tmp_path):
  with pytest.raises(UserError, match="a.mp4: expected at least one frame"):
    write_video(tmp_path / "a.mp4", [], fps=10)
  assert not os.listdir(tmp_path)
