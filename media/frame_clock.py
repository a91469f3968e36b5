"""Seconds at which frames are shown, from the time stamps of their stream."""

import pathlib
from fractions import Fraction

from core.errors import UserError

# A stamp that lies less than this before the last one, in seconds, is out of
# order; a piece of a recording that starts again lies further back, or before
# all of its own piece.
_JITTER = Fraction(1, 2)


class FrameClock:
  """Turns time stamps into seconds from the first frame.

  A player shows a frame at its stamp. Where pieces were glued together, stamps
  start again: the next piece then follows the last frame. A jump forward is a
  pause. A frame without stamp follows the one before.

  Args:
    path: The video, for messages.

  Attributes:
    end: Seconds until which the last frame is shown, by its own duration.
    restarts: How often the stamps started again.
  """

  def __init__(self, path: pathlib.Path) -> None:
    self._path = path
    self._count = 0
    self._shift: Fraction | None = None
    # Seconds of the first frame of this piece, and of the last one.
    self._piece = self._last = self.end = Fraction(0)
    self._repeats = 0
    self.restarts = 0

  def tell(self, stamp: Fraction | None, duration: Fraction) -> Fraction:
    """Tell when the next frame is shown.

    Args:
      stamp: Its time stamp in seconds, of any origin; None if it has none.
      duration: Seconds that it is shown.

    Returns:
      Seconds from the first frame, never before the frame before.

    Raises:
      UserError: The stamps are out of order, or many are equal.
    """
    time = self.end
    if stamp is not None:
      if self._shift is None:
        self._shift = time - stamp
      time = stamp + self._shift
      if time < self._last:
        self._restart(stamp, time)
        time = self.end
    is_repeated = self._count and time == self._last
    self._repeats = self._repeats + 1 if is_repeated else 0
    if self._repeats > 1:
      raise self._out_of_order("a third one at the same time")
    self._last, self.end = time, time + duration
    self._count += 1
    return time

  def _restart(self, stamp: Fraction, time: Fraction) -> None:
    """Let the stamps of the next piece follow the last frame."""
    if time > self._piece and self._last - time < _JITTER:
      raise self._out_of_order(f"one {float(self._last - time):.3f} s before")
    self._shift, self._piece = self.end - stamp, self.end
    self.restarts += 1

  def _out_of_order(self, received: str) -> UserError:
    return UserError(
      f"{self._path}: expected a time stamp for frame {self._count} after that"
      f" of frame {self._count - 1}, received {received}; give the rate of the"
      " video with --source_fps, or write it anew (ffmpeg -i OLD NEW.mp4)"
    )
