"""Tiles of aligned videos: a frame, the color of its phase, a caption.

A video's `frames` may be any object with a shape [L, H, W, 3] that gives frame
i for an integer, so that frames are decoded when they are drawn. They are drawn
as they are: resized to their tile and never rescaled in brightness, so that
what flickers is in the video.
"""

import functools
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from embeddings.types import EmbeddedVideo
from media.colors import NO_PHASE, phase_colors

Color = tuple[int, int, int]
Videos = Sequence[EmbeddedVideo]
# Rows and columns.
Shape = tuple[int, int]
# Most pixels of a picture, (width, height).
Room = tuple[int, int]

# RGB. The reference is amber, a candidate that stands beside it blue.
BACKGROUND = (18, 19, 23)
TEXT = (222, 224, 228)
REFERENCE = (255, 179, 64)
CANDIDATE = (92, 172, 255)

GAP = 6
_BORDER = 3
_BAND = 5
_CAPTION = 22
_FONT_SIZE = 12
# A narrower tile has no room for a caption; in a smaller one nobody can tell
# what it shows.
_CAPTIONED_TILE = 96
_MIN_TILE = 48
# Adds so many pixels at the top, bottom, left and right.
_pad = functools.partial(cv2.copyMakeBorder, borderType=cv2.BORDER_CONSTANT)


class TileStyle(NamedTuple):
  """How tiles look.

  Attributes:
    size: Width and height of the image in a tile.
    captioned: Whether a line of text is below it.
    palette: Color of each phase, and of none, -1; empty without a band.
  """

  size: tuple[int, int]
  captioned: bool
  palette: Mapping[int, Color]


