"""Writes clips as .mp4, .gif or .png."""

import os
import pathlib

import numpy as np
from PIL import Image

from core.errors import UserError
from core.files import atomic_write
from core.progress import progress
from media.gif_writer import write_gif
from media.video_writer import write_video
from visualization.clips import DEFAULT_ROOM, Clip

# Most pixels of a picture, (width, height). GIFs compress too little for more.
ROOMS = {".mp4": DEFAULT_ROOM, ".gif": (960, 960), ".png": (1920, 1920)}


def check_output(path: str | os.PathLike, interval: float | None) -> str:
  """Check that a clip can be written so.

  Args:
    path: File to write.
    interval: Milliseconds a frame, 1 to 60000, or None.

  Returns:
    The ending of the path in lower case, a key of `ROOMS`.

  Raises:
    UserError: The ending is none of them, or the interval is out of range.
  """
  ending = pathlib.Path(path).suffix.lower()
  if ending not in ROOMS:
    raise UserError(
      f"--video_path: expected a name that ends in {', '.join(ROOMS)},"
      f" received {path}; change its ending"
    )
  if interval is not None and not 1 <= interval <= 60_000:
    raise UserError(
      "--interval: expected 1 to 60000 milliseconds a frame, received"
      f" {interval:g}; 50 is 20 frames a second"
    )
  return ending


def write_clip(path: str | os.PathLike, clip: Clip) -> None:
  """Write a clip, whole or not at all; show how far it is.

  Args:
    path: File to write; its ending, one of `ROOMS`, is the format. An .mp4 is
      H.264 that browsers and phones play, with the durations of the clip. All
      pictures of a .gif are shown for the median of these. A .png is the first
      picture.
    clip: The clip.

  Raises:
    UserError: The clip is empty, or the file can't be written.
  """
  path = pathlib.Path(path)
  if not clip.length:
    raise UserError(f"{path}: expected at least one frame, received none")
  ending = path.suffix.lower()
  if ending == ".png":
    with atomic_write(path) as temporary:
      Image.fromarray(clip.draw(0)).save(temporary, "PNG")
  elif ending == ".gif":
    interval = 1000 * float(np.median(clip.durations))
    write_gif(path, clip.length, clip.draw, interval)
  else:
    numbers = progress(range(clip.length), path.name)
    write_video(path, map(clip.draw, numbers), **_timing(clip.durations))


def _timing(durations: np.ndarray) -> dict[str, float | np.ndarray]:
  """Give the rate of pictures that are evenly spaced, the times of others."""
  times = np.append(0, np.cumsum(durations))
  even = np.linspace(0, times[-1], len(times))
  # Stored times are rounded.
  if np.abs(times - even).max() < 0.1 * np.mean(durations):
    return {"fps": len(durations) / times[-1]}
  return {"times": times}
