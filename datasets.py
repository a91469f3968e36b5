"""Turn records into batches for training and whole videos for embedding.

Every random choice is a function of the seed and of the number of the step, so
a run that continues from a checkpoint sees the batches it would have seen.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from easydict import EasyDict

from core.errors import UserError
from data import examples, preprocessing, shard_files, tfrecords
from data.batches import Batches, Tensors
from data.dataset_info import read_dataset_file
from data.feature_cache import FeatureCache
from data.record_reader import RecordReader, list_labels
from data.sampling import FrameSampler, context_steps
from data.subsets import first_fraction
from data.tfrecords import Record

# Keeps the frames that algo_loss sees apart from those of training.
_EVAL_SEED = 1 << 20
# Threads that read and decode.
_NUM_READERS = os.cpu_count()


def list_split_records(
  config: EasyDict, dataset: str, split: str
) -> list[Record]:
  """List the records of one split of a data set.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...

  Returns:
    Where the records lie.

  Raises:
    UserError: There are none, or a file is truncated.
  """
  folder, per_class = config.PATH_TO_TFRECORDS, config.DATA.PER_CLASS
  paths = shard_files.list_record_files(folder, dataset, split, per_class)
  records = tfrecords.list_records(paths)
  if not records:
    raise UserError(
      f"{paths[0]}: expected videos, received none; convert the {split} videos"
      f" of {dataset} again"
    )
  return records


def list_training_records(config: EasyDict, dataset: str) -> list[Record]:
  """List the records to train with: PER_DATASET_FRACTION, at least one."""
  records = list_split_records(config, dataset, "train")
  return first_fraction(records, config.DATA.PER_DATASET_FRACTION)


def count_phases(config: EasyDict) -> int:
  """Count the phases that a classifier of the only data set tells apart.

  Args:
    config: The configuration.

  Returns:
    CLASSIFICATION.NUM_CLASSES; if that is 0, the phases that `dataset.json`
    names or the training videos are labeled with, whichever are more.

  Raises:
    UserError: There are several data sets, the part of the only one to train
      with has no labels, or it has more phases than CLASSIFICATION.NUM_CLASSES.
  """
  if len(config.DATASETS) != 1:
    raise UserError(
      "DATASETS: expected one data set for classification, as the phases of"
      f" several differ, received {', '.join(config.DATASETS)}; name one"
    )
  if not config.DATA.FRAME_LABELS:
    raise UserError(
      "DATA.FRAME_LABELS: expected true, as classification needs the labels of"
      " frames, received false; set it to true"
    )
  [dataset] = config.DATASETS
  records = list_split_records(config, dataset, "train")
  used = list_training_records(config, dataset)
  # Ends at the first label, so that records are not all read twice.
  counts = (examples.count_examples([record]) for record in used)
  if not any(max(phases, default=-1) >= 0 for _, _, phases in counts):
    raise UserError(
      f"{records[0].path}: expected labels of frames for classification,"
      f" received none in the first {len(used)} of {len(records)} training"
      f" videos of {dataset}; convert the videos with --label_file, raise"
      " DATA.PER_DATASET_FRACTION, or choose another TRAINING_ALGO"
    )
  _, _, phase_counts = examples.count_examples(records)
  labeled, given = max(phase_counts) + 1, config.CLASSIFICATION.NUM_CLASSES
  if 0 < given < labeled:
    raise UserError(
      f"CLASSIFICATION.NUM_CLASSES: expected at least {labeled}, as the"
      f" training videos of {dataset} have labels from 0 to {labeled - 1},"
      f" received {given}; raise it, or set 0, which counts them"
    )
  stored = read_dataset_file(config.PATH_TO_TFRECORDS, dataset)
  return given or max(labeled, len(stored.class_names) if stored else 0)


class ExampleMaker:
  """Makes the examples that batches are made of.

  Compiling takes a while, so one maker serves all splits, data sets and
  checkpoints.

  Args:
    config: The configuration.
    sampler: Chooses the frames of a video; None = `FrameSampler`.
    training: Whether to augment frames.
  """

  def __init__(
    self,
    config: EasyDict,
    sampler: FrameSampler | None = None,
    training: bool = False,
  ) -> None:
    self._config = config
    self._sampler = sampler or FrameSampler(config.DATA)
    self._training = training
    self.seed = config.SEED if training else config.SEED + _EVAL_SEED
    self._reader = RecordReader(config.DATA.FRAME_LABELS)
    self._compiled = tf.function(self._make_example, autograph=False)

  def make_batches(
    self,
    records: Sequence[Record],
    steps: range,
    choices: np.ndarray,
    cache: FeatureCache | None,
  ) -> Batches:
    """Build the pipeline: number of an example -> record -> video -> batch.

    Args:
      records: The records.
      steps: Numbers of the batches.
      choices: [len(steps), batch size] numbers of their records.
      cache: Holds the features of the records, or None.
    """
    self._reader.cache = cache
    numbers = np.array([self._reader.number(record) for record in records])
    batch_size = choices.shape[1]
    examples = np.arange(steps.start * batch_size, steps.stop * batch_size)
    # The thread that tunes a pipeline sleeps for up to a minute, and whoever
    # ends the pipeline waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    # Not only when the first batch is asked for.
    options.experimental_warm_start = True

    def make(example: tf.Tensor, record: tf.Tensor) -> Tensors:
      return self._compiled(example, record, cache is not None)

    dataset = (
      tf.data.Dataset.from_tensor_slices((examples, numbers[choices].ravel()))
      .map(make, num_parallel_calls=_NUM_READERS)
      .batch(batch_size, drop_remainder=True)
      .prefetch(self._config.DATA.NUM_PREFETCH_BATCHES)
      .with_options(options)
    )
    return Batches(dataset, records)

  def _make_example(
    self, example: tf.Tensor, record: tf.Tensor, is_cached: bool
  ) -> Tensors:
    """Make the example of a number from a record."""
    config, training, reader = self._config, self._training, self._reader
    num_frames = (config.TRAIN if training else config.EVAL).NUM_FRAMES
    seed = tf.stack([tf.constant(self.seed, tf.int64), example])
    seeds = tf.random.split(seed, num=3)
    video = reader.describe(record)
    steps = self._sampler(video["seq_lens"], num_frames, seeds)
    # A frame may be in several contexts: prepare it once.
    distinct, where = tf.unique(context_steps(steps, config.DATA))
    if is_cached:
      num_views = config.AUGMENTATION.CACHED_VIEWS if training else 0
      loaded = reader.read_features(record, distinct, num_views, seeds[1])
    else:
      frames = preprocessing.decode(reader.read_frames(record, distinct))
      loaded = self._prepare(frames, seeds[1])
    shape = [steps.shape[0], config.DATA.NUM_STEPS, *loaded.shape[1:]]
    return video | {
      "features" if is_cached else "frames": tf.reshape(
        tf.gather(loaded, where), shape
      ),
      "steps": steps,
      "frame_labels": tf.gather(video["frame_labels"], steps),
    }

  def _prepare(self, frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    settings, size = self._config.AUGMENTATION, self._config.IMAGE_SIZE
    if self._training:
      return preprocessing.augment(frames, settings, size, seed)
    return preprocessing.prepare(frames, size, settings.RANDOM_CROP)


def train_batches(
  config: EasyDict,
  batch_size: int,
  start_step: int = 0,
  sampler: FrameSampler | None = None,
  cache: FeatureCache | None = None,
) -> Batches:
  """Make batches of augmented videos, from `start_step` to TRAIN.MAX_ITERS.

  Args:
    config: The configuration.
    batch_size: Videos a batch, over all replicas.
    start_step: Steps already taken; their batches are left out, not computed.
    sampler: Chooses the frames of a video; None = `FrameSampler`.
    cache: Holds the AUGMENTATION.CACHED_VIEWS of each video; None = the frames
      are augmented.

  Returns:
    An iterable of batches: frames [B,S,C,H,W,3] float32 in [-1,1], steps [B,S]
    int64, seq_lens [B] int64, frame_labels [B,S] int64, seq_labels [B] int64,
    name [B] string; -1 stands for no label. With a cache, features
    [B,S,C,h,w,channels] in place of frames.

  Raises:
    UserError: A data set of DATASETS has no records.
  """
  records = [list_training_records(config, name) for name in config.DATASETS]
  steps = range(start_step, config.TRAIN.MAX_ITERS)
  counts, block = list(map(len, records)), config.DATA.SHUFFLE_QUEUE_SIZE
  choices = choose_records(counts, steps, batch_size, config.SEED, block)
  maker = ExampleMaker(config, sampler, training=True)
  used = list(itertools.chain.from_iterable(records))
  return maker.make_batches(used, steps, choices, cache)


def eval_batches(
  config: EasyDict,
  dataset: str,
  split: str,
  maker: ExampleMaker | None = None,
  cache: FeatureCache | None = None,
) -> Batches:
  """Make the same EVAL.VAL_ITERS batches each time, sampled but not augmented.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train` or `val`.
    maker: Makes the examples; None = one of a `FrameSampler`.
    cache: Holds the features of each video; None = a batch has the frames.

  Returns:
    An iterable of batches, as `train_batches`.

  Raises:
    UserError: The split has no records.
  """
  maker = maker or ExampleMaker(config)
  records = list_split_records(config, dataset, split)
  steps, batch_size = range(config.EVAL.VAL_ITERS), config.EVAL.BATCH_SIZE
  block = config.DATA.SHUFFLE_QUEUE_SIZE
  counts = [len(records)]
  choices = choose_records(counts, steps, batch_size, maker.seed, block)
  return maker.make_batches(records, steps, choices, cache)


def choose_records(
  num_videos: Sequence[int],
  steps: range,
  batch_size: int,
  seed: int,
  shuffle_block: int,
) -> np.ndarray:
  """Choose the videos of batches, as a function of seed and step.

  Data sets take turns. Within one, each epoch is a new shuffle of its videos,
  cut into whole batches, so a batch holds different videos where there are
  enough. An epoch starts in the shuffle at the place where the last one ended:
  videos that are shuffled little or not at all are left out in turns.

  Args:
    num_videos: Number of videos of each data set.
    steps: Numbers of the batches.
    batch_size: Videos a batch.
    seed: Seed of the run.
    shuffle_block: Videos are shuffled within blocks of so many; 0 = all.

  Returns:
    [len(steps), batch_size] int64 numbers of videos, those of all data sets
    being counted one after another.
  """
  numbers = np.arange(steps.start, steps.stop)
  chosen = np.empty([len(numbers), batch_size], np.int64)
  for dataset, count in enumerate(num_videos):
    mine = numbers % len(num_videos) == dataset
    turns = numbers[mine, np.newaxis] // len(num_videos)
    epoch_length = max(1, count // batch_size)
    epochs, rows = np.unique(turns // epoch_length, return_inverse=True)
    seeds = [(seed, dataset, epoch) for epoch in epochs.tolist()]
    orders = [_shuffle(count, each, shuffle_block) for each in seeds]
    places = (turns * batch_size + np.arange(batch_size)) % count
    videos = np.reshape(orders, [-1, count])[rows.reshape(-1, 1), places]
    chosen[mine] = sum(num_videos[:dataset]) + videos
  return chosen


def _shuffle(num_videos: int, seed: tuple[int, ...], block: int) -> np.ndarray:
  order, rng = np.arange(num_videos), np.random.default_rng(seed)
  block = block or num_videos
  for start in range(0, num_videos, block):
    rng.shuffle(order[start : start + block])
  return order


def iterate_videos(
  config: EasyDict, dataset: str, split: str
) -> Iterator[dict[str, Any]]:
  """Iterate over the videos of a split, their frames still encoded.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...

  Yields:
    For each video `name` bytes, `seq_label` and `seq_len` int64, `jpegs` (L
    frames, see `EncodedFrames`), `frame_labels` [L] int64, -1 for none, and
    `times`, [L] float64 seconds, or none where they are not known.

  Raises:
    UserError: There are no records, or one is damaged.
  """
  for record in list_split_records(config, dataset, split):
    example = examples.read_example(record, config.DATA.FRAME_LABELS)
    yield {
      "name": example.name.encode(),
      "seq_label": np.int64(example.label),
      "seq_len": np.int64(len(example.jpegs)),
      "jpegs": example.jpegs,
      "frame_labels": list_labels(example),
      "times": np.array(example.times, np.float64),
    }
