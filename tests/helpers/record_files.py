"""Makes records whose frames tell which video and which frame they are."""

import numpy as np
import tensorflow as tf

# Frames of the toy videos: a single one, fewer than are sampled, and more.
TOY_LENGTHS = (1, 4, 40, 50, 60, 30, 45)

# Red counts frames, green counts videos: coarsely enough to survive JPEG, and
# far enough from black that darkening shows.
_BASE, _FRAME_STEP, _VIDEO_STEP = 40, 3, 20


def jpeg(video, number, size=(16, 16)):
  color = (_BASE + number * _FRAME_STEP, _BASE + video * _VIDEO_STEP, _BASE)
  return tf.io.encode_jpeg(np.full((*size, 3), color, np.uint8)).numpy()


def frame_numbers(frames):
  """Which frames these are: [..., H, W, 3] in [-1, 1] -> [...]."""
  red = (np.asarray(frames)[..., 0] + 1).mean((-1, -2)) * 127.5
  return np.rint((red - _BASE) / _FRAME_STEP).astype(int)


def video_numbers(frames):
  """Which videos these frames are of: [..., H, W, 3] in [-1, 1] -> [...]."""
  green = (np.asarray(frames)[..., 1] + 1).mean((-1, -2)) * 127.5
  return np.rint((green - _BASE) / _VIDEO_STEP).astype(int)


def sequence_example(name, jpegs, frame_labels=None, label=-1, times=None):
  """A record by TensorFlow's own means; without what is None."""
  message = tf.train.SequenceExample()
  context = message.context.feature
  if name is not None:
    context["name"].bytes_list.value.append(name.encode())
    context["len"].int64_list.value.append(len(jpegs))
  if label is not None:
    context["label"].int64_list.value.append(label)
  lists = message.feature_lists.feature_list
  for frame in jpegs:
    lists["video"].feature.add().bytes_list.value.append(frame)
  for frame_label in () if frame_labels is None else frame_labels:
    lists["frame_labels"].feature.add().int64_list.value.append(frame_label)
  for time in () if times is None else times:
    lists["times"].feature.add().float_list.value.append(time)
  return message.SerializeToString(deterministic=True)


def bare(jpegs, frame_labels=None):
  """A record without name, len and label."""
  return sequence_example(None, jpegs, frame_labels, label=None)


def serialized(number, length, size=(16, 16), frame_labels=None, label=-1):
  """The record of video `number`, named `video <number>`."""
  jpegs = [jpeg(number, frame, size) for frame in range(length)]
  return sequence_example(f"video {number}", jpegs, frame_labels, label)


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


def contents(folder):
  """Gives every file below a folder: {relative path: bytes}."""
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in folder.rglob("*")
    if path.is_file()
  }


def flip_bit(path, position):
  content = bytearray(path.read_bytes())
  content[position] ^= 1
  path.write_bytes(content)


def read(paths):
  """Parses record files with TensorFlow's messages, one dict a video."""
  found = []
  for record in tf.data.TFRecordDataset([str(path) for path in sorted(paths)]):
    example = tf.train.SequenceExample.FromString(record.numpy())
    context = example.context.feature
    lists = example.feature_lists.feature_list
    labels = [x.int64_list.value[0] for x in lists["frame_labels"].feature]
    found.append(
      {
        "name": context["name"].bytes_list.value[0].decode(),
        "len": context["len"].int64_list.value[0],
        "label": context["label"].int64_list.value[0],
        "video": [x.bytes_list.value[0] for x in lists["video"].feature],
        "frame_labels": labels or None,
        "times": [x.float_list.value[0] for x in lists["times"].feature],
      }
    )
  return found
