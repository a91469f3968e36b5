"""Shapes of the bottle and the cup, and geometry on them.

The world's unit is the picture's height; x runs to the right, y down, a point
is (x, y), and an angle of 0 is an upright bottle, positive clockwise.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Bottle:
  """A bottle's outline, with lengths in picture heights."""

  height: float
  radius: float
  neck_radius: float
  shoulder: float  # Where the body ends, as a part of the height.
  neck: float  # Where the neck starts, as a part of the height.
  roundness: float  # Of the shoulder: 1 is a cone, below 1 bulges.

  def outline(self) -> np.ndarray:
    """Return the closed outline in the bottle's own frame.

    Returns:
      [40, 2] points; the origin is the middle of the base, y is up along the
      axis, and the right half comes first, from the base to the mouth.
    """
    slope = np.linspace(0, 1, 12)
    bulge = slope ** (1 / self.roundness)
    rise = self.shoulder + (self.neck - self.shoulder) * slope
    foot_radii = self.radius * np.array([0.86, 0.96, 1.0, 1.0])
    foot_heights = self.radius * np.array([0.0, 0.04, 0.14, 0.3])
    body_radii = self.radius - (self.radius - self.neck_radius) * bulge
    neck_heights = self.height * np.linspace(self.neck, 1, 5)[1:]
    radii = np.hstack([foot_radii, body_radii, [self.neck_radius] * 4])
    heights = np.hstack([foot_heights, self.height * rise, neck_heights])
    right = np.stack([radii, heights], axis=1)
    return np.concatenate([right, right[::-1] * [-1, 1]])


@dataclasses.dataclass(frozen=True)
class Cup:
  """A tumbler's outline, with lengths in picture heights."""

  height: float
  top_radius: float
  base_radius: float

  def radius_at(self, part: float | np.ndarray) -> float | np.ndarray:
    """Return the radius at a part of the height, 0 to 1."""
    return self.base_radius + (self.top_radius - self.base_radius) * part


def axis(tilt: float) -> np.ndarray:
  """Return the direction from a bottle's base to its mouth."""
  return np.array([np.sin(tilt), -np.cos(tilt)])


def across(tilt: float | np.ndarray) -> np.ndarray:
  """Return the direction to a bottle's right, the side of the lower lip.

  Args:
    tilt: An angle, or [N] of them.

  Returns:
    [2] or [N, 2] points of the unit circle.
  """
  return np.stack([np.cos(tilt), np.sin(tilt)], axis=-1)


def place(points: np.ndarray, origin: np.ndarray, tilt: float) -> np.ndarray:
  """Move points of an object's own frame (y up) into the world.

  Args:
    points: [N, 2] points, or a single one, [2].
    origin: [2] where the frame's origin stands in the world.
    tilt: Angle of the object, in radians.

  Returns:
    As many points.
  """
  return origin + points @ np.stack([across(tilt), axis(tilt)])


def tabulate_tilts(bottle: Bottle) -> tuple[np.ndarray, np.ndarray]:
  """Find how full a bottle can be at each tilt without spilling.

  Args:
    bottle: The bottle.

  Returns:
    Tilts in radians, rising, and the filled parts, falling; both [46].
  """
  # Points spread evenly over the bottle's section, in its own frame.
  right = bottle.outline()[:20]
  heights = (np.arange(60) + 0.5) / 60 * bottle.height
  widths = np.interp(heights, right[:, 1], right[:, 0])
  sides = np.linspace(-bottle.radius, bottle.radius, 31)
  x, y = np.meshgrid(sides, heights)
  inside = np.abs(x) <= widths[:, None]
  points = np.stack([x[inside], y[inside]], axis=1)
  tilts = np.radians(np.arange(15, 151, 3))
  lip = np.array([[bottle.neck_radius, bottle.height]])
  origin = np.zeros(2)
  fills = [
    np.mean(place(points, origin, t)[:, 1] >= place(lip, origin, t)[0, 1])
    for t in tilts
  ]
  return tilts, np.minimum.accumulate(fills)
