"""Poses and draws the arm."""

import dataclasses

import numpy as np

from dataset_preparation.synthetic_pouring.canvas import Canvas, ellipse, limb
from dataset_preparation.synthetic_pouring.motion import Script, State
from dataset_preparation.synthetic_pouring.shapes import across, axis

# Lengths of upper arm and forearm, in picture heights.
_UPPER_ARM, _FOREARM = 0.62, 0.6
# Offsets of the four fingers along the bottle, from little to index finger.
_FINGER_OFFSETS = (-0.048, -0.017, 0.016, 0.047)
_FINGER_LENGTHS = (0.085, 0.105, 0.112, 0.1)


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
  forward = across(state.wrist_turn)
  wrist = state.hand - forward * (radius + 0.1 * thickness)
  shoulder = script.shoulder + script.lean * (state.hand - script.home)
  return Limbs(
    shoulder=shoulder,
    elbow=_find_elbow(shoulder, wrist),
    wrist=wrist,
    fingers=_place_fingers(state, radius, thickness),
    thumb=_place_thumb(state, radius, wrist, thickness),
    thickness=thickness,
  )


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
  up = axis(state.hand_turn)
  fingers = []
  for offset, length in zip(_FINGER_OFFSETS, _FINGER_LENGTHS, strict=True):
    spread = state.hand_turn - 7 * offset * (1 - state.closed)
    straight = across(spread) * length * thickness
    bent = across(state.hand_turn) * (0.95 * radius + 0.03)
    half = 0.55 * straight * (1 - state.closed) + 0.6 * bent * state.closed
    whole = straight * (1 - state.closed) + bent * state.closed
    knuckle = state.hand + up * offset * thickness
    knuckle = knuckle - across(state.hand_turn) * (radius - 0.004)
    fingers.append([knuckle, knuckle + half, knuckle + whole])
  return np.array(fingers)


def _place_thumb(
  state: State, radius: float, wrist: np.ndarray, thickness: float
) -> np.ndarray:
  """Place the thumb: up when open, behind the bottle when closed."""
  up, right = axis(state.hand_turn), across(state.hand_turn)
  root = 0.5 * (state.hand - right * radius + wrist) + up * 0.035 * thickness
  lean = 0.35 + 0.9 * state.closed
  joint = root + (up * np.cos(lean) + right * np.sin(lean)) * 0.055 * thickness
  lean += 0.25
  tip = joint + (up * np.cos(lean) + right * np.sin(lean)) * 0.055 * thickness
  return np.array([root, joint, tip])


def draw_arm(canvas: Canvas, clothes: Clothes, limbs: Limbs) -> None:
  """Draw sleeve and forearm, behind everything else."""
  width = limbs.thickness
  forearm = limbs.wrist - limbs.elbow
  cuff = limbs.wrist - forearm / np.hypot(*forearm) * (0.04 + clothes.bare)
  _draw_rod(canvas, limbs.elbow, limbs.wrist, 0.075, 0.047, width, clothes.skin)
  _draw_rod(
    canvas, limbs.shoulder, limbs.elbow, 0.115, 0.1, width, clothes.sleeve
  )
  _draw_rod(canvas, limbs.elbow, cuff, 0.1, 0.072, width, clothes.sleeve)
  across_arm = np.array([-forearm[1], forearm[0]]) / np.hypot(*forearm)
  marks = [0.985] + [0.2, 0.4, 0.6, 0.8] * clothes.striped
  for part in marks:
    at = limbs.elbow + (cuff - limbs.elbow) * part
    half = (0.1 - 0.028 * part) * width * across_arm * 0.97
    edge = np.array([at - half, at, at + half])
    canvas.line(edge, 0.022, clothes.stripe, 0.9)


def draw_palm(canvas: Canvas, clothes: Clothes, limbs: Limbs) -> None:
  """Draw palm and thumb, behind the bottle."""
  width = limbs.thickness
  knuckles = limbs.fingers[:, 0]
  inner = knuckles + (limbs.wrist - knuckles) * 0.12
  for size, shade in ((1.14, 0.62), (1.0, 1.0)):
    rings = [ellipse(limbs.wrist, 0.046 * width * size, 0.046 * width * size)]
    rings += [
      ellipse(at, 0.02 * width * size**2, 0.02 * width * size**2)
      for at in inner
    ]
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
    color = skin * shade
    canvas.fill(limb(root, joint, radius * size, radius * size), color)
    canvas.fill(limb(joint, tip, radius * size, radius * size * 0.85), color)
  canvas.fill(
    limb(joint, tip, radius * 0.4, radius * 0.35), skin * 0.8 + 51, 0.6
  )


def _draw_rod(
  canvas: Canvas,
  start: np.ndarray,
  end: np.ndarray,
  start_radius: float,
  end_radius: float,
  scale: float,
  color: np.ndarray,
) -> None:
  """Draw a round rod, lit from above."""
  light = np.array([0, -0.3])
  for size, shade in ((1.0, 0.62), (0.82, 0.85), (0.58, 1.0), (0.26, 1.12)):
    first, last = start_radius * scale * size, end_radius * scale * size
    lift = light * (1 - size)
    outline = limb(
      start + lift * start_radius, end + lift * end_radius, first, last
    )
    canvas.fill(outline, np.minimum(color * shade, 255))


def _compute_hull(points: np.ndarray) -> np.ndarray:
  """Return the convex hull of [N, 2] points, [M, 2]."""
  center = points.mean(0)
  directions = np.linspace(0, 2 * np.pi, 40, endpoint=False)
  rays = np.stack([np.cos(directions), np.sin(directions)], axis=1)
  return points[np.argmax((points - center) @ rays.T, axis=0)]
