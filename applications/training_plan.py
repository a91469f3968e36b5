"""What `align_folder` decides once: rate, sizes, held-out videos, steps."""

import copy
import dataclasses
import datetime
import itertools
import math
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Self

import tensorflow as tf
import yaml
from easydict import EasyDict

import models
from algos import ALGOS
from applications.folder_videos import ReadableVideo
from core.errors import UserError
from core.files import atomic_write
from dataset_preparation.splits import assign_videos
from training import checkpoints
from training.optimizers import build_optimizer
from training.step import build_train_step

# Sizes of the network's input, the largest that fits the budget being chosen.
_IMAGE_SIZES = (224, 168, 112)
# The size that speed is measured at: costs grow with its square.
_MEASURED_SIZE = 112
# With fewer videos each is needed for training.
_MIN_TO_HOLD_OUT = 10
_SHARES = {"train": 0.8, "val": 0.2}
# Frames of a video, on average.
_FRAMES_PER_VIDEO = (120, 60, 30)
_VIEWS = (2, 1)
_STEPS = (150, 1000)
# Embedding from cached features, and drawing, by the time of the features.
_EMBEDDING_SHARE, _DRAWING_SECONDS = 0.5, 0.005
# Starting, compiling, writing.
_FIXED_SECONDS = 45.0
# What the estimates may be wrong by.
_SAFETY = 0.9
# Length of a video that states none, if no other does.
_UNSTATED_SECONDS = 10.0
# Seconds between a frame and its context.
_CONTEXT_SECONDS = 0.5


class Cost(NamedTuple):
  """What work takes on this machine, at `_MEASURED_SIZE` pixels.

  Attributes:
    frame: Seconds for the features of a frame.
    step: Seconds for a training step on features.
    num_bytes: Bytes of the features of a frame.
  """

  frame: float
  step: float
  num_bytes: float


@dataclasses.dataclass(frozen=True)
class Plan:
  """The decisions, written down before they are followed.

  Attributes:
    videos: Names of the videos.
    held_out: Names of those that are not trained on.
    fps: Frames per second to keep.
    image_size: Height and width of the network's input.
    views: Augmented views of each video to train on.
    steps: Training steps.
    minutes: What all of it should take, with starting and writing.
    seconds: How long the stages should take, by their names.
  """

  videos: list[str]
  held_out: list[str]
  fps: float
  image_size: int
  views: int
  steps: int
  minutes: float
  seconds: dict[str, float]

  @property
  def splits(self) -> dict[str, list[str]]:
    """Names of the videos to train on, and of those held out, if any."""
    trained = [name for name in self.videos if name not in self.held_out]
    splits = {"train": trained, "val": self.held_out}
    return {split: names for split, names in splits.items() if names}

  def describe(self) -> str:
    """Describe the plan in a line."""
    parts = ", ".join(f"{k} {_format(x)}" for k, x in self.seconds.items())
    return (
      f"{len(self.videos)} videos, {len(self.held_out)} of them held out;"
      f" {self.fps:g} frames a second, {self.image_size} pixels a side,"
      f" {self.views} augmented views, {self.steps} steps; about"
      f" {_format(self.minutes * 60)} in all ({parts})"
    )

  def save(self, path: pathlib.Path) -> None:
    """Write the plan."""
    facts = dataclasses.asdict(self)
    with atomic_write(path) as temporary:
      text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
      temporary.write_text(text, "utf-8")

  @classmethod
  def load(cls, path: pathlib.Path, videos: Collection[str]) -> Self:
    """Read a plan.

    Args:
      path: The file.
      videos: Names of the videos that are there now.

    Returns:
      The plan.

    Raises:
      UserError: It is one for other videos, or damaged.
    """
    try:
      plan = cls(**yaml.safe_load(path.read_text("utf-8")))
      changed = sorted(set(plan.videos) ^ set(videos))
    except (TypeError, ValueError, yaml.YAMLError) as error:
      raise UserError(
        f"{path}: expected a plan of align_folder, received something else;"
        " remove the file, or choose another --output_dir"
      ) from error
    if changed:
      raise UserError(
        f"{path}: expected the {len(plan.videos)} videos that it was made for,"
        f" received {len(videos)} ({changed[0]!r} is new or gone); align new"
        " videos with --logdir and another --output_dir, or start anew in"
        " another --output_dir"
      )
    return plan


def _format(seconds: float) -> str:
  return str(datetime.timedelta(seconds=round(seconds)))


def build_config(base: EasyDict, plan: Plan, folder: pathlib.Path) -> EasyDict:
  """Fill a plan into a configuration.

  Args:
    base: What the plan doesn't decide.
    plan: The plan.
    folder: Folder of the output.

  Returns:
    The configuration to train with.
  """
  config = copy.deepcopy(base)
  config.IMAGE_SIZE = plan.image_size
  config.TRAIN.MAX_ITERS = plan.steps
  config.AUGMENTATION.CACHED_VIEWS = plan.views
  config.DATA.FRAME_STRIDE = max(1, round(_CONTEXT_SECONDS * plan.fps))
  config.LOGDIR = str(folder / "logs")
  return config


