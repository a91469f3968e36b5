import dataclasses

import numpy as np
import pytest

from applications.embedded_videos import (
  describe_frame,
  load_videos,
  stack_context,
)
from tests.helpers.embedded_videos import timed_videos, write
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


@pytest.fixture
def videos():
  return timed_videos(3, seed=0)


def test_videos_that_can_not_be_compared(videos, tmp_path):
  first, second, third = videos
  path = tmp_path / "e.npy"

  def told(*changed):
    return message_of(load_videos, write(path, changed))

  assert "two or more videos, received one;" in told(first)
  assert "received 'video 1' 2 times;" in told(first, second, second)
  empty = dataclasses.replace(second, name="x").select(np.arange(0))
  assert "received no frames in x;" in told(first, empty)
  third.embs[4, 1] = np.nan
  assert "received NaN or infinity in video 2;" in told(first, third)
  assert len(load_videos(write(path, [first, second])).videos) == 2


def test_times_are_known_or_left_open(videos):
  assert describe_frame(videos[0], 3) == ("video 0", 3, 0.3)
  assert videos[0].known_times is videos[0].times
  videos[0].times[3] = np.nan
  assert describe_frame(videos[0], 3) == ("video 0", 3, "")
  assert videos[0].known_times is None


def test_frames_are_compared_with_those_around_them(videos):
  first, second, _ = videos
  stacked = [stack_context(video) for video in (first, second)]
  for i, j in ((10, 12), (0, 20), (3, len(second.embs) - 1)):
    squares = [
      np.sum((first.embs[max(i + o, 0)] - second.embs[y]) ** 2)
      for o in range(-6, 7)
      for y in [min(max(j + o, 0), len(second.embs) - 1)]
    ]
    distance = np.linalg.norm(stacked[0][i] - stacked[1][j])
    assert distance == pytest.approx(np.sqrt(np.mean(squares)))


@pytest.mark.parametrize(
  ("command", "flag"),
  [
    ("transfer_labels", "labeled_video"),
    ("find_frames", "query"),
    ("find_anomalies", "reference_video"),
    ("synchronize", "video_dir"),
  ],
)
def test_help_lists_all_flags_without_tensorflow(command, flag):
  arguments = ("-X", "importtime", "-m", f"applications.{command}", "--help")
  done = run_python(*arguments)
  for name in ("embs_path", "output_dir", flag):
    assert f"--{name}:" in done.stdout
  assert "| absl" in done.stderr.replace("  ", "")
  assert "| tensorflow" not in done.stderr.replace("  ", "")
