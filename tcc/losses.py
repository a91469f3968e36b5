"""How far a cycle ends from where it began (paper, section 3.3)."""

import tensorflow as tf

# Variance below which `regression_mse_var` treats a cycle as certain, times the
# squared range of times: a match as sharp as float32 can express would divide
# by 0 otherwise.
_MIN_VARIANCE = 1e-8
# The same where all times are one.
_TINY = 1e-30


def classification_loss(
  logits: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
  """Cross-entropy of cycling back to the very frame of the start.

  Args:
    logits: [..., T] similarities of the cycled-back embedding to all frames.
    labels: [...] int, index of the frame the cycle started at.
    label_smoothing: Share of the target spread evenly over all T frames.

  Returns:
    [...] losses.
  """
  log_probabilities = tf.nn.log_softmax(logits)
  labels = tf.broadcast_to(labels, tf.shape(logits)[:-1])
  right = tf.gather(log_probabilities, labels[..., None], batch_dims=-1)[..., 0]
  evenly = tf.reduce_mean(log_probabilities, -1)
  return -(1.0 - label_smoothing) * right - label_smoothing * evenly


def regression_loss(
  logits: tf.Tensor,
  start: tf.Tensor,
  times: tf.Tensor,
  loss_type: str,
  variance_lambda: float,
  huber_delta: float,
) -> tf.Tensor:
  """Distance in time between the start of a cycle and where it ends.

  Args:
    logits: [..., T] similarities of the cycled-back embedding to all frames.
    start: [...] time of the frame the cycle started at.
    times: [..., T] time of each frame.
    loss_type: `regression_mse`, `regression_mse_var` (divided by the variance
      of the predicted time, plus its weighted logarithm) or `regression_huber`.
    variance_lambda: Weight of the logarithm in `regression_mse_var`.
    huber_delta: Where `regression_huber` turns linear.

  Returns:
    [...] losses.
  """
  weights = tf.nn.softmax(logits)
  mean = tf.reduce_sum(weights * times, -1)
  error = start - mean
  if loss_type == "regression_mse":
    return tf.square(error)
  if loss_type == "regression_huber":
    distance = tf.abs(error)
    quadratic = tf.minimum(distance, huber_delta)
    return quadratic * (distance - 0.5 * quadratic)
  variance = tf.reduce_sum(weights * tf.square(times - mean[..., None]), -1)
  least = _MIN_VARIANCE * tf.square(_range(times)) + _TINY
  variance = tf.maximum(variance, least)
  return tf.square(error) / variance + variance_lambda * tf.math.log(variance)


def _range(times: tf.Tensor) -> tf.Tensor:
  return tf.reduce_max(times, -1) - tf.reduce_min(times, -1)


LOSS_TYPES = (
  "classification",
  "regression_mse",
  "regression_mse_var",
  "regression_huber",
)


def cycle_loss(
  logits: tf.Tensor,
  labels: tf.Tensor,
  start: tf.Tensor,
  times: tf.Tensor,
  loss_type: str,
  label_smoothing: float,
  variance_lambda: float,
  huber_delta: float,
) -> tf.Tensor:
  """Loss of each cycle, of any type in `LOSS_TYPES`; see the functions above.

  What several cycles share need not be repeated: `labels`, `start` and `times`
  broadcast.

  Args:
    logits: [..., T] similarities of the cycled-back embedding to all frames.
    labels: [...] int, index of the frame the cycle started at.
    start: [...] time of that frame.
    times: [..., T] time of each frame.
    loss_type: One of `LOSS_TYPES`.
    label_smoothing: For `classification`.
    variance_lambda: For `regression_mse_var`.
    huber_delta: For `regression_huber`.

  Returns:
    [...] losses.
  """
  if loss_type == "classification":
    return classification_loss(logits, labels, label_smoothing)
  return regression_loss(
    logits, start, times, loss_type, variance_lambda, huber_delta
  )


def frame_times(
  steps: tf.Tensor, seq_lens: tf.Tensor, normalize_indices: bool, dtype
) -> tf.Tensor:
  """Time of every frame since the first, as the regression losses measure it.

  Args:
    steps: [N, T] index of each frame in its sequence.
    seq_lens: [N] lengths of the sequences.
    normalize_indices: Whether to divide by the length.
    dtype: Floating-point type of the result.

  Returns:
    [N, T] times, into which no gradient flows.
  """
  times = tf.cast(steps, dtype)
  # Losses see differences only, which are more exact of small numbers.
  times -= tf.reduce_min(times, -1, keepdims=True)
  if normalize_indices:
    times /= tf.cast(seq_lens, dtype)[:, None]
  return tf.stop_gradient(times)
