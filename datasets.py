"""TFRecords in, batches out.

Every random choice is a function of the seed and of the number of the step, so
a run that continues from a checkpoint sees the batches it would have seen.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from easydict import EasyDict

from core.errors import UserError
from data import dataset_info, preprocessing, record_index
from data.record_index import Record
from data.sampling import FrameSampler, context_steps
from data.subsets import first_fraction

# Keeps the frames that algo_loss sees apart from those of training.
_EVAL_SEED = 1 << 20


def records_of(config: EasyDict, dataset: str, split: str) -> list[Record]:
  """Lists the records of one split of a data set.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...

  Returns:
    Where the records lie.

  Raises:
    UserError: There are none, or a file is truncated.
  """
  paths = dataset_info.record_paths(
    config.PATH_TO_TFRECORDS, dataset, split, config.DATA.PER_CLASS
  )
  records = record_index.find_records(paths)
  if not records:
    raise UserError(
      f"{paths[0]}: holds no videos; convert the {split} videos of {dataset}"
      " again"
    )
  return records


def training_records_of(config: EasyDict, dataset: str) -> list[Record]:
  """The records to train with: the first PER_DATASET_FRACTION, at least one."""
  records = records_of(config, dataset, "train")
  return first_fraction(records, config.DATA.PER_DATASET_FRACTION)


def count_classes(config: EasyDict) -> int:
  """Number of phases that a classifier of the only data set tells apart.

  Args:
    config: The configuration.

  Returns:
    CLASSIFICATION.NUM_CLASSES; if that is 0, the phases that `dataset.json`
    names or the training videos are labeled with, whichever are more.

  Raises:
    UserError: There are several data sets, the only one, or the part of it that
      PER_DATASET_FRACTION leaves, has no labels, or it has more than
      CLASSIFICATION.NUM_CLASSES.
  """
  if len(config.DATASETS) != 1:
    raise UserError(
      "DATASETS: classification takes one data set, as the phases of several"
      f" are not the same; received {', '.join(config.DATASETS)}"
    )
  if not config.DATA.FRAME_LABELS:
    raise UserError(
      "DATA.FRAME_LABELS: classification needs the labels of frames; set true"
    )
  [dataset] = config.DATASETS
  paths = dataset_info.record_paths(
    config.PATH_TO_TFRECORDS, dataset, "train", config.DATA.PER_CLASS
  )
  num_labels = record_index.count(paths).num_labels
  if not num_labels:
    raise UserError(
      f"{paths[0]}: the frames of {dataset} have no labels, which"
      " classification needs; convert the videos with --label_file, or choose"
      " another TRAINING_ALGO"
    )
  used = training_records_of(config, dataset)
  if not any(map(record_index.has_labels, used)):
    raise UserError(
      f"DATA.PER_DATASET_FRACTION: the first {len(used)} training videos of"
      f" {dataset}, which {config.DATA.PER_DATASET_FRACTION} leaves, have no"
      " labels, which classification needs; raise it, or convert with the"
      " labeled videos first"
    )
  given = config.CLASSIFICATION.NUM_CLASSES
  if 0 < given < num_labels:
    raise UserError(
      f"CLASSIFICATION.NUM_CLASSES: expected at least {num_labels}, as the"
      f" training videos of {dataset} have labels from 0 to {num_labels - 1},"
      f" or 0, which counts them; received {given}"
    )
  if given:
    return given
  folder = dataset_info.records_folder(config.PATH_TO_TFRECORDS, dataset)
  stored = dataset_info.read_file(folder, dataset)
  return max(num_labels, len(stored.class_names) if stored else 0)


def train_batches(
  config: EasyDict,
  batch_size: int,
  start_step: int = 0,
  sampler: FrameSampler | None = None,
) -> tf.data.Dataset:
  """Batches of augmented videos, from `start_step` to TRAIN.MAX_ITERS.

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
  return _batches(
    [training_records_of(config, name) for name in config.DATASETS],
    config,
    batch_size,
    range(start_step, config.TRAIN.MAX_ITERS),
    config.TRAIN.NUM_FRAMES,
    sampler or FrameSampler(config.DATA),
    seed=config.SEED,
    augment=True,
  )


