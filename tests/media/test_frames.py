import numpy as np
import pytest

from media.frames import Frame, select_frames
from tests.helpers.errors import message_of


def select_times(times, fps):
  frames = [Frame(index, time, None) for index, time in enumerate(times)]
  # Nothing is decoded.
  return [frame.time for frame in select_frames(frames, fps, "a.mp4")]


def test_the_frame_nearest_to_each_tick_is_kept():
  rng = np.random.default_rng(0)
  for fps in (1, 2.5, 4):
    times = [0.0, *np.cumsum(rng.uniform(0.02, 0.3, 60))]
    ticks = np.arange(0, times[-1], 1 / fps)
    nearest = {min(times, key=lambda time, t=t: abs(time - t)) for t in ticks}
    assert select_times(times, fps) == sorted(nearest)


@pytest.mark.parametrize("rate", [24, 25, 29.97, 30, 60])
def test_even_rates_are_kept_evenly(rate):
  times = [k / rate for k in range(200)]
  assert select_times(times, 0) == times
  assert select_times(times, rate) == times
  assert select_times(times, rate / 2) == times[::2]
  assert select_times(times, rate / 5) == times[::5]
  # Time stamps in milliseconds, as of Matroska files.
  assert len(select_times([round(time, 3) for time in times], rate / 2)) == 100


def test_a_rate_above_the_videos_is_refused():
  assert message_of(select_times, [k / 10 for k in range(20)], 15) == (
    "a.mp4: expected at least the 15 frames per second of --fps, received 10;"
    " give a lower --fps (frames are dropped, never made up)"
  )
