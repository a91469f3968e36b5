"""Draws one moment of a video as a picture."""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from dataset_preparation.synthetic_pouring import arm, background, shapes
from dataset_preparation.synthetic_pouring.canvas import Canvas, ellipse
from dataset_preparation.synthetic_pouring.motion import FPS, Script, State
from dataset_preparation.synthetic_pouring.shapes import across, place

WIDTH, HEIGHT = 192, 144
# Pictures are drawn this many times larger, then averaged down.
_SUPERSAMPLING = 2

# RGB colors, two hexadecimal digits a component.
_LIQUIDS = "fa8c0a c80f23 781982 14a53c 145feb f5d719 f03c82 0fafbe".split()
_SKINS = "f4cdb0 e0ac82 be8058 865538 583828".split()
_WHITE = np.full(3, 255.0)

# A smooth random function of the time in seconds.
Wobble = Callable[[float], float]


@dataclasses.dataclass(frozen=True)
class Style:
  """The look of a video; colors are [3] RGB floats from 0 to 255.

  Attributes:
    room: Wall, table and clutter, see `background`.
    liquid: Color of the liquid.
    glass: Color of the bottle.
    clothes: Look of the arm.
    thickness: Scale of arm and hand.
    zoom: Magnification.
    roll: Rotation of the camera about its axis, in radians.
    center: World point in the middle of the picture.
    mirrored: Whether left and right are exchanged.
    shake: Movements of the camera in x, y, zoom and roll.
    gain: Brightness over time, around 0, in powers of e.
    warmth: Color of the light, around 0: negative is bluish.
    light: Direction and strength of the light's gradient.
    sway: Changes of the gradient over time, along x and y.
    noise: Standard deviation of the sensor's noise, in gray levels.
    noise_seed: Seed of the noise.
  """

  room: np.ndarray
  liquid: np.ndarray
  glass: np.ndarray
  clothes: arm.Clothes
  thickness: float
  zoom: float
  roll: float
  center: np.ndarray
  mirrored: bool
  shake: tuple[Wobble, Wobble, Wobble, Wobble]
  gain: Wobble
  warmth: float
  light: np.ndarray
  sway: tuple[Wobble, Wobble]
  noise: float
  noise_seed: int


def _draw_wobble(
  rng: Generator, size: float, slow: float, fast: float
) -> Wobble:
  """Draw a sum of waves between two frequencies in Hz, mostly slower ones."""
  amplitudes = size * np.array([0.6, 0.35, 0.15]) * rng.uniform(0.5, 1.2, 3)
  middle = (slow * fast) ** 0.5
  frequencies = np.array([slow, middle, fast]) * rng.uniform(0.7, 1.4, 3)
  phases = rng.uniform(0, 2 * np.pi, 3)

  def wobble(time: float) -> float:
    angles = 2 * np.pi * frequencies * time + phases
    return float(np.sum(amplitudes * np.sin(angles)))

  return wobble


def _pick_listed(rng: Generator, colors: list[str]) -> np.ndarray:
  return np.array([*bytes.fromhex(colors[rng.integers(len(colors))])], float)


def _pick_color(
  rng: Generator,
  others: list[np.ndarray],
  saturation: tuple[float, float],
  value: tuple[float, float],
  distance: float,
) -> np.ndarray:
  """Draw a color that is easily told from others."""
  drawn = [background.draw_color(rng, saturation, value) for _ in range(30)]
  gaps = [min(np.linalg.norm(c - o) for o in others) for c in drawn]
  good = [c for c, gap in zip(drawn, gaps, strict=True) if gap >= distance]
  return good[0] if good else drawn[int(np.argmax(gaps))]


