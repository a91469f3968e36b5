"""Videos as TFRecords: one `tf.train.SequenceExample` a video, in shards.

Context: `name` bytes, `len` int64, `label` int64 (-1 = none). Feature lists:
`video`, one JPEG a frame, and optionally `frame_labels`, one int64 a frame.
"""

import contextlib
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

import dataset_info
import files
from dataset_info import SplitInfo
from errors import UserError

DEFAULT_FOLDER = "/tmp/%s_tfrecords/"
JPEG_QUALITY = 95

_TURNS = {
  90: cv2.ROTATE_90_CLOCKWISE,
  180: cv2.ROTATE_180,
  270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
ROTATIONS = (0, *_TURNS)


@dataclasses.dataclass(frozen=True)
class Video:
  """A video that is ready to be written.

  Attributes:
    name: What tells it from the others, usually the file's name without ending.
    jpegs: One encoded JPEG a frame.
    seconds: Time from the first to the last frame; 0 if unknown.
    frame_labels: One label a frame, 0 or more, -1 = none; None if there are no
      labels of frames.
    label: Label of the whole video, -1 = none.
  """

  name: str
  jpegs: list[bytes]
  seconds: float = 0.0
  frame_labels: list[int] | None = None
  label: int = -1


def encode_frame(
  image: np.ndarray, size: tuple[int, int] | None = None, rotate: int = 0
) -> bytes:
  """Turns, resizes and encodes a frame.

  Args:
    image: [H, W, 3] uint8 RGB.
    size: Width and height in pixels of the result; None keeps those of `image`.
    rotate: Degrees to turn the image clockwise first: 0, 90, 180 or 270.

  Returns:
    A JPEG image.
  """
  if rotate:
    image = cv2.rotate(image, _TURNS[rotate])
  height, width = image.shape[:2]
  if size is not None and size != (width, height):
    shrinks = size[0] * size[1] < width * height
    # Averaging over areas does not alias, but makes blocks when enlarging.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    image = cv2.resize(image, size, interpolation=method)
  _, jpeg = cv2.imencode(
    ".jpg",
    cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
    [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
  )
  return jpeg.tobytes()


def sequence_example(video: Video) -> tf.train.SequenceExample:
  """Makes the record of a video.

  Args:
    video: A video of L frames.

  Returns:
    The record, with L JPEGs and, where the video has them, L labels.

  Raises:
    ValueError: There is not one label a frame.
  """
  lists = {"video": [_bytes(jpeg) for jpeg in video.jpegs]}
  if video.frame_labels is not None:
    if len(video.frame_labels) != len(video.jpegs):
      raise ValueError(
        f"{video.name}: expected {len(video.jpegs)} labels of frames, received"
        f" {len(video.frame_labels)}"
      )
    lists["frame_labels"] = [_int64(label) for label in video.frame_labels]
  return tf.train.SequenceExample(
    context=tf.train.Features(
      feature={
        "name": _bytes(video.name.encode()),
        "len": _int64(len(video.jpegs)),
        "label": _int64(video.label),
      }
    ),
    feature_lists=tf.train.FeatureLists(
      feature_list={
        key: tf.train.FeatureList(feature=features)
        for key, features in lists.items()
      }
    ),
  )


def _bytes(value: bytes) -> tf.train.Feature:
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
  return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def check_output(output_dir: str | os.PathLike, name: str) -> None:
  """Finds early what would make `write_split` fail at its end.

  Args:
    output_dir: Folder of the records, see `dataset_info.records_folder`; it is
      made if it is missing.
    name: `<dataset>_<split>`.

  Raises:
    UserError: The folder can't be written to, or its `dataset.json` is damaged
      or about another data set.
  """
  dataset, _ = dataset_info.split_name(name)
  folder = dataset_info.records_folder(output_dir, dataset)
  dataset_info.read_file(files.make_folder(folder), dataset)


def write_split(
  videos: Iterable[Video],
  num_videos: int,
  output_dir: str | os.PathLike,
  name: str,
  files_per_shard: int,
) -> SplitInfo:
  """Writes the videos of a split as shards and `dataset.json`.

  One video at a time is in memory. All shards get their names at the end, once
  every video is written: an error leaves the folder as it was. Shards of an
  earlier conversion to the same name are replaced, those of another count of
  files removed, so that a folder never holds two versions of a split.

  Args:
    videos: The videos, in the order of the records.
    num_videos: How many videos there are, at least one.
    output_dir: Folder of the records, see `dataset_info.records_folder`.
    name: `<dataset>_<split>`; shard i of n is `<name>-<i>-of-<n>.tfrecord`.
    files_per_shard: Videos in a shard; the last one may have fewer.

  Returns:
    What was written.

  Raises:
    UserError: A file can't be written.
  """
  dataset, split = dataset_info.split_name(name)
  folder = dataset_info.records_folder(output_dir, dataset)
  num_shards = -(-num_videos // files_per_shard)
  shards = [
    folder / f"{name}-{index}-of-{num_shards}.tfrecord"
    for index in range(num_shards)
  ]
  queue = iter(videos)
  tally = _Tally()
  with contextlib.ExitStack() as stack:
    for shard in shards:
      temporary = stack.enter_context(files.complete_or_absent(shard))
      with _writer(temporary, shard) as writer:
        for video in itertools.islice(queue, files_per_shard):
          writer.write(
            sequence_example(video).SerializeToString(deterministic=True)
          )
          tally.add(video)
      logging.info(
        "%s: %d of %d videos written", shard.name, tally.num_videos, num_videos
      )
  _remove_stale(folder, name, shards)
  info = tally.split_info()
  names = dataset_info.class_names(dataset, tally.num_labels)
  dataset_info.add_split(folder, dataset, split, info, names)
  return info


@contextlib.contextmanager
def _writer(
  temporary: pathlib.Path, shard: pathlib.Path
) -> Iterator[tf.io.TFRecordWriter]:
  try:
    with tf.io.TFRecordWriter(str(temporary)) as writer:
      yield writer
  except tf.errors.OpError as error:
    raise UserError(
      f"{shard}: can't be written ({error.message}); choose another place or"
      " make room"
    ) from error


class _Tally:
  """Counts the videos that were written."""

  def __init__(self) -> None:
    self.num_videos = self.num_frames = self.num_labels = 0
    self._intervals, self._seconds = 0, 0.0

  def add(self, video: Video) -> None:
    self.num_videos += 1
    self.num_frames += len(video.jpegs)
    last = max(video.frame_labels or [], default=-1)
    self.num_labels = max(self.num_labels, last + 1)
    if video.seconds:
      self._intervals += len(video.jpegs) - 1
      self._seconds += video.seconds

  def split_info(self) -> SplitInfo:
    fps = self._intervals / self._seconds if self._seconds else None
    return SplitInfo(self.num_videos, self.num_frames, fps and round(fps, 3))


def _remove_stale(
  folder: pathlib.Path, name: str, shards: list[pathlib.Path]
) -> None:
  for path in dataset_info.shard_paths(folder, name):
    if path not in shards:
      path.unlink()
      logging.info("%s: removed, it was of an earlier conversion", path.name)
