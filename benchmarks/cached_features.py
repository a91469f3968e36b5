"""Training and evaluation on cached features, against what is left of a step.

Prints, from alternating blocks in one process, the time of a full training step
on cached features, of the bare embedder (forward, backward and optimizer on a
constant batch), and of a full step that computes the features; then the time of
embedding the videos with features that are computed, and read; and the time of
reading random rows from the cache, from a memory map, and from a TFRecord file.

Usage: python -m benchmarks.cached_features [--blocks 4] [--quick]
"""

import core.quiet_tensorflow  # noqa: F401

import itertools
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import flags
from easydict import EasyDict

import config as configuration
import datasets
import train
from algos import ALGOS
from algos.algorithm import Algorithm
from benchmarks.made_records import write_records
from benchmarks.measuring import report, time_call
from core import command_line
from data.batches import Batches
from embeddings import extraction
from training import checkpoints
from training.log import TrainLog
from training.optimizers import build_optimizer
from training.step import build_train_step

FLAGS = flags.FLAGS

_SETTINGS = (
  "DATASETS=[benchmark] IMAGE_SIZE=112 PRECISION=bfloat16 TRAIN.BATCH_SIZE=4"
  " MODEL.BASE_MODEL.NETWORK=Resnet50 MODEL.TRAIN_BASE=frozen"
  " MODEL.CONV_EMBEDDER_MODEL.CAPACITY_SCALAR=1 AUGMENTATION.CACHED_VIEWS=2"
).split()
_QUICK = (
  "MODEL.BASE_MODEL.NETWORK=VGGM MODEL.BASE_MODEL.LAYER=conv2 IMAGE_SIZE=32"
).split()
_STEPS_PER_BLOCK = 6
_NUM_ROWS = 160


def iterate_full_steps(
  algo: Algorithm, config: EasyDict, batches: Batches
) -> Iterator[None]:
  """Take a training step each time, with input, optimizer and logging."""
  optimizer = build_optimizer(config)
  optimizer.build(checkpoints.trainable_variables(algo))
  step = build_train_step(tf.distribute.get_strategy(), algo, optimizer)
  with TrainLog(config) as log:
    for number, batch in enumerate(batches):
      scalars = step(batch)
      float(scalars["loss"])
      log.step(number, scalars, batch)
      yield


def iterate_bare_steps(
  algo: Algorithm, config: EasyDict, features: tf.Tensor
) -> Iterator[None]:
  """Take a step of the embedder alone each time, on a constant batch."""
  optimizer = build_optimizer(config)
  variables = checkpoints.trainable_variables(algo)
  optimizer.build(variables)

  @tf.function(autograph=False)
  def step() -> None:
    with tf.GradientTape() as tape:
      value = tf.reduce_mean(tf.square(algo.emb(features, training=True)))
    gradients = tape.gradient(value, variables)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))

  while True:
    step()
    variables[0].numpy()
    yield


def compare_steps(config: EasyDict, blocks: int) -> None:
  """Print the median seconds of each kind of step."""
  algo = ALGOS[config.TRAINING_ALGO](config)
  seconds, cache = time_call(train._cache_views, algo, config)
  report(f"caching two views of each video: {seconds:.1f} s")
  make = datasets.train_batches
  cached = make(config, config.TRAIN.BATCH_SIZE, cache=cache)
  features = next(iter(cached))["features"]
  kinds = (
    iterate_full_steps(algo, config, cached),
    iterate_bare_steps(algo, config, features),
    iterate_full_steps(algo, config, make(config, config.TRAIN.BATCH_SIZE)),
  )
  seconds = np.zeros([len(kinds), blocks, _STEPS_PER_BLOCK])
  for block in range(-1, blocks):  # The first compiles.
    for kind, steps in enumerate(kinds):
      for place in range(_STEPS_PER_BLOCK):
        spent, _ = time_call(next, steps)
        if block >= 0:
          seconds[kind, block, place] = spent
  # The first step of each finds a batch prepared while another kind ran.
  full, bare, computed = np.median(seconds[:, :, 1:], axis=(1, 2))
  report(
    f"a step on cached features {full:.3f} s, bare embedder {bare:.3f} s, ratio"
    f" {full / bare:.3f}; with computed features {computed:.3f} s,"
    f" {computed / full:.2f} times as long"
  )
  for steps in kinds:
    steps.close()