def draw_style(rng: Generator) -> Style:
  """Draw the look of a video at random.

  Args:
    rng: The video's generator.

  Returns:
    The style.
  """
  liquid = np.clip(_pick_listed(rng, _LIQUIDS) + rng.normal(0, 12, 3), 0, 255)
  skin = _pick_listed(rng, _SKINS) * rng.uniform(0.9, 1.05)
  wall = _pick_color(rng, [liquid, skin], (0.0, 0.25), (0.2, 0.95), 120)
  table = _pick_color(rng, [liquid, skin], (0.0, 0.25), (0.2, 0.95), 110)
  edge = rng.uniform(0.48, 0.57)
  angle = rng.uniform(0, 2 * np.pi)
  return Style(
    room=background.draw_background(rng, wall, table, edge),
    liquid=liquid,
    # The bottle is opaque: if liquid were seen to move from one side to the
    # other, playing a video backwards would look like mirroring it.
    glass=_pick_color(rng, [liquid, wall, skin], (0.0, 0.5), (0.05, 0.6), 80),
    clothes=arm.Clothes(
      skin=np.clip(skin, 0, 255),
      sleeve=_pick_color(rng, [wall, skin], (0.05, 0.35), (0.15, 0.95), 110),
      stripe=background.draw_color(rng, (0.0, 0.4), (0.2, 1.0)),
      striped=bool(rng.random() < 0.35),
      bare=rng.uniform(0.02, 0.25),
    ),
    thickness=rng.uniform(0.88, 1.15),
    zoom=rng.uniform(1.1, 1.25),
    roll=rng.uniform(-0.06, 0.06),
    # The cup is near the middle, so that a mirror shows it at the same place.
    center=np.array([rng.uniform(0.77, 0.85), rng.uniform(0.49, 0.56)]),
    # A minority: with half of the videos mirrored, it was a matter of luck
    # whether a short training stopped aligning them backwards.
    mirrored=bool(rng.random() < 0.25),
    # Nothing here may drift slowly: brightness that rises all along would tell
    # all frames apart, and matching it would be enough for cycle-consistency.
    shake=tuple(
      _draw_wobble(rng, size, 0.7, 2.5) for size in (0.02, 0.018, 0.015, 0.012)
    ),
    gain=_draw_wobble(rng, 0.2, 1.0, 3.0),
    warmth=rng.normal(0, 0.06),
    light=across(angle) * rng.uniform(0.0, 0.35),
    # With steady light, frames of the same moment would be near each other in
    # raw pixels already.
    sway=tuple(_draw_wobble(rng, 0.8, 0.7, 2.5) for _ in range(2)),
    noise=rng.uniform(1.5, 5),
    noise_seed=int(rng.integers(2**32)),
  )


def draw_scene(script: Script, style: Style, state: State) -> np.ndarray:
  """Draw one moment.

  Args:
    script: The action of the video.
    style: The look of the video.
    state: The state at that moment.

  Returns:
    [144, 192, 3] uint8 RGB.
  """
  camera = _compute_camera(style, state.time)
  size = (WIDTH * _SUPERSAMPLING, HEIGHT * _SUPERSAMPLING)
  to_pixels = camera @ np.vstack([background.TO_WORLD, [0, 0, 1]])
  mode = cv2.BORDER_REFLECT_101
  room = cv2.warpAffine(style.room, to_pixels, size, borderMode=mode)
  canvas = Canvas(_draw_shadows(room, camera, script, state), camera)
  limbs = arm.pose_arm(script, state, style.thickness)
  arm.draw_arm(canvas, style.clothes, limbs)
  canvas.fill(_cup_outline(script, 0, 1), _WHITE, 0.22)
  arm.draw_palm(canvas, style.clothes, limbs)
  _draw_bottle(canvas, script.bottle, style, state)
  _draw_stream(canvas, script, style, state)
  _draw_cup_front(canvas, script, style, state)
  arm.draw_fingers(canvas, style.clothes, limbs)
  size = (WIDTH, HEIGHT)
  picture = cv2.resize(canvas.image, size, interpolation=cv2.INTER_AREA)
  if style.mirrored:
    picture = picture[:, ::-1]
  return _apply_light(picture, style, state.time)


def _compute_camera(style: Style, time: float) -> np.ndarray:
  """Return the [2, 3] map from world points to the large picture's pixels."""
  x, y, zoom, roll = (wobble(time) for wobble in style.shake)
  scale = HEIGHT * _SUPERSAMPLING * style.zoom * np.exp(zoom)
  turn = style.roll + roll
  cos, sin = scale * np.cos(turn), scale * np.sin(turn)
  linear = np.array([[cos, -sin], [sin, cos]])
  middle = np.array([WIDTH, HEIGHT]) * _SUPERSAMPLING / 2
  offset = middle - linear @ (style.center + [x, y])
  return np.column_stack([linear, offset])


def _apply_light(picture: np.ndarray, style: Style, time: float) -> np.ndarray:
  """Apply the light, the vignette and the sensor's noise."""
  y = np.linspace(-0.5, 0.5, HEIGHT, dtype=np.float32)[:, None]
  x = np.linspace(-0.5, 0.5, WIDTH, dtype=np.float32)
  pairs = zip(style.light, style.sway, strict=True)
  along_x, along_y = (float(steady + sway(time)) for steady, sway in pairs)
  slope = np.exp(along_x * x + along_y * y)
  lens = 1 - 0.35 * (x * x + y * y)
  tint = np.exp(style.gain(time) + style.warmth * np.array([1, 0, -1]))
  light = (slope * lens)[..., None] * tint.astype(np.float32)
  rng = np.random.default_rng([style.noise_seed, round(time * FPS)])
  noise = rng.standard_normal(picture.shape, np.float32)
  lit = picture * light + noise * np.float32(style.noise)
  return np.clip(lit, 0, 255).astype(np.uint8)


