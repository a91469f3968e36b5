"""Draws wall, table and clutter, once per video."""

import colorsys

import cv2
import numpy as np
from numpy.random import Generator

# The part of the world that the background covers, more than the camera sees,
# in picture heights.
LEFT, TOP, WIDTH, HEIGHT = -0.3, -0.3, 1.95, 1.65
PIXELS_PER_UNIT = 288
_STEP = 1 / PIXELS_PER_UNIT
_ROWS = round(HEIGHT * PIXELS_PER_UNIT)
_COLUMNS = round(WIDTH * PIXELS_PER_UNIT)
# [2, 3] affine map from background pixels to world points.
TO_WORLD = np.array([[_STEP, 0, LEFT], [0, _STEP, TOP]])


def draw_color(
  rng: Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> np.ndarray:
  """Draw an RGB color, [3] float in 0 to 255."""
  hsv = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
  return 255 * np.array(colorsys.hsv_to_rgb(*hsv))


def draw_background(
  rng: Generator, wall: np.ndarray, table: np.ndarray, edge: float
) -> np.ndarray:
  """Draw the room.

  Args:
    rng: The video's generator.
    wall: [3] RGB color of the wall.
    table: [3] RGB color of the table.
    edge: World height of the table's far edge.

  Returns:
    [495, 585, 3] uint8 RGB; `TO_WORLD` tells what it covers.
  """
  image = _paint_texture(rng, wall)
  for _ in range(rng.integers(1, 4)):
    _hang_on_wall(image, rng, edge)
  row = round((edge - TOP) * PIXELS_PER_UNIT)
  for _ in range(rng.integers(0, 4)):
    _stand_on_table(image, rng, row)
  # The table's texture is finer far away, and lit from the front.
  near = np.linspace(0, 1, _ROWS - row)
  source = (near**0.7 * (_ROWS - 1)).astype(int)
  light = np.linspace(0.85, 1.1, _ROWS - row)[:, None, None]
  image[row:] = _paint_texture(rng, table)[source] * light
  image[row : row + 2] = image[row : row + 2] * 0.6
  # The wall is darker where it meets the table.
  image[:row] *= (1 - 0.3 * np.exp(np.arange(1 - row, 1) / 40))[:, None, None]
  return np.clip(cv2.GaussianBlur(image, (0, 0), 2.0), 0, 255).astype(np.uint8)


def _paint_texture(rng: Generator, color: np.ndarray) -> np.ndarray:
  """Paint an area in a random material, [rows, columns, 3] float."""
  material = rng.choice([_stripes, _tiles, _dots, _wood, _blotches])
  pattern = material(rng) + 0.4 * _blotches(rng)
  second = draw_color(rng, (0.0, 0.35), (0.2, 0.95))
  part = np.clip(0.5 + 0.5 * pattern, 0, 1)[..., None] * rng.uniform(0.1, 0.35)
  image = color * (1 - part) + second * part
  return image * rng.normal(1, 0.02, image.shape[:2])[..., None]


def _grid(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
  """Return rotated coordinates of all pixels, in world units."""
  turn = rng.choice([0, 0, np.pi / 4, rng.uniform(-0.3, 0.3)])
  x = np.arange(_COLUMNS) / PIXELS_PER_UNIT + rng.random()
  y = np.arange(_ROWS)[:, None] / PIXELS_PER_UNIT + rng.random()
  cos, sin = np.cos(turn), np.sin(turn)
  return x * cos + y * sin, y * cos - x * sin


def _stripes(rng: Generator) -> np.ndarray:
  x, _ = _grid(rng)
  period = rng.uniform(0.06, 0.3)
  return np.tanh(rng.uniform(1, 6) * np.sin(2 * np.pi * x / period))


def _tiles(rng: Generator) -> np.ndarray:
  x, y = _grid(rng)
  width = rng.uniform(0.1, 0.3)
  height = width * rng.choice([0.4, 1.0])
  row = np.floor(y / height)
  across = (x + (row % 2) * width * rng.choice([0, 0.5])) % width
  return np.where((across < 0.012) | (y % height < 0.012), 1.0, -0.8)


def _dots(rng: Generator) -> np.ndarray:
  x, y = _grid(rng)
  period = rng.uniform(0.06, 0.18)
  wave = np.cos(2 * np.pi * x / period) + np.cos(2 * np.pi * y / period)
  return np.tanh(4 * (wave - rng.uniform(0, 1)))


def _wood(rng: Generator) -> np.ndarray:
  _, y = _grid(rng)
  bend = 0.05 * _blotches(rng, (4, 3))
  period = rng.uniform(0.03, 0.09)
  grain = np.sin(2 * np.pi * (y + bend) / period)
  return 0.6 * grain + np.where(y % 0.25 < 0.01, 1.5, 0)


def _blotches(rng: Generator, cells: tuple[int, int] = (9, 8)) -> np.ndarray:
  noise = rng.normal(0, 1, cells[::-1])
  return cv2.resize(noise, (_COLUMNS, _ROWS), interpolation=cv2.INTER_CUBIC)


def _fill_box(
  image: np.ndarray, x: float, y: float, w: float, h: float, color: np.ndarray
) -> None:
  """Fill a rectangle given in world units, from its top left corner."""
  corner = np.round(np.array([x - LEFT, y - TOP]) * PIXELS_PER_UNIT)
  size = np.round(np.array([w, h]) * PIXELS_PER_UNIT)
  first, last = np.stack([corner, corner + size]).astype(int).tolist()
  cv2.rectangle(image, first, last, color.tolist(), cv2.FILLED)


def _hang_on_wall(image: np.ndarray, rng: Generator, edge: float) -> None:
  """Hang a picture, or a shelf with books, on the wall."""
  x, y = rng.uniform(-0.2, 1.4), rng.uniform(-0.15, edge - 0.35)
  frame = draw_color(rng, (0.0, 0.4), (0.15, 0.9))
  if rng.random() < 0.65:
    w, h = rng.uniform(0.12, 0.34, 2)
    _fill_box(image, x + 0.012, y + 0.015, w, h, image.mean((0, 1)) * 0.55)
    _fill_box(image, x, y, w, h, frame)
    _fill_box(image, x + 0.02, y + 0.02, w - 0.04, h - 0.04, frame * 0.3 + 150)
    inner = draw_color(rng, (0.1, 0.45), (0.3, 0.9))
    _fill_box(image, x + 0.03, y + h / 2, w - 0.06, h / 2 - 0.03, inner)
    return
  _fill_box(image, x, y + 0.2, 0.4, 0.02, frame)
  at = x + 0.02
  while at < x + 0.34:
    w, h = rng.uniform(0.02, 0.05), rng.uniform(0.1, 0.18)
    book = draw_color(rng, (0.1, 0.45), (0.3, 0.9))
    _fill_box(image, at, y + 0.2 - h, w, h, book)
    at += w + 0.003


def _stand_on_table(image: np.ndarray, rng: Generator, row: int) -> None:
  """Put a small box, jar or fruit at the table's far edge."""
  color = draw_color(rng, (0.1, 0.45), (0.25, 0.9))
  x = round(rng.uniform(0.1, 0.9) * _COLUMNS)
  w, h = map(round, rng.uniform(0.06, 0.15, 2) * PIXELS_PER_UNIT)
  if rng.random() < 0.4:
    y, radius = row - w // 3, w // 2
    cv2.circle(image, (x, y), radius, color.tolist(), -1)
    light, shift = (color * 0.6 + 100).tolist(), radius // 3
    cv2.circle(image, (x - shift, y - shift), shift, light, -1)
    return
  for left, shade in ((x, color), (x + int(w * 0.7), color * 0.7)):
    cv2.rectangle(image, (left, row - h), (x + w, row), shade.tolist(), -1)
