import pathlib
from fractions import Fraction

import pytest

from core.errors import UserError
from media.frame_clock import FrameClock


def tell(stamps, duration=1):
  """Times of frames whose stamps are in ticks of 0.1 s."""
  clock = FrameClock(pathlib.Path("a.ts"))
  ticks = [None if x is None else Fraction(x, 10) for x in stamps]
  times = [clock.tell(tick, Fraction(duration, 10)) for tick in ticks]
  return [round(float(time) * 10, 6) for time in times], clock


@pytest.mark.parametrize(
  ("stamps", "times", "restarts"),
  [
    # From any origin, and with a pause.
    ([57, 58, 59], [0, 1, 2], 0),
    ([0, 1, 6000, 6001], [0, 1, 6000, 6001], 0),
    # Without stamps, at the beginning, in the middle, everywhere.
    ([None, None, 7, 8], [0, 1, 2, 3], 0),
    ([3, None, None, 6], [0, 1, 2, 3], 0),
    ([None] * 4, [0, 1, 2, 3], 0),
    # Pieces that start again: at the same stamp, at another, twice.
    ([4, 5, 6, 4, 5, 6], [0, 1, 2, 3, 4, 5], 1),
    ([40, 41, 42, 8, 9], [0, 1, 2, 3, 4], 1),
    ([9, 10, 0, 1, 0, 1], [0, 1, 2, 3, 4, 5], 2),
    # The beginning of a cut Ogg file.
    ([2**58, 2**58 + 1, 2, 3], [0, 1, 2, 3], 1),
    # A piece that starts amid the stamps of the one before.
    ([0, *range(1, 20), 10, 11], [*range(22)], 1),
    # Two frames at one time.
    ([0, 1, 1, 2], [0, 1, 1, 2], 0),
  ],
)
def test_frames_are_shown_at_their_stamps(stamps, times, restarts):
  found, clock = tell(stamps)
  assert (found, clock.restarts) == (times, restarts)
  assert float(clock.end) * 10 == pytest.approx(times[-1] + 1)


def test_the_next_piece_waits_for_the_end_of_the_last_frame():
  assert tell([0, 1, 0], duration=30)[0] == [0, 1, 31]


@pytest.mark.parametrize(
  ("stamps", "message"),
  [
    (
      [0, 3, 1],
      "for frame 2 after that of frame 1, received one 0.200 s before",
    ),
    ([5, 5, 5], "for frame 2 after that of frame 1, received a third one"),
  ],
)
def test_stamps_that_make_no_sense_are_told(stamps, message):
  with pytest.raises(UserError, match=rf"^a\.ts: .*{message}.*--source_fps"):
    tell(stamps)
