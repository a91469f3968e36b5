"""Strips of pictures: frames of a video, and the nearest ones of others."""

import functools
import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from scipy.spatial.distance import cdist

from embeddings.types import EmbeddedSplit, EmbeddedVideo
from evaluation import plots
from evaluation.result import Result
from media.colors import NO_PHASE, phase_colors

_NUM_STRIPS = 3
_NUM_OTHERS = 5
_NUM_MOMENTS = 8
_THUMBNAIL = 96
_BAND = 8
_DPI = 100


def show_neighbors(
  dataset_name: str, val: EmbeddedSplit, distance: str
) -> Result:
  """Give strips of validation videos; they need no labels.

  Args:
    dataset_name: Name of the data set, for tags.
    val: Validation videos; of those with frames the first three are asked for.
    distance: `sqeuclidean` or `cosine`.

  Returns:
    No metrics; the images `neighbors/{d}_val_{i}`.
  """
  usable = [v for v in val.videos if v.frames is not None and v.finite.any()]
  strips = {}
  for number in range(min(_NUM_STRIPS, len(usable) - 1)):
    others = [*usable[number + 1 :], *usable[:number]][:_NUM_OTHERS]
    draw = functools.partial(draw_strip, [usable[number], *others], distance)
    strips[f"neighbors/{dataset_name}_val_{number}"] = draw
  return Result(math.nan, (), {}, strips)


def find_rows(
  videos: Sequence[EmbeddedVideo], distance: str, num_moments: int
) -> np.ndarray:
  """Choose frames of the first video, and find the nearest of each other.

  Args:
    videos: V videos with at least one finite frame each.
    distance: `sqeuclidean` or `cosine`.
    num_moments: M, the frames of the first video, evenly spaced.

  Returns:
    [V, M] rows of each video.
  """
  query, *others = videos
  finite = np.flatnonzero(query.finite)
  moments = np.linspace(0, len(finite) - 1, num_moments).round().astype(int)
  rows = [finite[moments]]
  for other in others:
    distances = cdist(query.embs[rows[0]], other.embs, distance)
    distances[np.isnan(distances)] = np.inf
    rows.append(distances.argmin(axis=1))
  return np.array(rows)


def draw_strip(videos: Sequence[EmbeddedVideo], distance: str) -> Figure:
  """Draw frames of the first video above the nearest ones of the others.

  Args:
    videos: Videos with frames, at least one of them finite.
    distance: `sqeuclidean` or `cosine`.

  Returns:
    The figure; a band below each frame has the color of its phase.
  """
  rows = find_rows(videos, distance, _NUM_MOMENTS)
  labels = [v.labels for v in videos if v.labels is not None]
  count = 1 + max((int(x.max()) for x in labels), default=-1)
  palette = np.array([*phase_colors(count), NO_PHASE])

  def draw(video: EmbeddedVideo, row: int) -> np.ndarray:
    image = np.asarray(thumbnail(video, row, (_THUMBNAIL, _THUMBNAIL)))
    phase = -1 if video.labels is None else video.labels[row]
    color = np.uint8(255 * palette[phase])
    return np.vstack([image, np.tile(color, (_BAND, _THUMBNAIL, 1))])

  cells = [
    np.hstack([draw(video, row) for row in rows_of_video])
    for video, rows_of_video in zip(videos, rows, strict=True)
  ]
  sheet, pitch = np.vstack(cells), _THUMBNAIL + _BAND
  figure, axes = plots.make_figure(
    sheet.shape[1] / _DPI + 2.2, sheet.shape[0] / _DPI + 0.8
  )
  axes.imshow(sheet)
  names = [textwrap.fill(textwrap.shorten(v.name, 60), 24) for v in videos]
  axes.set_yticks(pitch * (np.arange(len(videos)) + 0.45), names, fontsize=8)
  steps = videos[0].steps[rows[0]]
  axes.set_xticks(_THUMBNAIL * (np.arange(len(steps)) + 0.5), steps, fontsize=8)
  axes.tick_params(length=0)
  axes.spines[:].set_visible(False)
  axes.set_xlabel("frame of the video on top; below it, the nearest of others")
  return figure


def thumbnail(
  video: EmbeddedVideo, row: int, size: tuple[int, int]
) -> Image.Image:
  """Shrink a frame to a width and height, with its aspect kept."""
  return ImageOps.pad(Image.fromarray(video.frames[int(row)]), size)
