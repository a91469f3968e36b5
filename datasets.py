"""Turn records into batches for training and whole videos for embedding.

Every random choice is a function of the seed and of the number of the step, so
a run that continues from a checkpoint sees the batches it would have seen.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from easydict import EasyDict

from core.errors import UserError
from data import examples, preprocessing, shard_files, tfrecords
from data.dataset_info import read_dataset_file
from data.example_parser import decode_frames, parse_example
from data.sampling import FrameSampler, context_steps
from data.subsets import first_fraction
from data.tfrecords import Record

# Of a video or of a batch, by key.
Tensors = dict[str, tf.Tensor]
# Makes the example of a number from the record at a path and an offset.
MakeExample = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Tensors]
# Keeps the frames that algo_loss sees apart from those of training.
_EVAL_SEED = 1 << 20
_READ_BUFFER_BYTES = 1 << 18


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


def train_batches(
  config: EasyDict,
  batch_size: int,
  start_step: int = 0,
  sampler: FrameSampler | None = None,
) -> tf.data.Dataset:
  """Make batches of augmented videos, from `start_step` to TRAIN.MAX_ITERS.

  Args:
    config: The configuration.
    batch_size: Videos a batch, over all replicas.
    start_step: Steps already taken; their batches are left out, not computed.
    sampler: Chooses the frames of a video; None = `FrameSampler`.

  Returns:
    A data set of batches: frames [B,S,C,H,W,3] float32 in [-1,1], steps [B,S]
    int64, seq_lens [B] int64, frame_labels [B,S] int64, seq_labels [B] int64,
    name [B] string; -1 stands for no label.

  Raises:
    UserError: A data set of DATASETS has no records.
  """
  records = [list_training_records(config, name) for name in config.DATASETS]
  steps = range(start_step, config.TRAIN.MAX_ITERS)
  kind = config.SEED, example_maker(config, sampler, training=True)
  return _make_batches(config, records, steps, batch_size, *kind)


def eval_batches(
  config: EasyDict,
  dataset: str,
  split: str,
  make_example: MakeExample | None = None,
) -> tf.data.Dataset:
  """Make the same EVAL.VAL_ITERS batches each time, sampled but not augmented.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train` or `val`.
    make_example: As `example_maker` makes it; None = of a `FrameSampler`.

  Returns:
    A data set of batches, as `train_batches`.

  Raises:
    UserError: The split has no records.
  """
  records = [list_split_records(config, dataset, split)]
  steps, batch_size = range(config.EVAL.VAL_ITERS), config.EVAL.BATCH_SIZE
  kind = config.SEED + _EVAL_SEED, make_example or example_maker(config)
  return _make_batches(config, records, steps, batch_size, *kind)


def checked_batches(
  batches: Iterable[Tensors], records: Iterable[Record]
) -> Iterator[Tensors]:
  """Yield batches; where one can't be made, name the damaged record.

  Args:
    batches: What `train_batches` or `eval_batches` returned, distributed or
      not.
    records: The records that the batches are made of.

  Yields:
    The batches.

  Raises:
    UserError: A record is damaged.
  """
  # Here, as one that is left alive may end after the modules.
  damage = tf.errors.DataLossError, tf.errors.InvalidArgumentError
  try:
    yield from batches
  except damage:
    examples.check_records(records)
    raise


def example_maker(
  config: EasyDict, sampler: FrameSampler | None = None, training: bool = False
) -> MakeExample:
  """Compile what makes an example of a record.

  That takes a while, so one function serves all splits and data sets.

  Args:
    config: The configuration.
    sampler: Chooses the frames of a video; None = `FrameSampler`.
    training: Whether to augment.

  Returns:
    A function of the number of an example and the place of a record.
  """
  data, augmentation, size = config.DATA, config.AUGMENTATION, config.IMAGE_SIZE
  num_frames = (config.TRAIN if training else config.EVAL).NUM_FRAMES
  seed = config.SEED if training else config.SEED + _EVAL_SEED
  sampler = sampler or FrameSampler(data)

  @tf.function(autograph=False)
  def make_example(
    number: tf.Tensor, path: tf.Tensor, offset: tf.Tensor
  ) -> Tensors:
    seeds = tf.random.split(tf.stack([tf.cast(seed, tf.int64), number]), num=3)
    video = parse_example(_read_record(path, offset), data.FRAME_LABELS)
    steps = sampler(video["seq_len"], num_frames, seeds)
    # A frame may be in several contexts: prepare it once.
    distinct, where = tf.unique(context_steps(steps, data))
    frames = decode_frames(tf.gather(video["jpegs"], distinct))
    if training:
      frames = preprocessing.augment(frames, augmentation, size, seeds[1])
    else:
      frames = preprocessing.prepare(frames, size, augmentation.RANDOM_CROP)
    shape = [steps.shape[0], data.NUM_STEPS, *frames.shape[1:]]
    return {
      "frames": tf.reshape(tf.gather(frames, where), shape),
      "steps": steps,
      "seq_lens": video["seq_len"],
      "frame_labels": tf.gather(video["frame_labels"], steps),
      "seq_labels": video["seq_label"],
      "name": video["name"],
    }

  return make_example


def _make_batches(
  config: EasyDict,
  records: list[list[Record]],
  steps: range,
  batch_size: int,
  seed: int,
  make_example: MakeExample,
) -> tf.data.Dataset:
  """Build the pipeline: number of an example -> record -> video -> batch."""
  counts, data = list(map(len, records)), config.DATA
  choices = choose_records(
    counts, steps, batch_size, seed, data.SHUFFLE_QUEUE_SIZE
  )
  places = list(itertools.chain.from_iterable(records))
  paths = tf.constant([str(place.path) for place in places])
  offsets = tf.constant([place.offset for place in places], tf.int64)

  def make_chosen(number: tf.Tensor, choice: tf.Tensor) -> Tensors:
    return make_example(number, paths[choice], offsets[choice])

  numbers = np.arange(steps.start * batch_size, steps.stop * batch_size)
  # The thread that tunes a pipeline sleeps for up to a minute, and whoever ends
  # the pipeline waits for it.
  options = tf.data.Options()
  options.autotune.enabled = False
  return (
    tf.data.Dataset.from_tensor_slices((numbers, choices.ravel()))
    .map(make_chosen, num_parallel_calls=os.cpu_count())
    .batch(batch_size, drop_remainder=True)
    .prefetch(data.NUM_PREFETCH_BATCHES)
    .with_options(options)
  )


def _read_record(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
  """Read and verify one record, without a Python function in the pipeline.

  A Python function would need the interpreter's lock when the pipeline ends.
  """
  variant = tf.raw_ops.TFRecordDatasetV2(
    filenames=[path],
    compression_type="",
    buffer_size=_READ_BUFFER_BYTES,
    byte_offsets=[offset - tfrecords.HEADER_BYTES],
  )
  spec = tf.TensorSpec([], tf.string)
  records = tf.data.experimental.from_variant(variant, spec)
  return records.take(1).get_single_element()


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
) -> Iterator[dict[str, np.ndarray]]:
  """Iterate over the videos of a split, their frames still encoded.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...

  Yields:
    What `example_parser.parse_example` returns, as NumPy values, and `times`,
    [L] float64 seconds, or none where they are not known.

  Raises:
    UserError: There are no records, or one is damaged.
  """
  for record in list_split_records(config, dataset, split):
    example = examples.read_example(record, config.DATA.FRAME_LABELS)
    labels = example.frame_labels or [-1] * len(example.jpegs)
    yield {
      "name": example.name.encode(),
      "seq_label": np.int64(example.label),
      "seq_len": np.int64(len(example.jpegs)),
      "jpegs": np.array(example.jpegs, object),
      "frame_labels": np.array(labels, np.int64),
      "times": np.array(example.times, np.float64),
    }
