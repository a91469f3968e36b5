"""Parse and decode records in TensorFlow, as part of an input pipeline."""

import functools

import tensorflow as tf

from data import examples


def parse_example(
  serialized: tf.Tensor, use_frame_labels: bool = True
) -> dict[str, tf.Tensor]:
  """Parse a record; labels that it does not have become -1.

  Args:
    serialized: Scalar string, a `tf.train.SequenceExample`.
    use_frame_labels: Whether to read labels of frames.

  Returns:
    name, seq_label, seq_len (scalars), jpegs [L] string, frame_labels [L].

  Raises:
    tf.errors.InvalidArgumentError: The record is damaged;
      `examples.check_records` says how.
  """
  one, many = tf.io.FixedLenFeature, tf.io.FixedLenSequenceFeature
  context, sequence = tf.io.parse_single_sequence_example(
    serialized,
    context_features={
      examples.NAME: one([], tf.string, default_value=""),
      examples.LABEL: one([], tf.int64, default_value=-1),
    },
    sequence_features={
      examples.VIDEO: many([], tf.string),
      examples.FRAME_LABELS: many([], tf.int64, allow_missing=True),
    },
  )
  jpegs = sequence[examples.VIDEO]
  # The frames themselves say how long a video is; some records' `len` does not.
  num_frames = tf.shape(jpegs, tf.int64)[0]
  # The decoder would take other formats as well.
  starts = tf.strings.substr(jpegs, 0, len(examples.JPEG_START))
  are_jpegs = tf.reduce_all(starts == examples.JPEG_START)
  tf.debugging.Assert(are_jpegs, ["a frame is no JPEG image"])
  labels = tf.fill([num_frames], tf.constant(-1, tf.int64))
  if use_frame_labels:
    stored = sequence[examples.FRAME_LABELS]
    labels = tf.cond(tf.size(stored) > 0, lambda: stored, lambda: labels)
    tf.debugging.assert_equal(tf.size(labels), tf.size(jpegs))
  return {
    "name": context[examples.NAME],
    "seq_label": context[examples.LABEL],
    "seq_len": num_frames,
    "jpegs": jpegs,
    "frame_labels": labels,
  }


def decode_frames(jpegs: tf.Tensor) -> tf.Tensor:
  """Decode JPEG images of one size: [F] string to [F, H, W, 3] uint8."""
  decode = functools.partial(tf.io.decode_jpeg, channels=3)
  spec = tf.TensorSpec([None, None, 3], tf.uint8)
  return tf.map_fn(decode, jpegs, fn_output_signature=spec)
