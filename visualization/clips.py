"""Draws aligned videos: a grid, a sheet, a pair with its alignment, a switch.

Each function returns a `Clip`, whose pictures are drawn one at a time, when
they are asked for. Frames are drawn as they are stored: resized to their tile
and never rescaled in brightness, so that what flickers is in the video.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from embeddings import Videos

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


class Clip(NamedTuple):
  """Pictures of one size, drawn on demand.

  Attributes:
    length: Number of pictures.
    draw: Gives picture i, [H, W, 3] uint8 RGB with even H and W.
  """

  length: int
  draw: Callable[[int], np.ndarray]


class _Size(NamedTuple):
  width: int
  height: int


def grid_clip(
  videos: Videos,
  reference: int,
  aligned: Sequence[np.ndarray],
  max_side: int = 1920,
) -> Clip:
  """All videos in a grid, in step with the reference, whose tile is marked.

  Args:
    videos: As `embeddings.load` returns them, with frames.
    reference: Index of the video that sets the pace, R frames long.
    aligned: For each video [R] int, its frame at each frame of the reference.
    max_side: Pixels that neither side of the picture exceeds. Frames smaller
      than 160 pixels are enlarged; where there are many, all are shrunk.

  Returns:
    R pictures.
  """
  count = len(aligned)
  rows, columns = grid_shape(count)
  size = _tile_size(videos, reference, rows, columns, _GRID_TILE, max_side)
  # The reference comes first, wherever it is in the file.
  order = [reference, *(k for k in range(count) if k != reference)]

  def draw(i: int) -> np.ndarray:
    tiles = []
    for k in order:
      color = REFERENCE if k == reference else None
      tiles.append(_tile(videos, k, aligned[k][i], size, color))
    blank = np.full_like(tiles[0], BACKGROUND)
    tiles += [blank] * (rows * columns - count)
    lines = [
      _beside(tiles[row * columns : (row + 1) * columns]) for row in range(rows)
    ]
    return _framed(np.concatenate(lines))

  return Clip(len(aligned[reference]), draw)


def sheet_clip(
  videos: Videos,
  reference: int,
  aligned: Sequence[np.ndarray],
  max_side: int = 1920,
) -> Clip:
  """One still picture: a row a video, a column a moment of the reference.

  Args:
    videos: As `embeddings.load` returns them, with frames.
    reference: Index of the video that gives the moments; its row is the first.
    aligned: For each video [R] int, its frame at each frame of the reference.
    max_side: Pixels that neither side of the picture exceeds.

  Returns:
    One picture of at most `_SHEET_VIDEOS` videos.
  """
  others = (k for k in range(len(aligned)) if k != reference)
  order = [reference, *others][:_SHEET_VIDEOS]
  last = len(aligned[reference]) - 1
  moments = np.linspace(0, last, _SHEET_MOMENTS).round().astype(int)
  size = _tile_size(
    videos, reference, len(order), len(moments), _GRID_TILE, max_side
  )

  def draw(_: int) -> np.ndarray:
    lines = []
    for k in order:
      color = REFERENCE if k == reference else None
      lines.append(
        _beside([_tile(videos, k, aligned[k][i], size, color) for i in moments])
      )
    return _framed(np.concatenate(lines))

  return Clip(1, draw)


def pair_clip(
  videos: Videos,
  reference: int,
  candidate: int,
  aligned: np.ndarray,
  cost: np.ndarray,
  max_side: int = 1920,
) -> Clip:
  """The reference, the candidate in step with it, and a map of the alignment.

  The map has the reference's time to the right and the candidate's upwards.
  Its brightness is the similarity of the frames, its dots are the alignment.

  Args:
    videos: As `embeddings.load` returns them, with frames.
    reference: Index of the video that sets the pace, R frames long.
    candidate: Index of the other video, N frames long.
    aligned: [R] int, the candidate's frame at each frame of the reference.
    cost: [R, N] distances of the frames' embeddings.
    max_side: Pixels that neither side of the picture exceeds.

  Returns:
    R pictures.
  """
  size = _tile_size(videos, reference, 1, 3, _LARGE_TILE, max_side)
  side = min(size)
  backdrop = _alignment_map(cost, aligned, side)

  def draw(i: int) -> np.ndarray:
    chart = backdrop.copy()
    _mark(chart, _map_points(aligned, cost.shape, side)[i])
    chart = _captioned(
      _fit(chart, _Size(side, size.height)),
      ["reference across, candidate up", "ref. across, cand. up", ""],
      "",
      TEXT,
    )
    tiles = [
      _tile(videos, reference, i, size, REFERENCE),
      _tile(videos, candidate, aligned[i], size, CANDIDATE),
      _bordered(chart, BACKGROUND),
    ]
    return _framed(_beside(tiles))

  return Clip(len(aligned), draw)


def switch_clip(
  videos: Videos,
  reference: int,
  candidate: int,
  switch: int,
  aligned: np.ndarray,
  max_side: int = 1920,
) -> Clip:
  """One picture that jumps from the reference to the candidate and plays on.

  Frames 0 to switch-1 are the reference's. Then follows the candidate's frame
  that is aligned with the reference's frame `switch`, and on to its end.

  Args:
    videos: As `embeddings.load` returns them, with frames.
    reference: Index of the video that plays first, R frames long.
    candidate: Index of the video that plays on.
    switch: Frames of the reference that are shown, 0 < switch < R.
    aligned: [R] int, the candidate's frame at each frame of the reference.
    max_side: Pixels that neither side of the picture exceeds.

  Returns:
    switch + (frames of the candidate from the aligned one on) pictures.
  """
  room = max_side - _TIMELINE - _GAP
  size = _tile_size(videos, reference, 1, 1, _LARGE_TILE, room)
  start = int(aligned[switch])
  length = switch + len(videos["frames"][candidate]) - start

  def draw(i: int) -> np.ndarray:
    if i < switch:
      tile = _tile(videos, reference, i, size, REFERENCE)
    else:
      tile = _tile(videos, candidate, start + i - switch, size, CANDIDATE)
    timeline = _timeline(tile.shape[1], i, switch, length)
    return _framed(np.concatenate([tile, timeline]))

  return Clip(length, draw)


def grid_shape(count: int) -> tuple[int, int]:
  """Near-square grid for `count` tiles, a little wider if that leaves no gap.

  Args:
    count: Number of tiles, at least 1.

  Returns:
    (rows, columns), columns >= rows, with at least `count` places.
  """
  square = math.isqrt(count - 1) + 1

  def gaps(columns: int) -> int:
    return -count % columns

  columns = min((square, square + 1), key=gaps)
  return -(-count // columns), columns


def _tile_size(
  videos: Videos,
  reference: int,
  rows: int,
  columns: int,
  min_side: int,
  max_side: int,
) -> _Size:
  """Size of the image in a tile: as stored, enlarged if tiny, limited."""
  height, width = videos["frames"][reference].shape[1:3]
  frame = 2 * _BORDER + _GAP
  scale = min(
    max(1, min_side / min(width, height)),
    ((max_side - _GAP) / columns - frame) / width,
    ((max_side - _GAP) / rows - frame - _CAPTION) / height,
  )
  return _Size(max(1, int(width * scale)), max(1, int(height * scale)))


def _tile(
  videos: Videos,
  video: int,
  index: int,
  size: _Size,
  color: tuple[int, int, int] | None,
) -> np.ndarray:
  """A frame with its caption; a colored border if a color is given."""
  step, length = videos["steps"][video][index], videos["seq_lens"][video]
  name = videos["names"][video]
  tile = _captioned(
    _fit(videos["frames"][video][index], size),
    [f"reference: {name}", name] if color == REFERENCE else [name],
    f"{step}/{length}",
    color or TEXT,
  )
  return _bordered(tile, color or BACKGROUND)


def _fit(image: np.ndarray, size: _Size) -> np.ndarray:
  """Resizes with the aspect kept, centerd on the background."""
  height, width = image.shape[:2]
  scale = min(size.width / width, size.height / height)
  inner = (max(1, round(width * scale)), max(1, round(height * scale)))
  method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
  resized = cv2.resize(image, inner, interpolation=method)
  left, top = (size.width - inner[0]) // 2, (size.height - inner[1]) // 2
  canvas = np.full((size.height, size.width, 3), BACKGROUND, np.uint8)
  canvas[top : top + inner[1], left : left + inner[0]] = resized
  return canvas


def _captioned(
  image: np.ndarray,
  left: Sequence[str],
  right: str,
  color: tuple[int, int, int],
) -> np.ndarray:
  """Adds a line of text below an image.

  Of the texts for the left, longest first, the first is taken that fits into
  what the right one leaves; the last is cut if none does.
  """
  strip = np.full((_CAPTION, image.shape[1], 3), BACKGROUND, np.uint8)
  room = image.shape[1] - 4
  if _text_width(right) <= room:
    _write(strip, right, image.shape[1] - 2 - _text_width(right), color)
    room -= _text_width(right) + 8
  fitting = [text for text in left if _text_width(text) <= room]
  text = fitting[0] if fitting else _shortened(left[-1], room)
  _write(strip, text, 2, color)
  return np.concatenate([image, strip])


def _write(
  image: np.ndarray, text: str, left: int, color: tuple[int, int, int]
) -> None:
  origin = (left, _CAPTION - 7)
  cv2.putText(image, text, origin, _FONT, _FONT_SCALE, color, 1, cv2.LINE_AA)


def _shortened(text: str, room: int) -> str:
  """The end of a text, which tells videos apart, as much as has room."""
  for start in range(1, len(text) - 1):
    if _text_width(".." + text[start:]) <= room:
      return ".." + text[start:]
  return ""


def _text_width(text: str) -> int:
  return cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0] if text else 0


def _bordered(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
  """Border all around, and the gap to the next tile to the right and below."""
  image = cv2.copyMakeBorder(
    image, *[_BORDER] * 4, cv2.BORDER_CONSTANT, value=color
  )
  return cv2.copyMakeBorder(
    image, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT, value=BACKGROUND
  )


def _beside(tiles: Sequence[np.ndarray]) -> np.ndarray:
  return np.concatenate(tiles, axis=1)


def _framed(image: np.ndarray) -> np.ndarray:
  """The outer gap at top and left; sides even, as 4:2:0 color needs them."""
  height, width = (side + _GAP for side in image.shape[:2])
  return cv2.copyMakeBorder(
    image,
    _GAP,
    height % 2,
    _GAP,
    width % 2,
    cv2.BORDER_CONSTANT,
    value=BACKGROUND,
  )


def _alignment_map(
  cost: np.ndarray, aligned: np.ndarray, side: int
) -> np.ndarray:
  """[side, side, 3]: similarity in grays, a dot for each aligned pair."""
  spread = float(np.percentile(cost, 95)) or 1.0
  similarity = 1 - np.clip(cost / spread, 0, 1)
  # The reference's time to the right, the candidate's upwards.
  upright = np.float32(similarity.T[::-1])
  gray = cv2.resize(upright, (side, side), interpolation=cv2.INTER_AREA)
  low, high = np.array(BACKGROUND) + 14, np.array([128, 134, 146])
  image = np.uint8(low + gray[..., None] * (high - low))
  for point in _map_points(aligned, cost.shape, side):
    cv2.circle(image, point, 2, TEXT, cv2.FILLED, cv2.LINE_AA)
  return image


def _map_points(
  aligned: np.ndarray, shape: tuple[int, int], side: int
) -> list[tuple[int, int]]:
  """Where the centers of the cells (i, aligned[i]) are, as (x, y) pixels."""
  x = (np.arange(shape[0]) + 0.5) / shape[0] * side
  y = side - (aligned + 0.5) / shape[1] * side
  return [(int(a), int(b)) for a, b in zip(x, y, strict=True)]


def _mark(chart: np.ndarray, point: tuple[int, int]) -> None:
  """Cross-hairs in the colors of the two videos, and a dot where they meet."""
  x, y = point
  cv2.line(chart, (x, 0), (x, len(chart)), REFERENCE, 1)
  cv2.line(chart, (0, y), (len(chart), y), CANDIDATE, 1)
  cv2.circle(chart, point, 6, BACKGROUND, cv2.FILLED, cv2.LINE_AA)
  cv2.circle(chart, point, 4, (255, 255, 255), cv2.FILLED, cv2.LINE_AA)


def _timeline(width: int, i: int, switch: int, length: int) -> np.ndarray:
  """A bar of what was played, in the color of the video it came from."""
  bar = np.full((_TIMELINE + _GAP, width, 3), BACKGROUND, np.uint8)
  span = width - _GAP
  turn = round(span * switch / length)
  played = round(span * (i + 1) / length)
  bar[:_TIMELINE, :span] = _UNPLAYED
  bar[:_TIMELINE, : min(played, turn)] = REFERENCE
  bar[:_TIMELINE, turn : max(played, turn)] = CANDIDATE
  return bar
