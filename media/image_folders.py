"""Folders of images as videos: natural order, JPEGs kept as they are."""

import io
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

from core.errors import UserError
from core.files import raise_unreadable
from media.frames import Frame, SourceFacts

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_ORIENTATION = 0x0112  # EXIF tag; 1 is upright.


def natural_order(name: str) -> tuple[list, str]:
  """Return a sorting key that puts `img2` before `img10`."""
  # Every second part is a number.
  parts = re.split(r"([0-9]+)", name)
  parts[1::2] = map(int, parts[1::2])
  return parts, name


def list_folder(folder: pathlib.Path) -> list[pathlib.Path]:
  """List everything in a folder by name.

  Raises:
    UserError: The folder can't be read.
  """
  try:
    return sorted(folder.iterdir())
  except OSError as error:
    raise_unreadable(error)


def list_images(
  folder: pathlib.Path, endings: Sequence[str]
) -> list[pathlib.Path]:
  """List the images of a folder in natural order.

  Args:
    folder: The folder; its subfolders are not searched.
    endings: Endings of the images' names, lower case.

  Returns:
    Paths of the images, without names that start with a dot.
  """
  shown = (x for x in list_folder(folder) if not x.name.startswith("."))
  found = (x for x in shown if x.suffix.lower() in endings and not x.is_dir())
  return sorted(found, key=lambda path: natural_order(path.name))


class ImageFolderReader:
  """Reads the images of a folder as frames, one in memory at a time.

  Iterating yields the frames in natural order of the names. Raises a UserError
  if there is no image, or one can't be decoded.

  Args:
    folder: The folder.
    fps: Images per second; 0 if unknown, then all have time 0.
    endings: Endings of the images' names, lower case.

  Attributes:
    facts: What is known of the images; complete after the last one.
  """

  def __init__(
    self, folder: pathlib.Path, fps: float, endings: Sequence[str]
  ) -> None:
    self._folder, self._fps, self._endings = folder, fps, endings
    self.facts = SourceFacts()

  def __iter__(self) -> Iterator[Frame]:
    """Yield the frames."""
    paths = list_images(self._folder, self._endings)
    if not paths:
      raise UserError(
        f"{self._folder}: expected images ({', '.join(self._endings)}),"
        " received none; remove the folder or correct --extension"
      )
    interval = 1 / self._fps if self._fps else 0.0
    for index, path in enumerate(paths):
      pixels, jpeg = _read_image(path)
      facts = self.facts
      facts.num_frames, facts.seconds = index + 1, (index + 1) * interval
      facts.height, facts.width = pixels.shape[:2]
      time = index * interval
      yield Frame(index, time, lambda pixels=pixels: pixels, jpeg)


def _read_image(path: pathlib.Path) -> tuple[np.ndarray, bytes | None]:
  """Return the pixels, and the file's bytes if it is an upright JPEG."""
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
        black = Image.new("RGBA", upright.size, "black")
        upright = Image.alpha_composite(black, upright.convert("RGBA"))
      if upright.mode.startswith("I;16"):
        # Pillow would clip instead of scaling.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
      return np.asarray(upright.convert("RGB")), data if plain else None
  # Pillow raises SyntaxError and ValueError for some damaged files.
  except (OSError, SyntaxError, ValueError) as error:
    raise UserError(
      f"{path}: expected a whole image file, received one that can't be decoded"
      f" ({str(error) or 'damaged'}); replace or remove it"
    ) from error
