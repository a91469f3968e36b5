"""Distance between the start and the end of a cycle (paper, section 3.3)."""

import tensorflow as tf

from tcc.settings import LossSettings

# Variance below which `regression_mse_var` treats a cycle as certain, times the
# squared range of times: a match as sharp as float32 can express would divide
# by 0 otherwise.
_MIN_VARIANCE = 1e-8
# The same where all times are one.
_TINY = 1e-30


def cycle_loss(
  logits: tf.Tensor,
  labels: tf.Tensor,
  start: tf.Tensor,
  times: tf.Tensor,
  settings: LossSettings,
) -> tf.Tensor:
  """Compute the loss of each cycle.

  What several cycles share need not be repeated: `labels`, `start` and `times`
  broadcast.

  Args:
    logits: [..., T] similarities of the cycled-back embedding to all frames.
    labels: [...] int, index of the frame the cycle started at.
    start: [...] time of that frame.
    times: [..., T] time of each frame.
    settings: The loss type and its numbers.

  Returns:
    [...] losses.
  """
  if settings.loss_type != "classification":
    return regression_loss(logits, start, times, settings)
  # Cross-entropy of cycling back to the very frame of the start.
  log_probabilities = tf.nn.log_softmax(logits)
  labels = tf.broadcast_to(labels, tf.shape(logits)[:-1])
  right = tf.gather(log_probabilities, labels[..., None], batch_dims=-1)[..., 0]
  evenly = tf.reduce_mean(log_probabilities, -1)
  smoothing = settings.label_smoothing
  return -(1.0 - smoothing) * right - smoothing * evenly


def regression_loss(
  logits: tf.Tensor, start: tf.Tensor, times: tf.Tensor, settings: LossSettings
) -> tf.Tensor:
  """Compute the distance in time between the ends of each cycle.

  Args:
    logits: [..., T] similarities of the cycled-back embedding to all frames.
    start: [...] time of the frame the cycle started at.
    times: [..., T] time of each frame.
    settings: The loss type is `regression_mse`, `regression_mse_var` (divided
      by the variance of the predicted time, plus its weighted logarithm) or
      `regression_huber`.

  Returns:
    [...] losses.
  """
  weights = tf.nn.softmax(logits)
  mean = tf.reduce_sum(weights * times, -1)
  error = start - mean
  if settings.loss_type == "regression_mse":
    return tf.square(error)
  if settings.loss_type == "regression_huber":
    distance = tf.abs(error)
    quadratic = tf.minimum(distance, settings.huber_delta)
    return quadratic * (distance - 0.5 * quadratic)
  variance = tf.reduce_sum(weights * tf.square(times - mean[..., None]), -1)
  time_range = tf.reduce_max(times, -1) - tf.reduce_min(times, -1)
  variance = tf.maximum(variance, _MIN_VARIANCE * time_range**2 + _TINY)
  log_variance = tf.math.log(variance)
  return tf.square(error) / variance + settings.variance_lambda * log_variance


def frame_times(
  steps: tf.Tensor, seq_lens: tf.Tensor, normalize: bool, dtype: tf.DType
) -> tf.Tensor:
  """Compute the time since the first frame, as regression losses measure it.

  Args:
    steps: [N, T] index of each frame in its sequence.
    seq_lens: [N] lengths of the sequences.
    normalize: Whether to divide by the length.
    dtype: Floating-point type of the result.

  Returns:
    [N, T] times, into which no gradient flows.
  """
  times = tf.cast(steps, dtype)
  # Losses see differences only, which are more exact of small numbers.
  times -= tf.reduce_min(times, -1, keepdims=True)
  if normalize:
    times /= tf.cast(seq_lens, dtype)[:, None]
  return tf.stop_gradient(times)
