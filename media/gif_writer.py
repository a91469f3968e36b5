"""Writes animated GIFs with one palette, so that colors don't flicker."""

import os
import pathlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from core.errors import UserError
from core.files import atomic_write
from core.progress import progress

# The last of the format's 256 colors marks pixels that don't change.
_COLORS = 255
_SAMPLES = 16
_SAMPLED_PIXELS = 2**20


def write_gif(
  path: str | os.PathLike,
  length: int,
  draw: Callable[[int], np.ndarray],
  interval: float,
) -> None:
  """Write a GIF that loops; show how far it is on a terminal.

  The colors are chosen once, from frames spread over the whole, and used
  without dithering, so that a constant color looks the same in every frame. A
  run of equal frames is stored as one longer frame.

  Args:
    path: File to write, ending in `.gif`.
    length: Number of frames.
    draw: Returns frame i as [H, W, 3] uint8 RGB, all of one size. Called twice
      for some frames.
    interval: Milliseconds per frame, rounded to the format's steps of 10; at
      least 20, because players slow down anything faster.

  Raises:
    UserError: There are no frames, or the file can't be written.
  """
  if length < 1:
    raise UserError(f"{path}: expected at least one frame, received none")
  palette = _choose_palette(length, draw)
  pictures = (
    Image.fromarray(draw(i)).quantize(palette=palette, dither=Image.Dither.NONE)
    for i in progress(range(length), pathlib.Path(path).name)
  )
  with atomic_write(path) as temporary:
    next(pictures).save(
      temporary,
      format="GIF",
      save_all=True,
      append_images=pictures,
      duration=max(20, round(interval / 10) * 10),
      loop=0,
      # Otherwise every frame gets a color table of its own.
      palette=bytes(palette.getpalette()),
      # Store only what changes from frame to frame.
      optimize=True,
    )


def _choose_palette(
  length: int, draw: Callable[[int], np.ndarray]
) -> Image.Image:
  """Choose 255 colors for all frames from a sample of their pixels."""
  picks = np.unique(np.linspace(0, length - 1, _SAMPLES).astype(int))
  pixels = np.concatenate([draw(i).reshape(-1, 3) for i in picks])
  pixels = pixels[:: max(1, len(pixels) // _SAMPLED_PIXELS)]
  sample = Image.fromarray(pixels[None])
  return sample.quantize(_COLORS, method=Image.Quantize.MEDIANCUT)
