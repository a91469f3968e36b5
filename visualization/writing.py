"""Writes clips as .mp4, .gif or .png."""

import os
import pathlib

from PIL import Image

from core.errors import UserError
from core.files import atomic_write
from media.gif_writer import write_gif
from media.video_writer import write_video
from visualization.clips import Clip

# Longest side of a picture in pixels. GIFs compress too little for more.
MAX_SIDES = {".mp4": 1920, ".gif": 960, ".png": 1920}


def check_output(path: str | os.PathLike, interval: float) -> str:
  """Check that a clip can be written so.

  Args:
    path: File to write.
    interval: Milliseconds a frame, 1 to 60000.

  Returns:
    The ending of the path in lower case, a key of `MAX_SIDES`.

  Raises:
    UserError: The ending is none of them, or the interval is out of range.
  """
  ending = pathlib.Path(path).suffix.lower()
  if ending not in MAX_SIDES:
    raise UserError(
      f"--video_path: expected a name that ends in {', '.join(MAX_SIDES)},"
      f" received {path}; change its ending"
    )
  if not 1 <= interval <= 60_000:
    raise UserError(
      "--interval: expected 1 to 60000 milliseconds a frame, received"
      f" {interval:g}; 50 is 20 frames a second"
    )
  return ending


def write_clip(path: str | os.PathLike, clip: Clip, interval: float) -> None:
  """Write a clip, whole or not at all.

  Args:
    path: File to write; its ending, one of `MAX_SIDES`, is the format. A .png
      shows the first picture.
    clip: The clip.
    interval: Milliseconds a frame.

  Raises:
    UserError: The clip is empty, or the file can't be written.
  """
  ending = pathlib.Path(path).suffix.lower()
  if ending == ".gif":
    write_gif(path, clip.length, clip.draw, interval)
  elif ending == ".png":
    with atomic_write(path) as temporary:
      Image.fromarray(clip.draw(0)).save(temporary, "PNG")
  else:
    write_video(path, map(clip.draw, range(clip.length)), fps=1000 / interval)
