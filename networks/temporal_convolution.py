"""Convolution over a few context frames, by two-dimensional ones."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tcc")
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
    """Convolves; the bias is added by the caller."""
    shape = tf.shape(inputs)
    num_frames, num_taps = inputs.shape[1], kernel.shape[0]
    # As `same` pads: of an even number of taps, the extra one looks ahead.
    offsets = [tap - (num_taps - 1) // 2 for tap in range(num_taps)]
    outputs = []
    for tap, offset in enumerate(offsets):
      if abs(offset) >= num_frames:
        continue
      first, last = max(0, offset), num_frames + min(0, offset)
      frames = tf.reshape(
        inputs[:, first:last], tf.concat([[-1], shape[2:]], axis=0)
      )
      frames = tf.ensure_shape(frames, [None, *inputs.shape[2:]])
      convolved = tf.nn.conv2d(frames, kernel[tap], 1, "SAME")
      convolved = tf.reshape(
        convolved,
        [shape[0], last - first, shape[2], shape[3], kernel.shape[-1]],
      )
      padding = [[0, 0]] * 5
      padding[1] = [max(0, -offset), max(0, offset)]
      outputs.append(tf.pad(convolved, padding))
    return tf.add_n(outputs)
