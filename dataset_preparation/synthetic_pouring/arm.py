"""Poses and draws the arm."""

import dataclasses

import numpy as np

from dataset_preparation.synthetic_pouring.canvas import Canvas, ellipse, limb
from dataset_preparation.synthetic_pouring.motion import Script, State
from dataset_preparation.synthetic_pouring.shapes import across, axis

# Lengths of upper arm and forearm, in picture heights.
_UPPER_ARM, _FOREARM = 0.62, 0.6
# Offset along the bottle and length of each finger, the little finger first.
_FINGERS = ((-0.048, 0.085), (-0.017, 0.105), (0.016, 0.112), (0.047, 0.1))


@dataclasses.dataclass(frozen=True)
class Clothes:
  """The look of the arm; colors are [3] RGB floats from 0 to 255.

  Attributes:
    skin: Color of the hand.
    sleeve: Color of the sleeve.
    stripe: Color of the sleeve's stripes.
    striped: Whether it has stripes.
    bare: Length of the bare forearm, in picture heights.
  """

  skin: np.ndarray
  sleeve: np.ndarray
  stripe: np.ndarray
  striped: bool
  bare: float


@dataclasses.dataclass(frozen=True)
class Limbs:
  """The pose of the arm, in world points.

  Attributes:
    shoulder: [2].
    elbow: [2].
    wrist: [2].
    fingers: [4, 3, 2], the knuckle, the joint and the tip of each finger.
    thumb: [3, 2], the same for the thumb.
    thickness: Scale of all widths.
  """

  shoulder: np.ndarray
  elbow: np.ndarray
  wrist: np.ndarray
  fingers: np.ndarray
  thumb: np.ndarray
  thickness: float


def pose_arm(script: Script, state: State, thickness: float) -> Limbs:
  """Return the pose of the arm at one moment.

  Args:
    script: The video's script.
    state: The state at that moment.
    thickness: Scale of arm and hand.

  Returns:
    The pose.
  """
  radius = script.bottle.radius
  wrist = state.hand - across(state.tilt * script.wrist_turn) * (
    radius + 0.1 * thickness
  )
  shoulder = script.shoulder + script.lean * (state.hand - script.home)
  elbow = _find_elbow(shoulder, wrist)
  fingers = _place_fingers(state, radius, thickness)
  thumb = _place_thumb(state, radius, wrist, thickness)
  return Limbs(shoulder, elbow, wrist, fingers, thumb, thickness)


def _find_elbow(shoulder: np.ndarray, wrist: np.ndarray) -> np.ndarray:
  """Find the elbow of a two-bone arm, which points upwards."""
  reach = wrist - shoulder
  distance = float(np.hypot(*reach))
  reach = reach / distance
  distance = min(distance, 0.99 * (_UPPER_ARM + _FOREARM))
  along = (distance**2 + _UPPER_ARM**2 - _FOREARM**2) / (2 * distance)
  aside = max(_UPPER_ARM**2 - along**2, 0) ** 0.5
  return shoulder + along * reach + aside * np.array([reach[1], -reach[0]])


def _place_fingers(state: State, radius: float, thickness: float) -> np.ndarray:
  """Place the fingers: spread when open, around the bottle when closed."""
  turn, closed = state.tilt, state.closed
  bent = across(turn) * (0.95 * radius + 0.03)
  fingers = []
  for offset, length in _FINGERS:
    straight = across(turn - 7 * offset * (1 - closed)) * length * thickness
    half = 0.55 * straight * (1 - closed) + 0.6 * bent * closed
    whole = straight * (1 - closed) + bent * closed
    knuckle = state.hand + axis(turn) * offset * thickness
    knuckle = knuckle - across(turn) * (radius - 0.004)
    fingers.append([knuckle, knuckle + half, knuckle + whole])
  return np.array(fingers)


def _place_thumb(
  state: State, radius: float, wrist: np.ndarray, thickness: float
) -> np.ndarray:
  """Place the thumb: up when open, behind the bottle when closed."""
  up, right = axis(state.tilt), across(state.tilt)
  root = 0.5 * (state.hand - right * radius + wrist) + up * 0.035 * thickness
  lean = 0.35 + 0.9 * state.closed
  joint = root + (up * np.cos(lean) + right * np.sin(lean)) * 0.055 * thickness
  lean += 0.25
  tip = joint + (up * np.cos(lean) + right * np.sin(lean)) * 0.055 * thickness
  return np.array([root, joint, tip])