def measure_cost(config: EasyDict) -> Cost:
  """Measure features and a training step on this machine.

  Args:
    config: The configuration; all of its sizes but IMAGE_SIZE count.

  Returns:
    What they cost.

  Raises:
    UserError: The backbone can't be had.
  """
  config = copy.deepcopy(config)
  config.IMAGE_SIZE = size = _MEASURED_SIZE
  config.PRECISION = models.resolve_precision(config.PRECISION)
  algo = ALGOS[config.TRAINING_ALGO](config)
  optimizer = build_optimizer(config)
  optimizer.build(checkpoints.trainable_variables(algo))
  strategy = tf.distribute.get_strategy()
  step = build_train_step(strategy, algo, optimizer)
  compute = tf.function(algo.features, autograph=False)
  count = config.EVAL.FRAMES_PER_BATCH
  frames = tf.zeros([count, size, size, 3])
  features = compute(frames)
  shape = config.TRAIN.BATCH_SIZE, config.TRAIN.NUM_FRAMES
  length = tf.range(shape[1], dtype=tf.int64)
  batch = {
    "features": tf.zeros(
      [*shape, config.DATA.NUM_STEPS, *features.shape[1:]], features.dtype
    ),
    "steps": tf.tile(length[tf.newaxis], [shape[0], 1]),
    "seq_lens": tf.fill(shape[:1], length[-1] + 1),
  }
  step(batch)
  return Cost(
    _time(lambda: compute(frames).numpy()) / count,
    _time(lambda: step(batch)["loss"].numpy()),
    features.dtype.size * math.prod(features.shape[1:]),
  )


def _time(function: Callable[[], object]) -> float:
  """Return the shortest of three runs."""
  times = []
  for _ in range(3):
    start = time.perf_counter()
    function()
    times.append(time.perf_counter() - start)
  return min(times)


def make_plan(
  videos: Mapping[str, ReadableVideo],
  cost: Cost,
  minutes: float,
  max_bytes: float = math.inf,
) -> Plan:
  """Choose sizes and steps that fit a budget.

  Small pictures, one view and few frames come before a training that is too
  short; where all of that is not enough, the budget is exceeded.

  Args:
    videos: The videos by name.
    cost: What work takes.
    minutes: What everything may take.
    max_bytes: What features may take on the disk.

  Returns:
    The plan.
  """
  budget = (minutes * 60 - _FIXED_SECONDS) * _SAFETY
  held_out = choose_held_out(list(videos))
  trained = 1 - len(held_out) / len(videos)
  few, many = _STEPS
  choices = itertools.product(_FRAMES_PER_VIDEO, _IMAGE_SIZES, _VIEWS)
  for frames, size, views in choices:
    fps = choose_fps(videos.values(), frames)
    scaled = Cost(*(x * (size / _MEASURED_SIZE) ** 2 for x in cost))
    num_frames = _mean_length(videos.values()) * len(videos) * fps
    cached = num_frames * (1 + views * trained)
    seconds = {
      "convert": _estimate_reading(videos.values()),
      "features": cached * scaled.frame,
      "train": 0.0,
      "embed": num_frames * _EMBEDDING_SHARE * scaled.frame,
      "draw": num_frames * _DRAWING_SECONDS,
    }
    others = sum(seconds.values())
    steps = (budget - others) / scaled.step
    # Where training has most of the time, fewer frames would not help it.
    is_long = steps >= 2 * few or few <= steps and others < budget / 4
    if is_long and cached * scaled.num_bytes <= max_bytes:
      break
  steps = 10 * round(min(max(steps, few), many) / 10)
  seconds["train"] = steps * scaled.step
  total = round((sum(seconds.values()) + _FIXED_SECONDS) / 60, 1)
  seconds = {stage: round(x, 1) for stage, x in seconds.items()}
  decided = held_out, fps, size, views, steps, total, seconds
  return Plan(list(videos), *decided)


def choose_held_out(names: Sequence[str]) -> list[str]:
  """Choose the videos that are not trained on; none of a few."""
  if len(names) < _MIN_TO_HOLD_OUT:
    return []
  return assign_videos(names, _SHARES, seed=0, groups={})["val"]


def choose_fps(videos: Collection[ReadableVideo], num_frames: int) -> float:
  """Choose the rate at which videos have so many frames, on average.

  It is not above that of any video, but for those that are much slower than
  the others and would cost them their detail.
  """
  typical = statistics.median(video.fps for video in videos)
  lowest = min(video.fps for video in videos if video.fps > typical / 2)
  fps = min(num_frames / _mean_length(videos), lowest)
  return math.floor(fps * 100) / 100 or fps


def _mean_length(videos: Collection[ReadableVideo]) -> float:
  stated = [video.seconds for video in videos if video.seconds]
  return statistics.mean(stated) if stated else _UNSTATED_SECONDS


def _estimate_reading(videos: Collection[ReadableVideo]) -> float:
  """Estimate the seconds that all cores need to decode videos."""
  length = _mean_length(videos)
  costs = (x.fps * x.read_seconds * (x.seconds or length) for x in videos)
  return sum(costs) / os.cpu_count()
