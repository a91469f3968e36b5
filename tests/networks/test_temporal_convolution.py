import keras
import numpy as np
import pytest
import tensorflow as tf

from networks.temporal_convolution import TemporalConvolution


def built(layer_class, size, policy, shape, seed=0):
  keras.utils.set_random_seed(seed)
  layer = layer_class(
    7, size, padding="same", bias_initializer="normal", dtype=policy
  )
  layer.build((None, *shape[1:]))
  return layer


def outputs_and_gradients(layer, inputs):
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    outputs = layer(inputs)
    # Every output weighs differently, so that none of a sum can stand for
    # another.
    weights = tf.random.stateless_normal(outputs.shape, [1, 2])
    loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
  return outputs, tape.gradient(loss, [inputs, *layer.trainable_variables])


@pytest.mark.parametrize("size", [1, 2, 3, (3, 1, 1), (5, 3, 3)])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 6])
def test_equals_conv3d(size, num_frames):
  shape = (3, num_frames, 4, 5, 6)
  inputs = tf.random.stateless_normal(shape, [0, 0])
  ours = built(TemporalConvolution, size, "float32", shape)
  theirs = built(keras.layers.Conv3D, size, "float32", shape)
  got, expected = (
    outputs_and_gradients(layer, inputs) for layer in (ours, theirs)
  )
  np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
  for a, b in zip(got[1], expected[1], strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_bfloat16_gradient_of_every_tap_is_that_of_float32(num_frames):
  """What keras.layers.Conv3D fails on a CPU with bfloat16 instructions."""
  shape = (4, num_frames, 7, 7, 64)
  inputs = tf.random.stateless_normal(shape, [0, 0])
  gradients = [
    outputs_and_gradients(
      built(TemporalConvolution, 3, policy, shape), tf.cast(inputs, dtype)
    )[1][1]
    for policy, dtype in (
      ("mixed_bfloat16", tf.bfloat16),
      ("float32", tf.float32),
    )
  ]
  for low, full in zip(*map(tf.unstack, gradients), strict=True):
    error = tf.norm(tf.cast(low, tf.float32) - full)
    assert error <= 0.03 * tf.norm(full) + 1e-6


def test_graph_with_unknown_batch_and_a_saved_model(tmp_path):
  inputs = keras.Input((2, 4, 4, 3))
  model = keras.Model(inputs, TemporalConvolution(5, 3, padding="same")(inputs))
  data = np.random.default_rng(0).normal(size=(3, 2, 4, 4, 3))
  expected = model(data.astype("float32"))
  run = tf.function(
    model, input_signature=[tf.TensorSpec([None, 2, 4, 4, 3], tf.float32)]
  )
  np.testing.assert_allclose(run(data.astype("float32")), expected, atol=1e-5)
  model.save(tmp_path / "model.keras")
  loaded = keras.saving.load_model(tmp_path / "model.keras")
  np.testing.assert_array_equal(loaded(data.astype("float32")), expected)
