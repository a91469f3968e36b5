"""Cost of the input of a training step, against decoding from memory.

Prints, from alternating blocks in one process, the time of a batch from videos
of 300 and of 9,000 frames, and of decoding, resizing and augmenting as many of
the same JPEGs from memory, each with 2 and with 4 readers; then what reading a
record for the first time takes, and the peak memory of processes that read
batches of either.

Usage: python -m benchmarks.input_pipeline [--blocks 15] [--quick]
"""

import core.quiet_tensorflow  # noqa: F401

import pathlib
import shutil
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags
from easydict import EasyDict

import config as configuration
import datasets
from benchmarks.made_records import make_jpegs, write_records
from benchmarks.measuring import (
  read_peak_memory,
  report,
  run_in_new_process,
  time_call,
)
from core import command_line
from data import examples, frame_index, preprocessing
from data.sampling import FrameSampler, context_steps

FLAGS = flags.FLAGS

_BATCH_SIZE = 2
_SHORT, _LONG, _VIDEOS = 300, 9000, 4
_BATCHES_PER_BLOCK = 40


def load(folder: pathlib.Path) -> EasyDict:
  """Load the configuration of batches from a folder."""
  settings = ["DATASETS=[benchmark]", "IMAGE_SIZE=112", "TRAIN.NUM_FRAMES=20"]
  return configuration.load(
    [], [*settings, f"PATH_TO_TFRECORDS={folder}", "TRAIN.MAX_ITERS=100000"]
  )


def batches_from_memory(config: EasyDict, num_readers: int) -> tf.data.Dataset:
  """Make batches of as many frames of short videos without reading them."""
  jpegs = tf.constant([make_jpegs(112, number) for number in range(_VIDEOS)])
  # One draw for all, of 38 different frames; their mean is 38.4.
  length, seeds = tf.constant(_SHORT, tf.int64), tf.random.split([0, 2], 3)
  steps = FrameSampler(config.DATA)(length, 20, seeds)
  distinct, _ = tf.unique(context_steps(steps, config.DATA))

  def make_video(number: tf.Tensor) -> tf.Tensor:
    chosen = tf.gather(jpegs[number % _VIDEOS], distinct % jpegs.shape[1])
    seed = tf.random.split(tf.stack([config.SEED, number]), 3)[1]
    frames = preprocessing.decode(chosen)
    return preprocessing.augment(frames, config.AUGMENTATION, 112, seed)

  options = tf.data.Options()
  options.autotune.enabled = False
  return (
    tf.data.Dataset.range(10**9)
    .map(make_video, num_parallel_calls=num_readers)
    .batch(_BATCH_SIZE)
    .prefetch(1)
    .with_options(options)
  )


def compare(folders: list[pathlib.Path], num_readers: int, blocks: int) -> None:
  """Print the median seconds of a batch from each folder and from memory."""
  datasets._NUM_READERS = num_readers
  configs = list(map(load, folders))
  kinds = [datasets.train_batches(config, _BATCH_SIZE) for config in configs]
  kinds.append(batches_from_memory(configs[0], num_readers))
  iterators = list(map(iter, kinds))
  seconds = np.zeros([len(kinds), blocks])

  def take(iterator: Callable) -> None:
    for _ in range(_BATCHES_PER_BLOCK):
      next(iterator)

  for block in range(-1, blocks):  # The first is for starting.
    for kind, iterator in enumerate(iterators):
      next(iterator)  # Was prepared while another ran.
      spent, _ = time_call(take, iterator)
      if block >= 0:
        seconds[kind, block] = spent / _BATCHES_PER_BLOCK
  short, long, memory = 1000 * np.median(seconds, axis=1)
  report(
    f"{num_readers} readers: a batch from short videos {short:.1f} ms, long"
    f" {long:.1f} ms, from memory {memory:.1f} ms; long / short"
    f" {long / short:.3f}, short / memory {short / memory:.3f}"
  )


def measure_memory(folder: pathlib.Path) -> float:
  """Read batches; return the peak MiB of the process."""
  batches = iter(datasets.train_batches(load(folder), _BATCH_SIZE))
  for _ in range(2 * _BATCHES_PER_BLOCK):
    next(batches)
  return read_peak_memory()


def main() -> None:
  """Measure batches, first uses and memory."""
  lengths = (30, 90) if FLAGS.quick else (_SHORT, _LONG)
  blocks = 1 if FLAGS.quick else FLAGS.blocks
  with tempfile.TemporaryDirectory() as name:
    folders = [pathlib.Path(name, str(length)) for length in lengths]
    for folder, length in zip(folders, lengths, strict=True):
      write_records(folder, [length] * _VIDEOS)
      [record, *_] = datasets.list_split_records(
        load(folder), "benchmark", "train"
      )
      first, _ = time_call(examples.read_example, record)
      again, _ = time_call(examples.read_example, record)
      report(
        f"a record of {length} frames, {record.length / 2**20:.0f} MiB: first"
        f" use {first:.3f} s, later {again:.4f} s"
      )
    for num_readers in (2, 4):
      compare(folders, num_readers, blocks)
    for folder, length in zip(folders, lengths, strict=True):
      shutil.rmtree(folder / frame_index.FOLDER_NAME)
      peak = run_in_new_process(measure_memory, folder)
      report(f"peak memory with videos of {length} frames: {peak:.0f} MiB")


if __name__ == "__main__":
  flags.DEFINE_integer("blocks", 15, "Blocks of each kind.", 1)
  flags.DEFINE_bool("quick", False, "Tiny sizes, to see that it runs.")
  command_line.run(main)
