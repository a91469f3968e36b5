"""What a training step costs beyond the network itself.

Prints, from alternating blocks in one process, the time of a full training step
(input, loss, optimizer, logging) and of the bare forward and backward pass of
the same network on a constant batch, and their ratio; then the seconds that
`train.py` takes from its start to the end of its first step.

Usage: python -m benchmarks.train_step [--blocks 6]
"""

import core.quiet_tensorflow  # noqa: F401

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags
from easydict import EasyDict

import config as configuration
import datasets
import train
from algos import ALGOS
from algos.algorithm import Algorithm
from core import command_line, errors
from dataset_preparation import build_records
from dataset_preparation.shards import ShardOptions
from media.frame_encoding import FrameEncoding
from training import checkpoints
from training.log import TrainLog
from training.optimizers import build_optimizer

FLAGS = flags.FLAGS

_STEPS_PER_BLOCK = 6
_SETTINGS = (
  "DATASETS=[benchmark]",
  "IMAGE_SIZE=112",
  "TRAIN.BATCH_SIZE=2",
  "TRAIN.NUM_FRAMES=20",
  "MODEL.BASE_MODEL.NETWORK=Resnet50",
  "MODEL.TRAIN_BASE=only_bn",
  "DATA.NUM_STEPS=2",
)


def write_videos(folder: pathlib.Path, num_videos: int = 8) -> None:
  """Writes records of smooth noise, about as hard to decode as real frames."""
  rng = np.random.default_rng(0)

  paths = {f"v{number}": folder / f"v{number}" for number in range(num_videos)}
  for path in paths.values():
    path.mkdir()
    coarse = tf.constant(rng.integers(0, 255, [60, 14, 14, 3]), tf.float32)
    frames = tf.cast(tf.image.resize(coarse, [112, 112]), tf.uint8)
    for number, frame in enumerate(frames):
      jpeg = tf.io.encode_jpeg(frame, quality=95)
      tf.io.write_file(str(path / f"{number}.jpg"), jpeg)
  build_records.build_records(
    *(paths, "benchmark_train", folder),
    encoding=FrameEncoding(size=None),
    options=ShardOptions(num_workers=1),
  )


def bare_pass(
  algo: Algorithm,
) -> Callable[[dict[str, tf.Tensor]], list[tf.Tensor]]:
  """Compiles the forward and backward pass of a network, and no more."""
  variables = checkpoints.trainable_variables(algo)

  @tf.function
  def run(batch: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
      value = tf.reduce_mean(tf.square(algo(batch, training=True)))
    # Returned, because TensorFlow leaves out what nobody asks for: gradients
    # that are mere control dependencies are never computed.
    return tape.gradient(value, variables)

  return run


def compare(config: EasyDict, num_blocks: int) -> tuple[float, float]:
  """Median seconds of a full step and of a bare pass."""
  strategy = tf.distribute.MirroredStrategy()
  with strategy.scope():
    algo = ALGOS[config.TRAINING_ALGO](config)
    optimizer = build_optimizer(config)
    optimizer.build(checkpoints.trainable_variables(algo))
  train_step = train.build_train_step(strategy, algo, optimizer)
  bare = bare_pass(algo)
  data = datasets.train_batches(config, config.TRAIN.BATCH_SIZE)
  batches = iter(train.distribute(strategy, data))
  constant = next(iter(data))
  seconds = {"full": [], "bare": []}
  step = 0
  with TrainLog(config) as log:
    for _ in range(num_blocks):
      for kind, times in seconds.items():
        for _ in range(_STEPS_PER_BLOCK):
          start = time.perf_counter()
          if kind == "full":
            batch = next(batches)
            scalars = train_step(batch)
            float(scalars["loss"])
            log.step(step, scalars, batch)
            step += 1
          else:
            bare(constant)[-1].numpy()
          times.append(time.perf_counter() - start)
  # The first block compiles; the first step of each finds a batch prepared
  # while the other kind ran.
  return tuple(
    statistics.median(
      value
      for number, value in enumerate(times[_STEPS_PER_BLOCK:])
      if number % _STEPS_PER_BLOCK
    )
    for times in seconds.values()
  )


def startup_seconds(settings: list[str], logdir: str) -> float:
  """Seconds from the start of `train.py` to the end of its first step."""
  command = [sys.executable, "train.py", f"--logdir={logdir}"]
  command += [f"--set={setting}" for setting in settings]
  start = time.perf_counter()
  process = subprocess.Popen(
    [*command, "--set=TRAIN.MAX_ITERS=1"],
    cwd=pathlib.Path(__file__).resolve().parents[1],
    stderr=subprocess.PIPE,
    text=True,
  )
  for line in process.stderr:
    if "step 1/1 " in line:
      seconds = time.perf_counter() - start
  if process.wait():
    raise errors.UserError("train.py failed; run it by hand to see why")
  return seconds


def main() -> None:
  """Runs both measurements."""
  with tempfile.TemporaryDirectory() as folder:
    settings = [*_SETTINGS, f"PATH_TO_TFRECORDS={folder}"]
    write_videos(pathlib.Path(folder))
    config = configuration.load([], settings)
    config.LOGDIR = f"{folder}/logs"
    full, bare = compare(config, FLAGS.blocks)
    print(f"full training step       {full:8.3f} s")
    print(f"bare forward + backward  {bare:8.3f} s")
    print(f"ratio                    {full / bare:8.3f}")
    seconds = startup_seconds(settings, f"{folder}/startup")
    print(f"start to end of step 1   {seconds:8.1f} s")


if __name__ == "__main__":
  flags.DEFINE_integer(
    "blocks", 6, "Blocks of each kind; the first compiles.", lower_bound=2
  )
  command_line.run(main)
