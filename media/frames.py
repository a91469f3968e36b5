"""A frame of a video or of an image folder, and which frames to keep."""

import dataclasses
import math
import os
import statistics
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from core.errors import UserError

# Tolerance for rates: 30 and 29.97 frames per second count as the same.
_RATE_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Frame:
  """A frame whose pixels are made when they are asked for.

  Attributes:
    index: Number of the frame in its source, from 0.
    time: Seconds since the first frame.
    decode: Returns the upright image as [H, W, 3] uint8 RGB. Raises a UserError
      if the pixels can't be converted.
    jpeg: The encoded image, if the source stores this frame as an upright RGB
      or gray JPEG; otherwise None.
    size: Width and height on the screen, in pixels; None for the image's.
  """

  index: int
  time: float
  decode: Callable[[], np.ndarray]
  jpeg: bytes | None = None
  size: tuple[int, int] | None = None

  @property
  def image(self) -> np.ndarray:
    """[H, W, 3] uint8 RGB, decoded anew each time to keep frames small."""
    return self.decode()


@dataclasses.dataclass
class SourceFacts:
  """What is known of a video or an image folder.

  Attributes:
    num_frames: Number of frames read so far.
    seconds: Time from the first frame to the end of the last one read.
    width: Width on the screen, in pixels.
    height: Height on the screen, in pixels.
    codec: Name of the codec; empty for images.
    stream: The stream that was chosen; empty if there is no other.
    rotation: Degrees clockwise that the metadata asks for.
    lost: Number of frames that could not be decoded, as far as it is known.
    notes: What the user should know, as sentences about the video.
  """

  num_frames: int = 0
  seconds: float = 0.0
  width: int = 0
  height: int = 0
  codec: str = ""
  stream: str = ""
  rotation: int = 0
  lost: int = 0
  notes: list[str] = dataclasses.field(default_factory=list)


def select_frames(
  frames: Iterable[Frame], fps: float, path: str | os.PathLike
) -> Iterator[Frame]:
  """Lower the frame rate by dropping frames.

  Args:
    frames: At least one frame, in order of time, the first at 0 s.
    fps: Ticks per second, the first at 0 s. 0 keeps every frame.
    path: The video, for messages.

  Yields:
    For each tick the nearest frame, the earlier of two equally near ones; each
    frame at most once.

  Raises:
    UserError: The video has a lower rate than `fps`, by the median interval of
      its frames, as a pause says nothing of the rate. Raised after the last
      frame, because only the time stamps tell the rate reliably.
  """
  if not fps:
    yield from frames
    return
  done, previous, intervals = -1, None, []
  for frame in frames:
    if previous is not None:
      intervals.append(frame.time - previous.time)
      # `previous` is the nearest to the ticks up to half-way to `frame`.
      ticks = _count_ticks((previous.time + frame.time) / 2, fps)
      if ticks > done:
        yield previous
        done = ticks
    previous = frame
  if _count_ticks(previous.time, fps) > done:
    yield previous
  interval = statistics.median(intervals) if intervals else 0.0
  if interval * fps * (1 - _RATE_TOLERANCE) > 1:
    raise UserError(
      f"{path}: expected at least the {fps:g} frames per second of --fps,"
      f" received {1 / interval:.4g}; give a lower --fps (frames are dropped,"
      " never made up)"
    )


def _count_ticks(time: float, fps: float) -> int:
  # A millionth of a tick makes up for rounding.
  return math.floor(time * fps + 1e-6)
