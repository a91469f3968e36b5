"""The loss of classifier heads."""

import keras
import tensorflow as tf


def mean_cross_entropy(
  labels: tf.Tensor, logits: tf.Tensor, is_counted: tf.Tensor, smoothing: float
) -> tf.Tensor:
  """Compute the mean softmax cross-entropy of the rows that count.

  Args:
    labels: [N] class of each row; whatever where it does not count.
    logits: [N, classes].
    is_counted: [N] bool.
    smoothing: Share of a label that all classes get evenly.

  Returns:
    A scalar, 0 if no row counts.
  """
  targets = tf.one_hot(labels, logits.shape[-1])
  losses = keras.losses.categorical_crossentropy(
    targets, logits, from_logits=True, label_smoothing=smoothing
  )
  weights = tf.cast(is_counted, losses.dtype)
  total, count = tf.reduce_sum(weights * losses), tf.reduce_sum(weights)
  return tf.math.divide_no_nan(total, count)
