"""Makes records whose frames tell which video and which frame they are."""

import numpy as np
import tensorflow as tf

from dataset_preparation import records

# Frames of the toy videos: a single one, fewer than are sampled, and more.
TOY_LENGTHS = (1, 4, 40, 50, 60, 30, 45)

# Red counts frames, green counts videos: coarsely enough to survive JPEG, and
# far enough from black that darkening shows.
_BASE, _FRAME_STEP, _VIDEO_STEP = 40, 3, 20


def jpeg(video, number, size=(16, 16)):
  colour = (_BASE + number * _FRAME_STEP, _BASE + video * _VIDEO_STEP, _BASE)
  return records.encode_frame(np.full((*size, 3), colour, np.uint8))


def frame_numbers(frames):
  """Which frames these are: [..., H, W, 3] in [-1, 1] -> [...]."""
  red = (np.asarray(frames)[..., 0] + 1).mean((-1, -2)) * 127.5
  return np.rint((red - _BASE) / _FRAME_STEP).astype(int)


def video_numbers(frames):
  """Which videos these frames are of: [..., H, W, 3] in [-1, 1] -> [...]."""
  green = (np.asarray(frames)[..., 1] + 1).mean((-1, -2)) * 127.5
  return np.rint((green - _BASE) / _VIDEO_STEP).astype(int)


def serialized(number, length, size=(16, 16), frame_labels=None, label=-1):
  """The record of video `number`, named `video <number>`."""
  jpegs = [jpeg(number, frame, size) for frame in range(length)]
  video = records.Video(
    f"video {number}", jpegs, frame_labels=frame_labels, label=label
  )
  return records.sequence_example(video).SerializeToString(deterministic=True)


def write(folder, shards, dataset="toy", split="train"):
  """Writes shards, each a list of serialized records; returns their paths."""
  paths = [
    folder / f"{dataset}_{split}-{index}-of-{len(shards)}.tfrecord"
    for index in range(len(shards))
  ]
  for path, shard in zip(paths, shards, strict=True):
    with tf.io.TFRecordWriter(str(path)) as writer:
      for record in shard:
        writer.write(record)
  return paths