def eval_batches(
  config: EasyDict,
  dataset: str,
  split: str,
  sampler: FrameSampler | None = None,
) -> tf.data.Dataset:
  """The same EVAL.VAL_ITERS batches each time, sampled but not augmented.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train` or `val`.
    sampler: As in `train_batches`.

  Returns:
    A data set of batches, as `train_batches`.

  Raises:
    UserError: The split has no records.
  """
  return _batches(
    [records_of(config, dataset, split)],
    config,
    config.EVAL.BATCH_SIZE,
    range(config.EVAL.VAL_ITERS),
    config.EVAL.NUM_FRAMES,
    sampler or FrameSampler(config.DATA),
    seed=config.SEED + _EVAL_SEED,
    augment=False,
  )


class SoundBatches:
  """Batches as they are; where one can't be read, the damaged record is named.

  Wraps what `train_batches` or `eval_batches` returned, distributed or not.
  """

  def __init__(
    self,
    batches: Iterable[dict[str, tf.Tensor]],
    config: EasyDict,
    names: Sequence[str],
    split: str,
  ) -> None:
    """Takes the batches.

    Args:
      batches: The batches.
      config: The configuration.
      names: Names of the data sets that the batches are made of.
      split: Their split.
    """
    self._batches = batches
    self._config = config
    self._names = names
    self._split = split

  def __iter__(self) -> Iterator[dict[str, tf.Tensor]]:
    """Yields the batches; raises a UserError about a damaged record."""
    try:
      yield from self._batches
    # Unknown is what TensorFlow makes of the error of a Python function.
    except (tf.errors.InvalidArgumentError, tf.errors.UnknownError):
      for name in self._names:
        record_index.check(records_of(self._config, name, self._split))
      raise


