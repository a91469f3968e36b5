"""Draw a contact sheet: frames of videos above bands of their phases."""

import io
import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath
from PIL import Image

from media.colors import NO_PHASE, Color, phase_colors

_THUMBNAIL_HEIGHT = 96  # Pixels.
_BAND_HEIGHT = 10
_GAP = 14
_LABEL_WIDTH = 190
_MARGIN = 10
_DPI = 100
_FONT_SIZE = 8  # Points.
# In the legend, in heights of its font: a patch and the gaps around a name; a
# line and the gap to the next.
_EXTRA_WIDTH, _LINE_HEIGHT = 5.5, 1.55
_LONGEST_NAME = 60


class SheetVideo(NamedTuple):
  """A video on a contact sheet.

  Attributes:
    name: Its name.
    jpegs: [L] encoded frames, at least one.
    labels: [L] phases, -1 where there is none; empty without labels.
  """

  name: str
  jpegs: Sequence[bytes]
  labels: Sequence[int]


def draw_contact_sheet(
  videos: Sequence[SheetVideo], class_names: Sequence[str], num_frames: int
) -> np.ndarray:
  """Draw a row a video: evenly spaced frames above a band of its phases.

  Args:
    videos: The videos, at least one.
    class_names: Names of the phases.
    num_frames: Frames a video.

  Returns:
    [H, W, 3] uint8 RGB.
  """
  labels = {label for video in videos for label in video.labels}
  colors = phase_colors(max(len(class_names), *(x + 1 for x in labels), 0))
  legend = list(zip(map(_shorten, class_names), colors, strict=False))
  if -1 in labels:
    legend.append(("no phase", NO_PHASE))
  strips = [_draw_strip(video, num_frames, colors) for video in videos]
  entry_width = max((_entry_width(name) for name, _ in legend), default=1)
  strip_width = max(strip.shape[1] for strip in strips)
  width = max(_LABEL_WIDTH + strip_width, entry_width + 2 * _MARGIN)
  columns = (width - 2 * _MARGIN) // entry_width
  lines = -(-len(legend) // columns)
  legend_height = 2 * _MARGIN + _to_pixels(lines * _LINE_HEIGHT)
  height = legend_height + sum(len(strip) + _GAP for strip in strips)
  figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)
  canvas = FigureCanvasAgg(figure)
  top = height - legend_height
  for video, strip in zip(videos, strips, strict=True):
    # One pixel of the strip is one of the picture.
    figure.figimage(strip, _LABEL_WIDTH, top - len(strip), origin="upper")
    title = textwrap.fill(_shorten(video.name), 24)
    text, y = f"{title}\n{len(video.jpegs)} frames", top - len(strip) / 2
    figure.text(8 / width, y / height, text, fontsize=_FONT_SIZE, va="center")
    top -= len(strip) + _GAP
  if legend:
    handles = [Patch(color=color, label=name) for name, color in legend]
    options = {"loc": "upper left", "ncols": columns, "frameon": False}
    figure.legend(handles=handles, fontsize=_FONT_SIZE, **options)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _entry_width(name: str) -> int:
  """Return the pixels that an entry of the legend takes."""
  width = TextPath((0, 0), name, size=_FONT_SIZE).get_extents().width
  return _to_pixels(width / _FONT_SIZE + _EXTRA_WIDTH)


def _to_pixels(heights: float) -> int:
  """Convert heights of the font to pixels."""
  return math.ceil(heights * _FONT_SIZE * _DPI / 72)


def _shorten(name: str) -> str:
  fits = len(name) <= _LONGEST_NAME
  return name if fits else f"{name[: _LONGEST_NAME - 3]}..."


def _draw_strip(
  video: SheetVideo, num_frames: int, colors: Sequence[Color]
) -> np.ndarray:
  """Draw frames of a video beside each other, its phases in a band below."""
  steps = np.linspace(0, len(video.jpegs) - 1, num_frames).round().astype(int)
  row = np.concatenate([_thumbnail(video.jpegs[t]) for t in steps], axis=1)
  if not video.labels:
    return row
  # Each column has the color of the frame at this share of the video.
  columns = np.arange(row.shape[1]) * len(video.labels) // row.shape[1]
  palette = np.array([*colors, NO_PHASE])
  line = palette[[video.labels[t] for t in columns]] * 255
  band = np.tile(line.astype(np.uint8), (_BAND_HEIGHT, 1, 1))
  return np.concatenate([row, band])


def _thumbnail(jpeg: bytes) -> np.ndarray:
  image = Image.open(io.BytesIO(jpeg)).convert("RGB")
  width = max(1, round(image.width * _THUMBNAIL_HEIGHT / image.height))
  size = width, _THUMBNAIL_HEIGHT
  return np.asarray(image.resize(size, Image.Resampling.BOX))