def _draw_shadows(
  room: np.ndarray, camera: np.ndarray, script: Script, state: State
) -> np.ndarray:
  """Darken the table under cup, bottle and hand."""
  shade = Canvas(np.zeros((*room.shape[:2], 1), np.uint8), camera)
  cup, table = script.cup, state.ground
  foot = script.cup_base + [0.02, 0.0]
  shade.fill(ellipse(foot, cup.base_radius * 1.5, 0.03), np.full(1, 120.0))
  lifted = table - state.bottle[1]
  width = script.bottle.radius * (1.4 + 2 * abs(np.sin(state.tilt)))
  foot = np.array([state.bottle[0] + 0.02 + lifted * 0.3, table])
  dark = np.full(1, max(130 - 250 * lifted, 45))
  shade.fill(ellipse(foot, width, 0.032), dark)
  hand = np.array([state.hand[0] - 0.1, table + 0.02])
  shade.fill(ellipse(hand, 0.17, 0.03), np.full(1, 60.0), 0.7)
  soft = cv2.blur(cv2.blur(shade.image, (17, 17)), (11, 11))
  bright = cv2.cvtColor(255 - soft, cv2.COLOR_GRAY2RGB)
  return cv2.multiply(room, bright, scale=1 / 255)


def _draw_bottle(
  canvas: Canvas, bottle: shapes.Bottle, style: Style, state: State
) -> None:
  """Draw the bottle, of dark glass that hides what is in it."""
  outline = place(bottle.outline(), state.bottle, state.tilt)
  canvas.fill(outline, style.glass, 1.0)
  dark = style.glass * 0.25
  canvas.line(np.vstack([outline, outline[:1]]), 0.007, dark, 0.75)
  for x, width, alpha in ((-0.6, 0.016, 0.5), (0.55, 0.008, 0.3)):
    side = np.array([[x, 0.08], [x, bottle.shoulder * 0.95]])
    side *= [bottle.radius, bottle.height]
    canvas.line(place(side, state.bottle, state.tilt), width, _WHITE, alpha)
  rim = np.array([[-1.2, 0.985], [1.2, 0.985]])
  rim *= [bottle.neck_radius, bottle.height]
  canvas.line(place(rim, state.bottle, state.tilt), 0.016, dark + 60, 0.9)


def _cup_outline(script: Script, bottom: float, top: float) -> np.ndarray:
  """Return the cup between two parts of its height, [30, 2] points."""
  rings = []
  for part in (top, bottom):
    center = script.cup_base - [0, script.cup.height * part]
    radius = script.cup.radius_at(part)
    rings.append(ellipse(center, radius, radius * 0.2))
  return np.concatenate([rings[0][14:], rings[1][:15]])


def _cup_level(script: Script, state: State) -> float:
  """Return the surface's height as a part of the cup's."""
  return 0.06 + 0.94 * state.cup_fill


def _draw_cup_front(
  canvas: Canvas, script: Script, style: Style, state: State
) -> None:
  cup, base = script.cup, script.cup_base
  if state.cup_fill > 0:
    level = _cup_level(script, state)
    canvas.fill(_cup_outline(script, 0.05, level), style.liquid, 0.9)
    radius = cup.radius_at(level) * 0.97
    top = ellipse(base - [0, cup.height * level], radius, radius * 0.19)
    canvas.fill(top, style.liquid * 0.65 + 85, 0.85)
  sides = _cup_outline(script, 0, 1)
  canvas.line(sides[13:], 0.007, _WHITE * 0.9, 0.8)
  canvas.line(sides[[-1, 0]], 0.007, _WHITE * 0.9, 0.8)
  rim = ellipse(base - [0, cup.height], cup.top_radius, cup.top_radius * 0.2)
  canvas.line(np.vstack([rim, rim[:1]]), 0.006, _WHITE, 0.75)
  parts = np.array([0.15, 0.85])
  shine = np.stack([-0.65 * cup.radius_at(parts), -cup.height * parts], 1)
  canvas.line(base + shine, 0.012, _WHITE, 0.4)


def _draw_stream(
  canvas: Canvas, script: Script, style: Style, state: State
) -> None:
  """Draw the falling liquid, a parabola from the lip into the cup."""
  tail, head = state.stream
  if head <= tail:
    return
  bottle = script.bottle
  inner = np.array([bottle.neck_radius * 0.6, bottle.height])
  lip = place(inner, state.bottle, state.tilt)
  level = script.cup.height * _cup_level(script, state)
  target = script.cup_base - [0.01, level]
  part = np.linspace(tail, head, 14)[:, None]
  path = lip + (target - lip) * np.hstack([part, part**2])
  width = bottle.neck_radius * (0.9 - 0.4 * part)
  side = across(0) * width
  canvas.fill(np.vstack([path - side, (path + side)[::-1]]), style.liquid, 0.95)
  canvas.line(path - side * 0.4, 0.006, style.liquid * 0.5 + 127, 0.6)
  if head >= 1:
    foam = style.liquid * 0.4 + 150
    wave = 0.5 + 0.5 * np.sin(40 * state.time)
    canvas.fill(ellipse(target, 0.035 + 0.012 * wave, 0.011), foam, 0.8)
