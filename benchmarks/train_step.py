"""Cost of a training step beyond the network itself.

Prints, from alternating blocks in one process, the time of a full training step
(input, loss, optimizer, logging) and of the bare forward and backward pass of
the same network on a constant batch, and their ratio.

Usage: python -m benchmarks.train_step [--blocks 5] [--quick]
"""

import core.quiet_tensorflow  # noqa: F401

import itertools
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags

import config as configuration
import datasets
from algos import ALGOS
from algos.algorithm import Algorithm
from benchmarks.made_records import write_records
from benchmarks.measuring import report, run_in_new_process, time_call
from core import command_line
from training import checkpoints
from training.log import TrainLog
from training.optimizers import build_optimizer
from training.step import build_train_step, distribute

FLAGS = flags.FLAGS

_STEPS_PER_BLOCK = 4
_SETTINGS = (
  "DATASETS=[benchmark] IMAGE_SIZE=112 DATA.NUM_STEPS=2 TRAIN.BATCH_SIZE=2"
  " TRAIN.NUM_FRAMES=20 MODEL.TRAIN_BASE=only_bn"
  " MODEL.BASE_MODEL.NETWORK=Resnet50"
).split()
_QUICK = (
  "IMAGE_SIZE=32 TRAIN.NUM_FRAMES=4 MODEL.TRAIN_BASE=train_all"
  " MODEL.BASE_MODEL.NETWORK=VGGM MODEL.BASE_MODEL.LAYER=conv2"
  " MODEL.CONV_EMBEDDER_MODEL.CAPACITY_SCALAR=0.05"
).split()


def list_settings(folder: str, quick: bool) -> list[str]:
  """List the settings of a run on the made-up records."""
  quick = _QUICK if quick else []
  return [*_SETTINGS, *quick, f"PATH_TO_TFRECORDS={folder}"]


def build_bare_pass(algo: Algorithm) -> Callable[..., list[tf.Tensor]]:
  """Compile the forward and backward pass of a network, and no more."""
  variables = checkpoints.trainable_variables(algo)

  @tf.function
  def run(batch: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
      value = tf.reduce_mean(tf.square(algo(batch, training=True)))
    # Returned, because TensorFlow leaves out what nobody asks for: gradients
    # that are mere control dependencies are never computed.
    return tape.gradient(value, variables)

  return run


def compare(settings: list[str], num_blocks: int) -> tuple[float, float]:
  """Measure the median seconds of a full step and of a bare pass."""
  config = configuration.load([], settings)
  strategy = tf.distribute.MirroredStrategy()
  with strategy.scope():
    algo = ALGOS[config.TRAINING_ALGO](config)
    optimizer = build_optimizer(config)
    optimizer.build(checkpoints.trainable_variables(algo))
  train_step = build_train_step(strategy, algo, optimizer)
  bare = build_bare_pass(algo)
  data = datasets.train_batches(config, config.TRAIN.BATCH_SIZE)
  batches = iter(distribute(strategy, data))
  constant = next(iter(data))
  steps = itertools.count()
  seconds = np.zeros([2, num_blocks, _STEPS_PER_BLOCK])
  with TrainLog(config) as log:

    def take_full_step() -> None:
      batch = next(batches)
      scalars = train_step(batch)
      float(scalars["loss"])
      log.step(next(steps), scalars, batch)

    def take_bare_step() -> None:
      bare(constant)[-1].numpy()

    for block in range(num_blocks):
      for kind, take_step in enumerate((take_full_step, take_bare_step)):
        for place in range(_STEPS_PER_BLOCK):
          seconds[kind, block, place], _ = time_call(take_step)
  # The first block compiles; the first step of each finds a batch prepared
  # while the other kind ran.
  return tuple(np.median(seconds[:, 1:, 1:], axis=(1, 2)))


def main() -> None:
  """Measure full steps and bare passes at two sizes, in both precisions."""
  sizes, blocks = ((32,), 2) if FLAGS.quick else ((112, 224), FLAGS.blocks)
  with tempfile.TemporaryDirectory() as folder:
    write_records(pathlib.Path(folder), [60] * 8)
    settings = list_settings(folder, FLAGS.quick)
    for size, name in itertools.product(sizes, ("float32", "bfloat16")):
      case = [f"IMAGE_SIZE={size}", f"PRECISION={name}", f"LOGDIR={folder}"]
      full, bare = run_in_new_process(compare, settings + case, blocks)
      seconds = f"full step {full:.3f} s, bare pass {bare:.3f} s"
      report(f"{size} px, {name}: {seconds}, ratio {full / bare:.3f}")


if __name__ == "__main__":
  flags.DEFINE_integer("blocks", 5, "Blocks a kind; the first compiles.", 2)
  flags.DEFINE_boolean("quick", False, "Take a few steps of a tiny network.")
  command_line.run(main)
