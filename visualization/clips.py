"""Draws aligned videos: a grid, a sheet, a pair with its alignment, a switch.

Each function returns a `Clip`, whose pictures are drawn one at a time, when
they are asked for. Frames are drawn as they are stored: resized to their tile
and never rescaled in brightness, so that what flickers is in the video.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from embeddings.types import EmbeddedVideo

Color = tuple[int, int, int]
Videos = Sequence[EmbeddedVideo]
# For each video [R] int, its frame at each of the reference's R frames.
Matches = Sequence[np.ndarray]

# RGB. The reference is amber, a candidate that stands beside it blue.
BACKGROUND = (18, 19, 23)
TEXT = (222, 224, 228)
REFERENCE = (255, 179, 64)
CANDIDATE = (92, 172, 255)
_UNPLAYED = (62, 66, 74)

_BORDER = 3
_GAP = 6
_CAPTION = 22
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45
_GRID_TILE = 160
_LARGE_TILE = 360
_TIMELINE = 6
_SHEET_VIDEOS = 6
_SHEET_MOMENTS = 7
# Adds so many pixels at the top, bottom, left and right.
_pad = functools.partial(cv2.copyMakeBorder, borderType=cv2.BORDER_CONSTANT)


class Clip(NamedTuple):
  """Pictures of one size, drawn on demand.

  Attributes:
    length: Number of pictures.
    draw: Gives picture i, [H, W, 3] uint8 RGB with even H and W.
  """

  length: int
  draw: Callable[[int], np.ndarray]


def grid_clip(videos: Videos, matches: Matches, max_side: int = 1920) -> Clip:
  """Draw all videos in a grid, in step with the reference, which is marked.

  Args:
    videos: Videos with frames; the first is the reference, R frames long.
    matches: For each video [R] int, its frame at each frame of the reference.
    max_side: Pixels that neither side of the picture exceeds. Frames smaller
      than 160 pixels are enlarged; where there are many, all are shrunk.

  Returns:
    R pictures.
  """
  rows, columns = grid_shape(len(videos))
  size = _tile_size(videos[0], (rows, columns), _GRID_TILE, max_side)

  def draw(i: int) -> np.ndarray:
    tiles = _tiles(videos, matches, i, size)
    blank = np.full_like(tiles[0], BACKGROUND)
    tiles += [blank] * (rows * columns - len(tiles))
    lines = np.reshape(tiles, (rows, columns, *blank.shape))
    # Rows below each other, then columns side by side.
    return _frame(np.hstack(np.hstack(lines)))

  return Clip(len(matches[0]), draw)


def sheet_clip(videos: Videos, matches: Matches, max_side: int = 1920) -> Clip:
  """Draw one still picture: a row a video, a column a moment.

  Args:
    videos: Videos with frames, of which the first 6 are drawn; the first is the
      reference, which gives the moments.
    matches: For each video [R] int, its frame at each frame of the reference.
    max_side: Pixels that neither side of the picture exceeds.

  Returns:
    One picture.
  """
  videos, matches = videos[:_SHEET_VIDEOS], matches[:_SHEET_VIDEOS]
  last = len(matches[0]) - 1
  moments = np.linspace(0, last, _SHEET_MOMENTS).round().astype(int)
  shape = (len(videos), _SHEET_MOMENTS)
  size = _tile_size(videos[0], shape, _GRID_TILE, max_side)

  def draw(_: int) -> np.ndarray:
    columns = [np.vstack(_tiles(videos, matches, i, size)) for i in moments]
    return _frame(np.hstack(columns))

  return Clip(1, draw)


def pair_clip(
  reference: EmbeddedVideo,
  candidate: EmbeddedVideo,
  match: np.ndarray,
  cost: np.ndarray,
  max_side: int = 1920,
) -> Clip:
  """Draw reference and candidate in step, and a map of their alignment.

  The map has the reference's time to the right and the candidate's upwards.
  Its brightness is the similarity of the frames, its dots are the alignment.

  Args:
    reference: The video that sets the pace, with R frames.
    candidate: The other video, with N frames.
    match: [R] int, the candidate's frame at each frame of the reference.
    cost: [R, N] distances of the frames' embeddings.
    max_side: Pixels that neither side of the picture exceeds.

  Returns:
    R pictures.
  """
  size = _tile_size(reference, (1, 3), _LARGE_TILE, max_side)
  side = min(size)
  points = _map_points(match, cost.shape, side)
  backdrop = _alignment_map(cost, points, side)

  def draw(i: int) -> np.ndarray:
    chart = backdrop.copy()
    _mark(chart, points[i])
    chart = _fit(chart, (side, size[1]))
    titles = ["reference across, candidate up", "ref. across, cand. up", ""]
    chart = _caption(chart, titles, "", TEXT)
    left = _tile(reference, i, size, REFERENCE)
    middle = _tile(candidate, match[i], size, CANDIDATE)
    return _frame(np.hstack([left, middle, _border(chart, BACKGROUND)]))

  return Clip(len(match), draw)


def switch_clip(
  reference: EmbeddedVideo,
  candidate: EmbeddedVideo,
  switch: int,
  match: np.ndarray,
  max_side: int = 1920,
) -> Clip:
  """Draw one picture that jumps from the reference to the candidate.

  Frames 0 to switch-1 are the reference's. Then follows the candidate's frame
  that is aligned with the reference's frame `switch`, and on to its end.

  Args:
    reference: The video that plays first, with R frames.
    candidate: The video that plays on.
    switch: Frames of the reference that are shown, 0 < switch < R.
    match: [R] int, the candidate's frame at each frame of the reference.
    max_side: Pixels that neither side of the picture exceeds.

  Returns:
    switch + (frames of the candidate from the aligned one on) pictures.
  """
  room = max_side - _TIMELINE - _GAP
  size = _tile_size(reference, (1, 1), _LARGE_TILE, room)
  start = int(match[switch])
  length = switch + len(candidate.frames) - start

  def draw(i: int) -> np.ndarray:
    if i < switch:
      tile = _tile(reference, i, size, REFERENCE)
    else:
      tile = _tile(candidate, start + i - switch, size, CANDIDATE)
    timeline = _timeline(tile.shape[1], i, switch, length)
    return _frame(np.vstack([tile, timeline]))

  return Clip(length, draw)


def grid_shape(count: int) -> tuple[int, int]:
  """Choose a near-square grid, a little wider if that leaves fewer gaps.

  Args:
    count: Number of tiles, at least 1.

  Returns:
    (rows, columns), columns >= rows, with at least `count` places.
  """
  square = math.isqrt(count - 1) + 1
  columns = min((square, square + 1), key=lambda columns: -count % columns)
  return -(-count // columns), columns


def _tile_size(
  reference: EmbeddedVideo, shape: tuple[int, int], min_side: int, max_side: int
) -> tuple[int, int]:
  """Width and height of the image in a tile: as stored, if that has room."""
  rows, columns = shape
  height, width = reference.frames.shape[1:3]
  around = 2 * _BORDER + _GAP
  scale = min(
    max(1, min_side / min(width, height)),
    ((max_side - _GAP) / columns - around) / width,
    ((max_side - _GAP) / rows - around - _CAPTION) / height,
  )
  return max(1, int(width * scale)), max(1, int(height * scale))


def _tiles(
  videos: Videos, matches: Matches, moment: int, size: tuple[int, int]
) -> list[np.ndarray]:
  """Draw a tile for each video at a moment of the reference, the first."""
  return [
    _tile(video, match[moment], size, None if number else REFERENCE)
    for number, (video, match) in enumerate(zip(videos, matches, strict=True))
  ]


def _tile(
  video: EmbeddedVideo, index: int, size: tuple[int, int], color: Color | None
) -> np.ndarray:
  """Draw a frame with its caption, and a border if a color is given."""
  names = [f"reference: {video.name}"] * (color == REFERENCE) + [video.name]
  time = math.nan if video.times is None else video.times[index]
  position = f"{time:.2f} s"
  if math.isnan(time):
    position = f"{video.steps[index]}/{video.seq_len}"
  image = _fit(video.frames[index], size)
  tile = _caption(image, names, position, color or TEXT)
  return _border(tile, color or BACKGROUND)


def _fit(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
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


def _caption(
  image: np.ndarray, left: Sequence[str], right: str, color: Color
) -> np.ndarray:
  """Add a line of text below an image.

  On the left stands the first of the texts that has room beside the right one,
  or else the end of the last, which tells videos apart.
  """
  strip = np.full((_CAPTION, image.shape[1], 3), BACKGROUND, np.uint8)
  room = image.shape[1] - 4

  def write(text: str, x: int) -> None:
    origin = (x, _CAPTION - 7)
    cv2.putText(strip, text, origin, _FONT, _FONT_SCALE, color, 1, cv2.LINE_AA)

  if _text_width(right) <= room:
    write(right, image.shape[1] - 2 - _text_width(right))
    room -= _text_width(right) + 8
  last = left[-1]
  shorter = [".." + last[start:] for start in range(1, len(last) - 1)]
  fitting = (text for text in [*left, *shorter] if _text_width(text) <= room)
  write(next(fitting, ""), 2)
  return np.vstack([image, strip])


def _text_width(text: str) -> int:
  return cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0] if text else 0


def _border(image: np.ndarray, color: Color) -> np.ndarray:
  """Add a border, and the gap to the next tile to the right and below."""
  image = _pad(image, *[_BORDER] * 4, value=color)
  return _pad(image, 0, _GAP, 0, _GAP, value=BACKGROUND)


def _frame(image: np.ndarray) -> np.ndarray:
  """Add the outer gap; make sides even, as 4:2:0 color needs them."""
  bottom, right = ((side + _GAP) % 2 for side in image.shape[:2])
  return _pad(image, _GAP, bottom, _GAP, right, value=BACKGROUND)


def _alignment_map(
  cost: np.ndarray, points: Sequence[tuple[int, int]], side: int
) -> np.ndarray:
  """[side, side, 3]: similarity in grays, a dot for each aligned pair."""
  spread = float(np.percentile(cost, 95)) or 1.0
  similarity = 1 - np.clip(cost / spread, 0, 1)
  # The reference's time to the right, the candidate's upwards.
  upright = np.float32(similarity.T[::-1])
  gray = cv2.resize(upright, (side, side), interpolation=cv2.INTER_AREA)
  low, high = np.array(BACKGROUND) + 14, np.array([128, 134, 146])
  image = np.uint8(low + gray[..., None] * (high - low))
  for point in points:
    cv2.circle(image, point, 2, TEXT, cv2.FILLED, cv2.LINE_AA)
  return image


def _map_points(
  match: np.ndarray, shape: tuple[int, int], side: int
) -> list[tuple[int, int]]:
  """Locate the centers of the cells (i, match[i]) as (x, y) pixels."""
  x = (np.arange(shape[0]) + 0.5) / shape[0] * side
  y = side - (match + 0.5) / shape[1] * side
  return [(int(a), int(b)) for a, b in zip(x, y, strict=True)]


def _mark(chart: np.ndarray, point: tuple[int, int]) -> None:
  """Draw cross-hairs in the colors of the two videos, and a dot."""
  x, y = point
  cv2.line(chart, (x, 0), (x, len(chart)), REFERENCE, 1)
  cv2.line(chart, (0, y), (len(chart), y), CANDIDATE, 1)
  cv2.circle(chart, point, 6, BACKGROUND, cv2.FILLED, cv2.LINE_AA)
  cv2.circle(chart, point, 4, (255, 255, 255), cv2.FILLED, cv2.LINE_AA)


def _timeline(width: int, i: int, switch: int, length: int) -> np.ndarray:
  """Draw a bar of what was played, in the colors of the two videos."""
  bar = np.full((_TIMELINE + _GAP, width, 3), BACKGROUND, np.uint8)
  span = width - _GAP
  turn = round(span * switch / length)
  played = round(span * (i + 1) / length)
  bar[:_TIMELINE, :span] = _UNPLAYED
  bar[:_TIMELINE, : min(played, turn)] = REFERENCE
  bar[:_TIMELINE, turn : max(played, turn)] = CANDIDATE
  return bar
