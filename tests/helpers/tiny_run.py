"""Records of seconds, and a run on them that takes seconds."""

import pathlib
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

import config as configuration
import evaluation
import train as train_module
from tests.helpers import record_files

TASKS = f"EVAL.TASKS=[{', '.join(evaluation.TASKS)}]"
SETTINGS = (
  *("DATASETS=[tiny]", "IMAGE_SIZE=32", "DATA.FRAME_STRIDE=2"),
  *("TRAIN.MAX_ITERS=4", "TRAIN.NUM_FRAMES=4", "EVAL.NUM_FRAMES=4"),
  *(TASKS, "EVAL.VAL_ITERS=2", "EVAL.FRAMES_PER_BATCH=8"),
  *("EVAL.FEW_SHOT_NUM_LABELED=[1]", "EVAL.FEW_SHOT_NUM_EPISODES=2"),
  *("MODEL.BASE_MODEL.NETWORK=VGGM", "MODEL.BASE_MODEL.LAYER=conv2"),
  "MODEL.TRAIN_BASE=train_all",
  "MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, true]]",
  "MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS=[[8, true]]",
  "MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE=8",
  *("LOGGING.REPORT_INTERVAL=2", "CHECKPOINT.SAVE_INTERVAL=2"),
)


def write_records(folder, dataset="tiny", seed=0):
  """Writes labeled videos of a square that moves, in two splits."""
  rng = np.random.default_rng(seed)
  for split, count in (("train", 4), ("val", 3)):
    videos = [square_video(f"{split}{number}", rng) for number in range(count)]
    record_files.write(folder, [videos], dataset, split)


def square_video(name, rng):
  length = int(rng.integers(14, 20))
  frames = np.full([length, 32, 32, 3], rng.integers(0, 90, 3), np.uint8)
  for t in range(length):
    x = t * 24 // (length - 1)
    frames[t, 8:20, x : x + 8] = 220
  jpegs = [tf.io.encode_jpeg(frame).numpy() for frame in frames]
  labels = [3 * t // length for t in range(length)]
  return record_files.sequence_example(name, jpegs, labels, label=None)


def config(records, logdir, *settings):
  settings = [*SETTINGS, f"PATH_TO_TFRECORDS={records}", *settings]
  made = configuration.load([], settings)
  made.LOGDIR = str(logdir)
  return made


class Run(NamedTuple):
  logdir: pathlib.Path
  messages: list[str]  # What was logged as information.


def train(config, **options):
  """Trains; what it logs is kept."""
  messages = []
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      "absl.logging.info", lambda text, *args: messages.append(text % args)
    )
    train_module.train(config, **options)
  return Run(pathlib.Path(config.LOGDIR), messages)


def events(folder):
  """Tag -> step -> tensor."""
  found = event_accumulator.EventAccumulator(str(folder), {"tensors": 0})
  found.Reload()
  return {
    tag: {e.step: e.tensor_proto for e in found.Tensors(tag)}
    for tag in found.Tags()["tensors"]
  }


def curves(folder):
  return {
    tag: {step: float(tf.make_ndarray(value)) for step, value in steps.items()}
    for tag, steps in events(folder).items()
  }