def draw_arm(canvas: Canvas, clothes: Clothes, limbs: Limbs) -> None:
  """Draw sleeve and forearm, behind everything else."""
  shoulder, elbow, wrist = limbs.shoulder, limbs.elbow, limbs.wrist
  width, sleeve = limbs.thickness, clothes.sleeve
  forearm = wrist - elbow
  cuff = wrist - forearm / np.hypot(*forearm) * (0.04 + clothes.bare)
  _draw_rod(canvas, (elbow, wrist), (0.075, 0.047), width, clothes.skin)
  _draw_rod(canvas, (shoulder, elbow), (0.115, 0.1), width, sleeve)
  _draw_rod(canvas, (elbow, cuff), (0.1, 0.072), width, sleeve)
  across_arm = np.array([-forearm[1], forearm[0]]) / np.hypot(*forearm)
  for part in [0.985] + [0.2, 0.4, 0.6, 0.8] * clothes.striped:
    at = elbow + (cuff - elbow) * part
    half = (0.1 - 0.028 * part) * width * across_arm * 0.97
    edge = np.array([at - half, at, at + half])
    canvas.line(edge, 0.022, clothes.stripe, 0.9)


def draw_palm(canvas: Canvas, clothes: Clothes, limbs: Limbs) -> None:
  """Draw palm and thumb, behind the bottle."""
  width = limbs.thickness
  knuckles = limbs.fingers[:, 0]
  inner = knuckles + (limbs.wrist - knuckles) * 0.12
  for size, shade in ((1.14, 0.62), (1.0, 1.0)):
    wide, small = 0.046 * width * size, 0.02 * width * size**2
    rings = [ellipse(limbs.wrist, wide, wide)]
    rings += [ellipse(at, small, small) for at in inner]
    canvas.fill(_compute_hull(np.concatenate(rings)), clothes.skin * shade)
  _draw_finger(canvas, limbs.thumb, 0.0215 * width, clothes.skin)


def draw_fingers(canvas: Canvas, clothes: Clothes, limbs: Limbs) -> None:
  """Draw the fingers, in front of the bottle."""
  for finger in limbs.fingers:
    _draw_finger(canvas, finger, 0.0175 * limbs.thickness, clothes.skin)


def _draw_finger(
  canvas: Canvas, joints: np.ndarray, radius: float, skin: np.ndarray
) -> None:
  """Draw a finger through its three joints, with a dark rim and a nail."""
  root, joint, tip = joints
  for size, shade in ((1.3, 0.6), (1.0, 1.0)):
    color, thick = skin * shade, radius * size
    canvas.fill(limb(root, joint, thick, thick), color)
    canvas.fill(limb(joint, tip, thick, thick * 0.85), color)
  nail = limb(joint, tip, radius * 0.4, radius * 0.35)
  canvas.fill(nail, skin * 0.8 + 51, 0.6)


def _draw_rod(
  canvas: Canvas,
  ends: tuple[np.ndarray, np.ndarray],
  radii: tuple[float, float],
  scale: float,
  color: np.ndarray,
) -> None:
  """Draw a round rod, lit from above."""
  light = np.array([0, -0.3])
  for size, shade in ((1.0, 0.62), (0.82, 0.85), (0.58, 1.0), (0.26, 1.12)):
    lift = light * (1 - size)
    lifted = [end + lift * r for end, r in zip(ends, radii, strict=True)]
    outline = limb(*lifted, *(r * scale * size for r in radii))
    canvas.fill(outline, np.minimum(color * shade, 255))


def _compute_hull(points: np.ndarray) -> np.ndarray:
  """Return the convex hull of [N, 2] points, [M, 2]."""
  rays = across(np.linspace(0, 2 * np.pi, 40, endpoint=False))
  return points[np.argmax((points - points.mean(0)) @ rays.T, axis=0)]