def compare_evaluation(cached: EasyDict, computed: EasyDict) -> None:
  """Print the seconds of embedding a split, features computed or read."""
  algo = ALGOS[cached.TRAINING_ALGO](cached)
  seconds = {}
  for title, config in (("computed", computed), ("read", cached)):
    embedder = extraction.VideoEmbedder(algo, config)
    split = (embedder, config, "benchmark", "train")
    extraction.embed_split(*split)  # Compiles, and fills the cache.
    seconds[title], _ = time_call(extraction.embed_split, *split)
  report(
    f"embedding a split: features computed {seconds['computed']:.2f} s, read"
    f" {seconds['read']:.2f} s, {seconds['computed'] / seconds['read']:.2f}"
    " times as fast"
  )


def compare_reading(folder: pathlib.Path) -> None:
  """Print the milliseconds of reading random rows in three ways."""
  length, row = (100, 1000) if FLAGS.quick else (2000, 100352)
  data = np.random.default_rng(0).integers(0, 255, [length, row], np.uint8)
  path, framed = folder / "rows", str(folder / "framed")
  data.tofile(path)
  with tf.io.TFRecordWriter(framed) as writer:
    for line in data:
      writer.write(line.tobytes())

  @tf.function(autograph=False)
  def read_framed(chosen: tf.Tensor) -> tf.Tensor:
    def read(number: tf.Tensor) -> tf.Tensor:
      variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[framed],
        compression_type="",
        buffer_size=row,
        byte_offsets=[number * (row + 16)],
      )
      spec = tf.TensorSpec([], tf.string)
      rows = tf.data.experimental.from_variant(variant, spec)
      return rows.take(1).get_single_element()

    return tf.map_fn(read, chosen, fn_output_signature=tf.string)

  def read_file(chosen: np.ndarray) -> np.ndarray:
    with path.open("rb", buffering=0) as file:
      rows = []
      for number in chosen:
        file.seek(int(number) * row)
        rows.append(file.read(row))
    return np.frombuffer(b"".join(rows), np.uint8)

  ways = {
    "file": read_file,
    "memory map": lambda x: np.memmap(path, np.uint8).reshape(-1, row)[x],
    "TFRecord": read_framed,
  }
  seconds = {way: [] for way in ways}
  for seed, way in itertools.product(range(10), ways):
    chosen = np.random.default_rng(seed).integers(0, length, _NUM_ROWS)
    seconds[way].append(time_call(ways[way], chosen)[0])
  listed = (f"{way} {1000 * np.median(x):.1f} ms" for way, x in seconds.items())
  report(f"{_NUM_ROWS} random rows of {row} bytes: {', '.join(listed)}")


def main() -> None:
  """Measure steps, evaluation and reading."""
  lengths = [30] * 4 if FLAGS.quick else [130] * 8
  blocks = 1 if FLAGS.quick else FLAGS.blocks
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_records(folder, lengths)
    settings = _SETTINGS + (_QUICK if FLAGS.quick else [])
    settings += [f"PATH_TO_TFRECORDS={folder}", f"LOGDIR={folder}/logs"]
    settings += [f"DATA.CACHE_DIR={folder}/cache"]
    cached = configuration.load([], settings)
    computed = configuration.load([], [*settings, "DATA.CACHE_MAX_GB=0"])
    compare_steps(cached, blocks)
    compare_evaluation(cached, computed)
    compare_reading(folder)


if __name__ == "__main__":
  flags.DEFINE_integer("blocks", 4, "Blocks of each kind.", 1)
  flags.DEFINE_bool("quick", False, "Tiny sizes, to see that it runs.")
  command_line.run(main)