def grid_shape(count: int) -> Shape:
  """Choose a near-square grid, a little wider if that leaves fewer gaps.

  Args:
    count: Number of tiles, at least 1.

  Returns:
    (rows, columns), columns >= rows, with at least `count` places.
  """
  square = math.isqrt(count - 1) + 1
  columns = min((square, square + 1), key=lambda columns: -count % columns)
  return -(-count // columns), columns


def choose_pages(
  videos: Videos, min_side: int, room: Room
) -> tuple[int, Shape, TileStyle]:
  """Choose a grid for all videos, and how many pages of it.

  Args:
    videos: Videos with frames; the first, the reference, is on every page.
    min_side: Frames are enlarged to so many pixels, where there is room.
    room: Most pixels of a page.

  Returns:
    pages: One, unless tiles would be too small to tell what they show.
    shape: Rows and columns.
    style: How tiles look; they lose their captions before there are pages.
  """
  num_others, palette = max(1, len(videos) - 1), phase_palette(videos)
  for pages in range(1, num_others + 1):
    count = 1 + -(-num_others // pages) if len(videos) > 1 else 1
    # Near-square where there is room for it.
    columns = [grid_shape(count)[1], *range(1, count + 1)]
    shapes = [(-(-count // c), c) for c in columns]
    styles = [
      fit_tiles(videos[0], shape, min_side, room, palette) for shape in shapes
    ]
    # Of equally large ones, the first.
    shape, style = max(
      zip(shapes, styles, strict=True),
      key=lambda fit: (fit[1].captioned, fit[1].size),
    )
    if min(style.size) >= _MIN_TILE:
      break
  return pages, shape, style


def fit_tiles(
  reference: EmbeddedVideo,
  shape: Shape,
  min_side: int,
  room: Room,
  palette: Mapping[int, Color],
) -> TileStyle:
  """Choose how tiles look: images as stored, if that has room.

  Args:
    reference: The video whose frames give the aspect.
    shape: Rows and columns of tiles.
    min_side: Frames are enlarged to so many pixels, where there is room.
    room: Most pixels of the picture.
    palette: Color of each phase, see `phase_palette`.

  Returns:
    The style, without captions where tiles are too narrow for them.
  """
  rows, columns = shape
  height, width = reference.frames.shape[1:3]
  for caption in (_CAPTION, 0):
    around = 2 * _BORDER + GAP
    below = caption + _BAND * bool(palette)
    scale = min(
      max(1, min_side / min(width, height)),
      ((room[0] - GAP) / columns - around) / width,
      ((room[1] - GAP) / rows - around - below) / height,
    )
    size = max(1, int(width * scale)), max(1, int(height * scale))
    if size[0] >= _CAPTIONED_TILE:
      break
  return TileStyle(size, caption > 0, palette)


def phase_palette(videos: Videos) -> dict[int, Color]:
  """Give each phase that is labeled, and none of them, -1, a color."""
  labels = (v.labels for v in videos if v.labels is not None)
  count = 1 + max((int(x.max(initial=-1)) for x in labels), default=-1)
  colors = [*phase_colors(count), NO_PHASE] if count else []
  bytes_ = [tuple(round(255 * x) for x in color) for color in colors]
  return dict(zip([*range(count), -1], bytes_, strict=False))


def draw_tile(
  video: EmbeddedVideo, index: int, style: TileStyle, color: Color | None
) -> np.ndarray:
  """Draw a frame with what is below it, and a border if a color is given."""
  names = [f"reference: {video.name}"] * (color == REFERENCE) + [video.name]
  time = math.nan if video.times is None else video.times[index]
  position = f"{time:.2f} s"
  if math.isnan(time):
    position = f"{video.steps[index]}/{video.seq_len}"
  phase = None if video.labels is None else int(video.labels[index])
  band = style.palette.get(phase, BACKGROUND)
  image = fit_image(video.frames[int(index)], style.size)
  tile = add_below(image, style, band, names, position, color or TEXT)
  return add_border(tile, color or BACKGROUND)


def fit_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resize with the aspect kept, centered on the background."""
  height, width = image.shape[:2]
  scale = min(size[0] / width, size[1] / height)
  inner = (max(1, round(width * scale)), max(1, round(height * scale)))
  method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
  left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
  canvas = np.full((size[1], size[0], 3), BACKGROUND, np.uint8)
  resized = cv2.resize(image, inner, interpolation=method)
  canvas[top : top + inner[1], left : left + inner[0]] = resized
  return canvas


def add_below(
  image: np.ndarray,
  style: TileStyle,
  band: Color,
  left: Sequence[str],
  right: str,
  color: Color,
) -> np.ndarray:
  """Add the band and the caption that a style has below an image."""
  parts, width = [image], image.shape[1]
  if style.palette:
    parts.append(np.full((_BAND, width, 3), band, np.uint8))
  if style.captioned:
    parts.append(_caption(width, left, right, color))
  return np.vstack(parts)


def _caption(
  width: int, left: Sequence[str], right: str, color: Color
) -> np.ndarray:
  """Draw a line of text.

  On the left stands the first of the texts that has room beside the right one,
  or else the end of the last, which tells videos apart.
  """
  strip = Image.new("RGB", (width, _CAPTION), BACKGROUND)
  pen, font, room = ImageDraw.Draw(strip), _load_font(), width - 4
  width_of_right = font.getlength(right)
  if width_of_right <= room:
    pen.text((width - 2 - width_of_right, 3), right, color, font)
    room -= int(width_of_right) + 8
  pen.text((2, 3), _fit_text(tuple(left), room), color, font)
  return np.asarray(strip)


@functools.cache
def _fit_text(texts: tuple[str, ...], room: int) -> str:
  last, font = texts[-1], _load_font()
  shorter = [".." + last[start:] for start in range(1, len(last) - 1)]
  fitting = (x for x in [*texts, *shorter] if font.getlength(x) <= room)
  return next(fitting, "")


@functools.cache
def _load_font() -> ImageFont.FreeTypeFont:
  # OpenCV's own have no letters but those of English.
  folder = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
  return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), _FONT_SIZE)


def add_border(image: np.ndarray, color: Color) -> np.ndarray:
  """Add a border, and the gap to the next tile to the right and below."""
  image = _pad(image, *[_BORDER] * 4, value=color)
  return _pad(image, 0, GAP, 0, GAP, value=BACKGROUND)


def add_margin(image: np.ndarray) -> np.ndarray:
  """Add the outer gap; make sides even, as 4:2:0 color needs them."""
  bottom, right = ((side + GAP) % 2 for side in image.shape[:2])
  return _pad(image, GAP, bottom, GAP, right, value=BACKGROUND)
