"""The events of a video and their times.

A `Script` is drawn at random once per video; `compute_state` is a pure function
of it and of time. Coordinates and angles are those of `shapes`.
"""

import dataclasses

import numpy as np
from numpy.random import Generator

from dataset_preparation.synthetic_pouring import shapes
from dataset_preparation.synthetic_pouring.shapes import Bottle, Cup, axis

FPS = 15
PHASES = ("reach", "lift and tilt", "pour", "put back", "let go")
REACH, LIFT, POUR, PUT_BACK, LET_GO = range(len(PHASES))

# Seconds a phase lasts at ordinary speed.
_MEAN_DURATIONS = np.array([1.05, 1.2, 2.1, 1.3, 0.9])
_MIN_FRAMES, _MAX_FRAMES = 60, 140
# Part of lifting in which the fingers close, and of letting go in which they
# open. It is short, because the bottle stands still meanwhile and nothing tells
# the two phases at the boundary apart. For the same reason the bottle is lifted
# at once, put down late, and let go of quickly.
_FINGERS = 0.05
# Seconds that the liquid falls from the bottle into the cup.
_FALL = 0.08


@dataclasses.dataclass(frozen=True)
class Script:
  """The action of one video.

  Attributes:
    frames: Number of frames of each of the five phases.
    warps: For each phase, progress (0 to 1, rising) at evenly spaced times.
    bottle: Shape of the bottle.
    cup: Shape of the cup.
    home: Middle of the bottle's base on the table before pouring.
    return_base: The same after pouring.
    cup_base: Middle of the cup's base.
    grip_height: Height of the hand above the bottle's base.
    hand_start: First place of the hand.
    hand_end: Last place of the hand.
    shoulder: Joint of the arm while the hand is at the bottle's place.
    lean: Part of the hand's way that the shoulder follows.
    wrist_turn: Part of the bottle's tilt that the wrist follows.
    mouth_gaps: Height of the mouth over the cup's rim as pouring starts and
      ends.
    mouth_offset: Horizontal distance of mouth and cup at both moments.
    bows: Extra height on the way to the cup and on the way back.
    bottle_fills: Part of the bottle that is full before and after.
    cup_fill: Part of the cup that is full after.
    tilt_table: Rising tilts in radians at which the surface reaches the lip,
      and the part of the bottle that is full then, falling.
  """

  frames: tuple[int, ...]
  warps: tuple[np.ndarray, ...]
  bottle: Bottle
  cup: Cup
  home: np.ndarray
  return_base: np.ndarray
  cup_base: np.ndarray
  grip_height: float
  hand_start: np.ndarray
  hand_end: np.ndarray
  shoulder: np.ndarray
  lean: float
  wrist_turn: float
  mouth_gaps: tuple[float, float]
  mouth_offset: float
  bows: tuple[float, float]
  bottle_fills: tuple[float, float]
  cup_fill: float
  tilt_table: tuple[np.ndarray, np.ndarray]

  def boundaries(self) -> np.ndarray:
    """Return the seconds at which the phases start, and the end.

    A key event lies midway between two frames, so that no rounding moves a
    frame into the neighboring phase.

    Returns:
      [6] float; from 0 to the video's duration.
    """
    times = (np.cumsum((0, *self.frames)) - 0.5) / FPS
    times[0], times[-1] = 0, sum(self.frames) / FPS
    return times


@dataclasses.dataclass(frozen=True)
class State:
  """The scene at one moment.

  Attributes:
    time: Seconds since the video's start.
    hand: Point between the fingers that holds the bottle.
    closed: How far the fingers are closed, 0 to 1.
    bottle: Middle of the bottle's base.
    tilt: Angle of the bottle, and of the fingers, in radians.
    ground: Height of the table under the bottle.
    cup_fill: Part of the cup that is full.
    stream: Parts of the way from mouth to cup where the stream ends and starts:
      (0, 1) while it flows, (0, 0) without a stream.
  """

  time: float
  hand: np.ndarray
  closed: float
  bottle: np.ndarray
  tilt: float
  ground: float
  cup_fill: float
  stream: tuple[float, float]


