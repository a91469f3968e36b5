"""Draws aligned videos: a grid, a sheet, a pair with its alignment, a switch.

Each function returns a `Clip`, whose pictures are drawn one at a time, when
they are asked for.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from absl import logging

from embeddings.types import EmbeddedVideo
from visualization import tiles
from visualization.tiles import BACKGROUND, CANDIDATE, GAP, REFERENCE, TEXT

# For each video [R] int, its frame at each of the reference's R frames.
Matches = Sequence[np.ndarray]

# What decoders of phones are sure to take.
DEFAULT_ROOM = (1920, 1080)
_UNPLAYED = (62, 66, 74)
# Seconds that a frame is shown whose time is not known.
_USUAL_DURATION = 0.05
_SMALL_TILE = 160
_LARGE_TILE = 360
_TIMELINE = 6
_SHEET_VIDEOS = 6
_SHEET_MOMENTS = 7


class Clip(NamedTuple):
  """Pictures of one size, drawn on demand.

  Attributes:
    draw: Gives picture i, [H, W, 3] uint8 RGB with even H and W.
    durations: Seconds that each picture is shown.
  """

  draw: Callable[[int], np.ndarray]
  durations: np.ndarray

  @property
  def length(self) -> int:
    """Number of pictures."""
    return len(self.durations)


def grid_clip(
  videos: tiles.Videos, matches: Matches, room: tiles.Room = DEFAULT_ROOM
) -> Clip:
  """Draw all videos in a grid, in step with the reference, which is marked.

  A band below an image has the color of the frame's phase, where there are
  labels. Frames smaller than 160 pixels are enlarged; where there are many, all
  are shrunk, and lose their captions. Where they would become too small to be
  recognized, pages follow each other, each with the reference.

  Args:
    videos: Videos with frames; the first is the reference, R frames long.
    matches: For each video [R] int, its frame at each frame of the reference.
    room: Most pixels of a picture, (width, height).

  Returns:
    R pictures a page.
  """
  pages, (rows, columns), style = tiles.choose_pages(videos, _SMALL_TILE, room)
  _log_layout(len(videos), pages, style)
  others = np.array_split(np.arange(1, len(videos)), pages)
  durations = _durations(videos[0])

  def draw(i: int) -> np.ndarray:
    page, moment = divmod(i, len(durations))
    shown = [0, *others[page]]
    drawn = _tiles(
      [videos[k] for k in shown], [matches[k] for k in shown], moment, style
    )
    blank = np.full_like(drawn[0], BACKGROUND)
    drawn += [blank] * (rows * columns - len(drawn))
    lines = np.reshape(drawn, (rows, columns, *blank.shape))
    # Rows below each other, then columns side by side.
    return tiles.add_margin(np.hstack(np.hstack(lines)))

  return Clip(draw, np.tile(durations, pages))


def sheet_clip(
  videos: tiles.Videos, matches: Matches, room: tiles.Room = DEFAULT_ROOM
) -> Clip:
  """Draw one still picture: a row a video, a column a moment.

  Args:
    videos: Videos with frames, of which the first 6 are drawn; the first is the
      reference, which gives the moments.
    matches: For each video [R] int, its frame at each frame of the reference.
    room: Most pixels of the picture, (width, height).

  Returns:
    One picture.
  """
  videos, matches = videos[:_SHEET_VIDEOS], matches[:_SHEET_VIDEOS]
  last = len(matches[0]) - 1
  moments = np.linspace(0, last, _SHEET_MOMENTS).round().astype(int)
  shape = (len(videos), _SHEET_MOMENTS)
  palette = tiles.phase_palette(videos)
  style = tiles.fit_tiles(videos[0], shape, _SMALL_TILE, room, palette)

  def draw(_: int) -> np.ndarray:
    columns = [np.vstack(_tiles(videos, matches, i, style)) for i in moments]
    return tiles.add_margin(np.hstack(columns))

  return Clip(draw, np.full(1, _USUAL_DURATION))


def pair_clip(
  reference: EmbeddedVideo,
  candidate: EmbeddedVideo,
  match: np.ndarray,
  cost: np.ndarray,
  room: tiles.Room = DEFAULT_ROOM,
) -> Clip:
  """Draw reference and candidate in step, and a map of their alignment.

  The map has the reference's time to the right and the candidate's upwards.
  Its brightness is the similarity of the frames, its dots are the alignment.

  Args:
    reference: The video that sets the pace, with R frames.
    candidate: The other video, with N frames.
    match: [R] int, the candidate's frame at each frame of the reference.
    cost: [R, N] distances of the frames' embeddings.
    room: Most pixels of a picture, (width, height).

  Returns:
    R pictures.
  """
  palette = tiles.phase_palette([reference, candidate])
  style = tiles.fit_tiles(reference, (1, 3), _LARGE_TILE, room, palette)
  side = min(style.size)
  points = _map_points(match, cost.shape, side)
  backdrop = _alignment_map(cost, points, side)
  titles = ["reference across, candidate up", "ref. across, cand. up", ""]

  def draw(i: int) -> np.ndarray:
    chart = backdrop.copy()
    _mark(chart, points[i])
    chart = tiles.fit_image(chart, (side, style.size[1]))
    chart = tiles.add_below(chart, style, BACKGROUND, titles, "", TEXT)
    left = tiles.draw_tile(reference, i, style, REFERENCE)
    middle = tiles.draw_tile(candidate, match[i], style, CANDIDATE)
    right = tiles.add_border(chart, BACKGROUND)
    return tiles.add_margin(np.hstack([left, middle, right]))

  return Clip(draw, _durations(reference))


def switch_clip(
  reference: EmbeddedVideo,
  candidate: EmbeddedVideo,
  switch: int,
  match: np.ndarray,
  room: tiles.Room = DEFAULT_ROOM,
) -> Clip:
  """Draw one picture that jumps from the reference to the candidate.

  Frames 0 to switch-1 are the reference's. Then follows the candidate's frame
  that is aligned with the reference's frame `switch`, and on to its end.

  Args:
    reference: The video that plays first, with R frames.
    candidate: The video that plays on.
    switch: Frames of the reference that are shown, 0 < switch < R.
    match: [R] int, the candidate's frame at each frame of the reference.
    room: Most pixels of a picture, (width, height).

  Returns:
    switch + (frames of the candidate from the aligned one on) pictures.
  """
  room = room[0], room[1] - _TIMELINE - GAP
  palette = tiles.phase_palette([reference, candidate])
  style = tiles.fit_tiles(reference, (1, 1), _LARGE_TILE, room, palette)
  start = int(match[switch])
  parts = _durations(reference)[:switch], _durations(candidate)[start:]
  durations = np.concatenate(parts)

  def draw(i: int) -> np.ndarray:
    if i < switch:
      tile = tiles.draw_tile(reference, i, style, REFERENCE)
    else:
      tile = tiles.draw_tile(candidate, start + i - switch, style, CANDIDATE)
    timeline = _timeline(tile.shape[1], i, switch, len(durations))
    return tiles.add_margin(np.vstack([tile, timeline]))

  return Clip(draw, durations)


def _durations(video: EmbeddedVideo) -> np.ndarray:
  """Return how long each frame is shown, [L] seconds: as in its video."""
  gaps = np.diff([] if video.times is None else video.times)
  if not len(gaps) or not np.all(gaps > 0):  # As NaN is not.
    return np.full(len(video.embs), _USUAL_DURATION)
  return np.append(gaps, np.median(gaps))


def _log_layout(num_videos: int, pages: int, style: tiles.TileStyle) -> None:
  notes = "" if style.captioned else ", too small for captions"
  if pages > 1:
    notes += f", on {pages} pages, one after another"
  width, height = style.size
  logging.info("%d videos, each %d x %d%s", num_videos, width, height, notes)


def _tiles(
  videos: tiles.Videos, matches: Matches, moment: int, style: tiles.TileStyle
) -> list[np.ndarray]:
  """Draw a tile for each video at a moment of the reference, the first."""
  return [
    tiles.draw_tile(video, match[moment], style, None if number else REFERENCE)
    for number, (video, match) in enumerate(zip(videos, matches, strict=True))
  ]


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
  bar = np.full((_TIMELINE + GAP, width, 3), BACKGROUND, np.uint8)
  span = width - GAP
  turn = round(span * switch / length)
  played = round(span * (i + 1) / length)
  bar[:_TIMELINE, :span] = _UNPLAYED
  bar[:_TIMELINE, : min(played, turn)] = REFERENCE
  bar[:_TIMELINE, turn : max(played, turn)] = CANDIDATE
  return bar
