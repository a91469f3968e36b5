"""Folders of images as videos: natural order, JPEGs taken over as they are."""

import io
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import UserError
from core.files import raise_unreadable

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_ORIENTATION = 0x0112  # EXIF tag; 1 is upright.


class Frame(NamedTuple):
  """One frame of a source.

  Attributes:
    index: Its number in the source.
    time: Seconds since the first one.
    decode: Gives it as [H, W, 3] uint8 RGB; not called for frames that are
      dropped. A UserError tells that it can't.
    jpeg: The same as a JPEG, where the source has it upright and in RGB or
      gray; otherwise None.
  """

  index: int
  time: float
  decode: Callable[[], np.ndarray]
  jpeg: bytes | None = None


def natural_order(name: str) -> tuple[list, str]:
  """Sorting key by which `img2` comes before `img10`."""
  # Every second part is a number.
  parts = re.split(r"([0-9]+)", name)
  parts[1::2] = map(int, parts[1::2])
  return parts, name


def listed(folder: pathlib.Path) -> list[pathlib.Path]:
  """All that is in a folder, by name.

  Args:
    folder: The folder.

  Returns:
    The paths.

  Raises:
    UserError: It can't be read.
  """
  try:
    return sorted(folder.iterdir())
  except OSError as error:
    raise_unreadable(error)


def files(folder: pathlib.Path, endings: Sequence[str]) -> list[pathlib.Path]:
  """The images of a folder, in natural order.

  Args:
    folder: The folder; folders in it are not searched.
    endings: Of the names, lower case.

  Returns:
    Their paths; of names that start with a dot, none.
  """
  found = [
    path
    for path in listed(folder)
    if path.suffix.lower() in endings
    and path.is_file()
    and not path.name.startswith(".")
  ]
  return sorted(found, key=lambda path: natural_order(path.name))


def read(
  folder: pathlib.Path,
  fps: float,
  endings: Sequence[str],
) -> Iterator[Frame]:
  """Reads the images of a folder as frames, one in memory at a time.

  Args:
    folder: The folder.
    fps: Images a second; 0 = unknown, all have time 0.
    endings: Of the names, lower case.

  Yields:
    The frames in natural order of the names.

  Raises:
    UserError: There is no image, or one can't be decoded.
  """
  paths = files(folder, endings)
  if not paths:
    raise UserError(
      f"{folder}: holds no images ({', '.join(endings)}); expected at least"
      " one, remove the folder or correct --extension"
    )
  for index, path in enumerate(paths):
    yield _frame(path, index, index / fps if fps else 0.0)


def _frame(path: pathlib.Path, index: int, time: float) -> Frame:
  try:
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
      plain = (
        image.format == "JPEG"
        and image.mode in ("RGB", "L")
        and image.getexif().get(_ORIENTATION, 1) == 1
      )
      upright = ImageOps.exif_transpose(image)
      # Transparent parts would show whatever color lies under them.
      if upright.has_transparency_data:
        upright = Image.alpha_composite(
          Image.new("RGBA", upright.size, "black"), upright.convert("RGBA")
        )
      if upright.mode.startswith("I;16"):
        # Pillow would clip where it should scale.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
      pixels = np.asarray(upright.convert("RGB"))
  except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
    raise UserError(
      f"{path}: can't be decoded as an image ({str(error) or 'damaged'});"
      " expected a whole image file, replace or remove it"
    ) from error
  return Frame(index, time, lambda: pixels, data if plain else None)