def _draw_warp(rng: Generator, seconds: float, may_pause: bool) -> np.ndarray:
  """Draw progress over one phase: uneven speed, perhaps a short pause."""
  speed = np.exp(rng.normal(0, 0.45, 6))
  moments = np.linspace(0, 1, 41)
  rate = np.interp(moments, np.linspace(0, 1, 6), speed)
  if may_pause and rng.random() < 0.45:
    width = rng.uniform(0.15, 0.4) / seconds
    center = rng.uniform(0.35, 0.75)
    rate[np.abs(moments - center) < width / 2] *= 0.04
  progress = np.cumsum([0, *(rate[1:] + rate[:-1]) / 2])
  return progress / progress[-1]


def _draw_frames(rng: Generator) -> np.ndarray:
  """Draw the number of frames of each phase."""
  durations = _MEAN_DURATIONS * rng.uniform(0.65, 1.4, len(PHASES))
  frames = durations * rng.uniform(0.75, 1.3) * FPS
  total = np.clip(frames.sum(), _MIN_FRAMES, _MAX_FRAMES)
  return np.maximum(np.round(frames * total / frames.sum()), 6).astype(int)


def draw_script(rng: Generator) -> Script:
  """Draw the action of one video at random.

  Args:
    rng: The video's generator.

  Returns:
    The script.
  """
  frames = _draw_frames(rng)
  warps = tuple(
    _draw_warp(rng, count / FPS, phase in (LIFT, PUT_BACK))
    for phase, count in enumerate(frames)
  )
  height = rng.uniform(0.4, 0.45)
  shoulder = rng.uniform(0.5, 0.66)
  bottle = Bottle(
    height=height,
    radius=height * rng.uniform(0.18, 0.22),
    neck_radius=height * rng.uniform(0.06, 0.085),
    shoulder=shoulder,
    neck=shoulder + rng.uniform(0.12, 0.22),
    roundness=rng.uniform(0.45, 1.1),
  )
  top = rng.uniform(0.105, 0.13)
  cup = Cup(rng.uniform(0.24, 0.29), top, top * rng.uniform(0.68, 1.0))
  # The bottle comes from the back of the table and goes to its front, beside
  # the cup. If it were only carried from left to right and back, a video played
  # backwards would look like its mirror image, and a network trained on both
  # could align them backwards.
  home = np.array([rng.uniform(0.5, 0.56), rng.uniform(0.63, 0.67)])
  gap = rng.uniform(0.13, 0.18)
  return Script(
    frames=tuple(frames.tolist()),
    warps=warps,
    bottle=bottle,
    cup=cup,
    home=home,
    return_base=home + [rng.uniform(-0.05, 0.05), rng.uniform(0.15, 0.2)],
    cup_base=home + [rng.uniform(0.28, 0.34), rng.uniform(0.12, 0.17)],
    grip_height=height * rng.uniform(0.32, 0.4),
    hand_start=np.array([rng.uniform(0.2, 0.27), rng.uniform(0.5, 0.76)]),
    hand_end=np.array([rng.uniform(0.17, 0.26), rng.uniform(0.28, 0.56)]),
    shoulder=home - [rng.uniform(1.05, 1.15), rng.uniform(0.1, 0.5)],
    lean=rng.uniform(0.6, 0.85),
    wrist_turn=rng.uniform(0.35, 0.55),
    mouth_gaps=(gap, gap - rng.uniform(0.03, 0.08)),
    mouth_offset=rng.uniform(0.045, 0.075),
    bows=(rng.uniform(0.0, 0.09), rng.uniform(0.0, 0.07)),
    bottle_fills=(rng.uniform(0.72, 0.84), rng.uniform(0.1, 0.18)),
    cup_fill=rng.uniform(0.8, 0.92),
    tilt_table=shapes.tabulate_tilts(bottle),
  )


def _ease(progress: float, start: float = 0.0, end: float = 1.0) -> float:
  """Go from 0 at `start` to 1 at `end`, a bit slower at both."""
  part = min(max((progress - start) / (end - start), 0.0), 1.0)
  return 0.6 * part + 0.4 * part * part * (3 - 2 * part)


