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


def sequence_example(name, jpegs, frame_labels=None, label=-1):
  """A record by TensorFlow's own means; without a label where it is None."""
  context = {"name": _bytes(name.encode()), "len": _int64(len(jpegs))}
  if label is not None:
    context["label"] = _int64(label)
  lists = {"video": [_bytes(jpeg) for jpeg in jpegs]}
  if frame_labels is not None:
    lists["frame_labels"] = [_int64(label) for label in frame_labels]
  return tf.train.SequenceExample(
    context=tf.train.Features(feature=context),
    feature_lists=tf.train.FeatureLists(
      feature_list={
        key: tf.train.FeatureList(feature=features)
        for key, features in lists.items()
      }
    ),
  ).SerializeToString(deterministic=True)


def _bytes(value):
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


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


def read(paths):
  """Parses record files with protobuf alone, one dict a video."""
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
      }
    )
  return found
