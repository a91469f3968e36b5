"""Animated GIFs of one palette, so that colors don't flicker."""

import os
from collections.abc import Callable

import numpy as np
from PIL import Image

from core.errors import UserError
from core.files import atomic_write

# The last of the 256 that the format has marks pixels that stay as they are.
_COLORS = 255
_SAMPLES = 16
_SAMPLED_PIXELS = 2**20


def write(
  path: str | os.PathLike,
  length: int,
  draw: Callable[[int], np.ndarray],
  interval: float,
) -> None:
  """Writes a GIF that loops.

  The colors are chosen once, from frames spread over the whole, and used
  without dithering: a color that stays the same is drawn the same in each
  frame. A run of equal frames is stored as one that lasts longer.

  Args:
    path: File to write, ending in `.gif`.
    length: Number of frames.
    draw: Gives frame i, [H, W, 3] uint8 RGB, all of one size. Some frames are
      asked for twice.
    interval: Milliseconds a frame; the format counts in steps of 10, and
      players slow down what is faster than 20.

  Raises:
    UserError: There are no frames or the file can't be written.
  """
  if length < 1:
    raise UserError(f"{path}: no frames to write")
  palette = _palette(length, draw)
  pictures = (
    Image.fromarray(draw(i)).quantize(palette=palette, dither=Image.Dither.NONE)
    for i in range(length)
  )
  with atomic_write(path) as temporary:
    next(pictures).save(
      temporary,
      format="GIF",
      save_all=True,
      append_images=pictures,
      duration=max(20, round(interval / 10) * 10),
      loop=0,
      # Without it every frame would get a table of colors of its own.
      palette=bytes(palette.getpalette()),
      # What stays the same from frame to frame is not stored again.
      optimize=True,
    )


def _palette(length: int, draw: Callable[[int], np.ndarray]) -> Image.Image:
  """255 colors for all frames, from a sample of their pixels."""
  picks = np.unique(np.linspace(0, length - 1, _SAMPLES).astype(int))
  pixels = np.concatenate([draw(i).reshape(-1, 3) for i in picks])
  pixels = pixels[:: max(1, len(pixels) // _SAMPLED_PIXELS)]
  return Image.fromarray(pixels[None]).quantize(
    _COLORS, method=Image.Quantize.MEDIANCUT
  )