def _batches(
  records: list[list[Record]],
  config: EasyDict,
  batch_size: int,
  step_range: range,
  num_frames: int,
  sampler: FrameSampler,
  seed: int,
  augment: bool,
) -> tf.data.Dataset:
  """Builds the pipeline: example number -> bytes -> video -> batch."""

  def read(example: np.int64) -> bytes:
    step, slot = divmod(int(example), batch_size)
    return record_index.read(
      choose_record(
        records, step, slot, batch_size, seed, config.DATA.SHUFFLE_QUEUE_SIZE
      )
    )

  def load(example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return example, tf.numpy_function(read, [example], tf.string)

  def sample(example: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    seeds = tf.random.split(tf.stack([tf.cast(seed, tf.int64), example]), num=3)
    video = parse(serialized, config.DATA.FRAME_LABELS)
    steps = sampler(video["seq_len"], num_frames, seeds)
    # A frame may be in several contexts: prepare it once.
    distinct, places = tf.unique(context_steps(steps, config.DATA))
    frames = decode(tf.gather(video["jpegs"], distinct))
    if augment:
      frames = preprocessing.augment(
        frames, config.AUGMENTATION, config.IMAGE_SIZE, seeds[1]
      )
    else:
      frames = preprocessing.prepare(
        frames, config.IMAGE_SIZE, config.AUGMENTATION.RANDOM_CROP
      )
    shape = [steps.shape[0], config.DATA.NUM_STEPS, *frames.shape[1:]]
    return {
      "frames": tf.reshape(tf.gather(frames, places), shape),
      "steps": steps,
      "seq_lens": video["seq_len"],
      "frame_labels": tf.gather(video["frame_labels"], steps),
      "seq_labels": video["seq_label"],
      "name": video["name"],
    }

  examples = tf.data.Dataset.range(
    step_range.start * batch_size, step_range.stop * batch_size
  )
  return (
    examples.map(load)
    .map(sample, num_parallel_calls=tf.data.AUTOTUNE)
    .batch(batch_size, drop_remainder=True)
    .prefetch(config.DATA.NUM_PREFETCH_BATCHES)
  )


def choose_record(
  records: list[list[Record]],
  step: int,
  slot: int,
  batch_size: int,
  seed: int,
  shuffle_block: int,
) -> Record:
  """The video in one place of a batch, as a function of seed and step.

  Data sets take turns. Within one, each epoch is a new shuffle of its videos,
  cut into whole batches, so a batch holds different videos where there are
  enough. An epoch starts in the shuffle at the place where the last one ended:
  videos that are shuffled little or not at all are left out in turns.

  Args:
    records: The records of each data set.
    step: Number of the batch.
    slot: Place in the batch.
    batch_size: Videos a batch.
    seed: Seed of the run.
    shuffle_block: Videos are shuffled within blocks of so many; 0 = all.

  Returns:
    The record to read.
  """
  turn, dataset = divmod(step, len(records))
  videos = records[dataset]
  epoch = turn // max(1, len(videos) // batch_size)
  order = _epoch_order(len(videos), (seed, dataset, epoch), shuffle_block)
  return videos[order[(turn * batch_size + slot) % len(videos)]]


@functools.lru_cache(maxsize=16)
def _epoch_order(
  num_videos: int, seed: tuple[int, ...], shuffle_block: int
) -> np.ndarray:
  rng = np.random.default_rng(seed)
  block = shuffle_block or num_videos
  return np.concatenate(
    [
      start + rng.permutation(min(block, num_videos - start))
      for start in range(0, num_videos, block)
    ]
  )


def parse(
  serialized: tf.Tensor, use_frame_labels: bool = True
) -> dict[str, tf.Tensor]:
  """Parses a record; labels that are not there become -1.

  Args:
    serialized: Scalar string, a `tf.train.SequenceExample`.
    use_frame_labels: Whether to read labels of frames.

  Returns:
    name, seq_label, seq_len (scalars), jpegs [L] string, frame_labels [L].

  Raises:
    tf.errors.InvalidArgumentError: The record is not sound;
      `record_index.check` says why.
  """
  context, sequence = tf.io.parse_single_sequence_example(
    serialized,
    context_features={
      "name": tf.io.FixedLenFeature([], tf.string, default_value=""),
      "label": tf.io.FixedLenFeature([], tf.int64, default_value=-1),
    },
    sequence_features={
      "video": tf.io.FixedLenSequenceFeature([], tf.string),
      "frame_labels": tf.io.FixedLenSequenceFeature(
        [], tf.int64, allow_missing=True
      ),
    },
  )
  jpegs = sequence["video"]
  # The frames themselves say how long a video is; some records' `len` does not.
  num_frames = tf.shape(jpegs, tf.int64)[0]
  # The decoder takes other formats as well.
  starts = tf.strings.substr(jpegs, 0, len(record_index.JPEG_START))
  sound = tf.reduce_all(starts == record_index.JPEG_START)
  tf.debugging.Assert(sound, ["a frame is no JPEG image"])
  labels = sequence["frame_labels"]
  if not use_frame_labels:
    labels = labels[:0]
  labels = tf.cond(
    tf.size(labels) > 0,
    lambda: labels,
    lambda: tf.fill([num_frames], tf.constant(-1, tf.int64)),
  )
  tf.debugging.assert_equal(tf.size(labels), tf.size(jpegs))
  return {
    "name": context["name"],
    "seq_label": context["label"],
    "seq_len": num_frames,
    "jpegs": jpegs,
    "frame_labels": labels,
  }


def decode(jpegs: tf.Tensor) -> tf.Tensor:
  """Decodes JPEG images of one size: [F] string to [F, H, W, 3] uint8."""
  return tf.map_fn(
    lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3),
    jpegs,
    fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
  )


def videos(
  config: EasyDict, dataset: str, split: str
) -> Iterator[dict[str, np.ndarray]]:
  """The videos of a split, one at a time, their frames still encoded.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...

  Yields:
    What `parse` returns, as numpy values.

  Raises:
    UserError: There are no records, or one is damaged.
  """
  records = records_of(config, dataset, split)
  for record in records:
    try:
      yield {
        key: value.numpy()
        for key, value in parse(
          tf.constant(record_index.read(record)), config.DATA.FRAME_LABELS
        ).items()
      }
    except tf.errors.InvalidArgumentError:
      record_index.check([record])
      raise