def _mix(first: float, second: float, part: float) -> float:
  return first + (second - first) * part


def _phase_at(script: Script, time: float) -> tuple[int, float]:
  """Return the phase at a time, and the progress within it, 0 to 1."""
  times = script.boundaries()
  phase = int(np.searchsorted(times[1:-1], time, side="right"))
  part = (time - times[phase]) / (times[phase + 1] - times[phase])
  warp = script.warps[phase]
  return phase, float(np.interp(part, np.linspace(0, 1, len(warp)), warp))


def _grip_and_tilt(
  script: Script, phase: int, progress: float
) -> tuple[np.ndarray, float]:
  """Return where the bottle is gripped, and its tilt."""
  base = script.home if phase in (REACH, LIFT) else script.return_base
  on_table = base - [0, script.grip_height]
  if phase in (REACH, LET_GO):
    return on_table, 0.0
  poured = {LIFT: 0, POUR: progress, PUT_BACK: 1}[phase]
  # The surface reaches the lip, and the mouth is over the cup.
  tilts, fills = script.tilt_table
  fill = _mix(*script.bottle_fills, poured)
  pour_tilt = float(np.interp(-fill, -fills, tilts))
  above = script.cup.height + _mix(*script.mouth_gaps, poured)
  mouth = script.cup_base - [script.mouth_offset, above]
  below = script.bottle.height - script.grip_height
  over_cup = mouth - axis(pour_tilt) * below
  if phase == POUR:
    return over_cup, pour_tilt
  # Parts of the way from table (0) to cup (1), sideways and upwards.
  if phase == LIFT:
    up = max(progress - _FINGERS, 0) / (1 - _FINGERS)
    part = np.array([_ease(up, 0.4), min(up / 0.2, 1)])
    tilt = pour_tilt * _ease(up)
  else:
    left = 1 - progress
    part = np.array([1 - _ease(progress, 0, 0.45), min(left / 0.24, 1)])
    tilt = pour_tilt * (1 - _ease(progress, 0, 0.97))
  bow = script.bows[poured] * np.sin(np.pi * part[1])
  return on_table + (over_cup - on_table) * part - [0, bow], tilt


def _poured(script: Script, time: float) -> float:
  """Return the part of the pouring that is done, 0 to 1."""
  phase, progress = _phase_at(script, time)
  return progress if phase == POUR else float(phase > POUR)


def _stream_at(script: Script, time: float) -> tuple[float, float]:
  """Return the part of the way from mouth to cup that the stream fills."""
  start, end = script.boundaries()[POUR : POUR + 2]
  if not start <= time < end:
    return 0.0, 0.0
  tail, head = 1 + (time - end) / _FALL, (time - start) / _FALL
  return float(np.clip(tail, 0, 1)), float(np.clip(head, 0, 1))


def compute_state(script: Script, time: float) -> State:
  """Return the scene at one moment.

  Args:
    script: The video's script.
    time: Seconds since the start of the video, below its duration.

  Returns:
    The state.
  """
  phase, progress = _phase_at(script, time)
  held, tilt = _grip_and_tilt(script, phase, progress)
  hand, closed = held, 1.0
  if phase == REACH:
    hand = _mix(script.hand_start, held, _ease(progress))
    closed = 0.35 * (1 - _ease(progress, 0, 0.5))
  elif phase == LIFT:
    closed = _ease(progress, 0, _FINGERS)
  elif phase == LET_GO:
    hand = _mix(held, script.hand_end, _ease(progress, _FINGERS, 0.5))
    closed = 1 - _ease(progress, 0, _FINGERS) + 0.85 * _ease(progress, 0.4)
  return State(
    time=time,
    hand=hand,
    closed=closed,
    bottle=held - axis(tilt) * script.grip_height,
    tilt=tilt,
    ground=_mix(script.home[1], script.return_base[1], _poured(script, time)),
    cup_fill=script.cup_fill * _poured(script, time - _FALL),
    stream=_stream_at(script, time),
  )
