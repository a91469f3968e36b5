"""Layers: fused batch norm, temporal convolution, dense stacks."""

from collections.abc import Sequence

import keras
import tensorflow as tf

# Units of each dense layer and whether a ReLU follows.
DenseLayers = Sequence[tuple[int, bool]]


@keras.saving.register_keras_serializable(package="tcc")
class FusedBatchNormalization(keras.layers.BatchNormalization):
  """`keras.layers.BatchNormalization` over the last axis, computed fused.

  Keras 3 computes the moments of a training step with separate operations,
  which costs about a fifth of a ResNet-50 step on a CPU. Weights, names and
  inference are those of the parent class; so are the statistics, up to
  the fused operation's unbiased variance. Each replica of a `tf.distribute`
  strategy normalizes by its part of the batch; the moving statistics take in
  the mean over all, where the parent class keeps those of the first.

  Input shape: [..., C], at least 2 dimensions.
  Output shape: the same.
  """

  def call(
    self,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
  ) -> tf.Tensor:
    """Normalize; in training by the batch, whose moments are averaged in."""
    if not (training and self.trainable and self._is_fusible(inputs, mask)):
      return super().call(inputs, training=training, mask=mask)
    images, channels = inputs, [inputs.shape[-1]]
    if inputs.shape.rank != 4:
      # The operation takes images: all positions become one tall column.
      images = tf.reshape(inputs, [-1, 1, 1, *channels])
    scale = self.gamma if self.scale else tf.ones(channels)
    offset = self.beta if self.center else tf.zeros(channels)
    scale, offset = tf.cast(scale, tf.float32), tf.cast(offset, tf.float32)
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
      images, scale, offset, epsilon=self.epsilon, is_training=True
    )
    mean, variance = _mean_over_replicas([mean, variance])
    self._average_in(self.moving_mean, mean)
    self._average_in(self.moving_variance, variance)
    return tf.reshape(outputs, tf.shape(inputs))

  def _is_fusible(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> bool:
    is_plain = not (self.renorm or self.synchronized) and mask is None
    return is_plain and self.axis in (-1, inputs.shape.rank - 1)

  def _average_in(self, moving: keras.Variable, current: tf.Tensor) -> None:
    current = tf.cast(current, moving.dtype)
    moving.assign(moving * self.momentum + current * (1.0 - self.momentum))


def _mean_over_replicas(moments: list[tf.Tensor]) -> list[tf.Tensor]:
  context = tf.distribute.get_replica_context()
  if context is None or context.num_replicas_in_sync == 1:
    return moments
  return context.all_reduce(tf.distribute.ReduceOp.MEAN, moments)


@keras.saving.register_keras_serializable(package="tcc")
class TemporalConvolution(keras.layers.Conv3D):
  """`keras.layers.Conv3D` of stride 1 and padding `same`, tap by tap.

  Each tap of the kernel in time is a two-dimensional convolution of the frames
  that it meets. Two reasons:

  - In bfloat16 on a CPU, TensorFlow 2.21 computes the gradient of a
    three-dimensional kernel wrongly where the kernel reaches over the ends in
    time, and says nothing: the norm of its error is larger than the gradient's.
  - With one or two context frames a half or a third of a three-dimensional
    convolution's work is multiplying the padding.

  Input shape: [B, C, H, W, channels]. Output shape: [B, C, H, W, filters].
  """

  def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve; the bias is added by the caller."""
    batch_size, _, *size = keras.ops.shape(inputs)
    num_frames, outputs = inputs.shape[1], []
    for tap, offset in self._list_taps(num_frames):
      first, last = max(0, offset), num_frames + min(0, offset)
      frames = tf.reshape(inputs[:, first:last], [-1, *size])
      convolved = tf.nn.conv2d(frames, kernel[tap], 1, "SAME")
      shape = [batch_size, last - first, *size[:-1], kernel.shape[-1]]
      outputs.append(_pad_time(tf.reshape(convolved, shape), offset))
    return tf.add_n(outputs)

  def convolve_frames(self, frames: tf.Tensor, num_frames: int) -> tf.Tensor:
    """Compute what a frame adds to the output, wherever it is in a context.

    Args:
      frames: [N, H, W, channels].
      num_frames: C, frames of a context.

    Returns:
      [N, H, W, taps * filters], for the taps that meet frames of the context.
    """
    taps = [tap for tap, _ in self._list_taps(num_frames)]
    kernel = tf.cast(self.kernel, self.compute_dtype)
    kernel = tf.concat([kernel[tap] for tap in taps], axis=-1)
    frames = tf.cast(frames, self.compute_dtype)
    return tf.nn.conv2d(frames, kernel, 1, "SAME")

  def add_frames(self, convolved: tf.Tensor) -> tf.Tensor:
    """Compute the output from what the frames of contexts add to it.

    Args:
      convolved: [B, C, H, W, taps * filters], see `convolve_frames`.

    Returns:
      [B, C, H, W, filters], as the layer gives it for these frames.
    """
    num_frames = convolved.shape[1]
    taps, outputs = self._list_taps(num_frames), []
    pieces = tf.split(convolved, len(taps), axis=-1)
    for (_, offset), piece in zip(taps, pieces, strict=True):
      first, last = max(0, offset), num_frames + min(0, offset)
      outputs.append(_pad_time(piece[:, first:last], offset))
    return tf.add_n(outputs) + tf.cast(self.bias, self.compute_dtype)

  def _list_taps(self, num_frames: int) -> list[tuple[int, int]]:
    """List the taps that meet frames, and how far ahead each looks."""
    # As `same` pads: of an even number of taps, the extra one looks ahead.
    num_taps = self.kernel_size[0]
    taps = [(tap, tap - (num_taps - 1) // 2) for tap in range(num_taps)]
    return [(tap, offset) for tap, offset in taps if abs(offset) < num_frames]


def _pad_time(frames: tf.Tensor, offset: int) -> tf.Tensor:
  """Pad [B, C - |offset|, H, W, D] to C frames, on the side that it misses."""
  padding = [[0, 0], [max(0, -offset), max(0, offset)], *[[0, 0]] * 3]
  return tf.pad(frames, padding)


def l2_penalties(weight: float, *parts: str) -> dict[str, keras.Regularizer]:
  """Make the arguments of a layer that penalize its `parts`, such as bias."""
  penalty = keras.regularizers.L2(weight)
  return {f"{part}_regularizer": penalty for part in parts}


def dense_layers(
  x: keras.KerasTensor,
  layers: DenseLayers,
  dropout_rate: float,
  l2_weight: float,
  policy: str = "float32",
) -> keras.KerasTensor:
  """Stack dense layers, each behind a dropout.

  Args:
    x: [N, size] input.
    layers: Units of each dense layer and whether a ReLU follows.
    dropout_rate: Rate of the dropout before each layer.
    l2_weight: Weight of the L2 penalty on kernels and biases.
    policy: Keras dtype policy of the layers.

  Returns:
    [N, units of the last layer].
  """
  penalties = l2_penalties(l2_weight, "kernel", "bias")
  for units, activate in layers:
    x = keras.layers.Dropout(dropout_rate, dtype=policy)(x)
    activation = "relu" if activate else None
    x = keras.layers.Dense(units, activation, dtype=policy, **penalties)(x)
  return x
