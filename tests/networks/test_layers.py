import keras
import numpy as np
import pytest
import tensorflow as tf

from networks.layers import FusedBatchNormalization, TemporalConvolution

SHAPES = {"columns": [24, 5], "images": [4, 3, 6, 5], "videos": [2, 3, 4, 2, 5]}


def pair(shape, **settings):
  """Keras's layer and the fused one with equal, telling weights."""
  layers = [
    kind(momentum=0.7, epsilon=1e-3, **settings)
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)
  ]
  rng = np.random.default_rng(3)
  layers[0].build(shape)
  layers[1].build(shape)
  weights = [rng.uniform(0.5, 2.0, w.shape) for w in layers[0].get_weights()]
  for layer in layers:
    layer.set_weights(weights)
  return layers


def inputs_of(shape, dtype=tf.float32):
  x = tf.random.stateless_normal(shape, [5, 6], mean=1.0, stddev=3.0)
  return tf.cast(x, dtype)


def run(layer, x, training):
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = layer(x, training=training)
    loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
  return y, tape.gradient(loss, [x, *layer.trainable_variables])


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_training_equals_keras(shape, scale, center):
  keras_layer, fused = pair(shape, scale=scale, center=center)
  before = keras_layer.moving_variance.numpy()
  x = inputs_of(shape)
  expected, expected_gradients = run(keras_layer, x, training=True)
  y, gradients = run(fused, x, training=True)
  assert y.shape == x.shape
  np.testing.assert_allclose(y, expected, atol=2e-6)
  assert len(gradients) == 1 + scale + center
  for gradient, reference in zip(gradients, expected_gradients, strict=True):
    np.testing.assert_allclose(gradient, reference, atol=2e-5)
  np.testing.assert_allclose(
    fused.moving_mean, keras_layer.moving_mean, rtol=1e-5
  )
  # The fused operation averages in the unbiased variance.
  count = np.prod(shape[:-1])
  current = (keras_layer.moving_variance.numpy() - 0.7 * before) / 0.3
  unbiased = 0.7 * before + 0.3 * current * count / (count - 1)
  np.testing.assert_allclose(fused.moving_variance, unbiased, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("training, trainable", [(False, True), (True, False)])
def test_inference_and_untrainable_use_the_moving_statistics(
  shape, training, trainable
):
  layers = pair(shape)
  x = inputs_of(shape)
  weights = layers[1].get_weights()
  gamma, beta, mean, variance = weights
  for layer in layers:
    layer.trainable = trainable
  expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
  for layer in layers:
    y = layer(x, training=training)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
  for before, after in zip(weights, layers[1].get_weights(), strict=True):
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_bfloat16_equals_keras_and_keeps_float32_statistics(shape):
  keras_layer, fused = pair(shape, dtype="mixed_bfloat16")
  # Differs from 1 by less than bfloat16 can tell.
  tiny_change = 1.0 + 1.0 / 1024
  for layer in (keras_layer, fused):
    layer.gamma.assign(tf.fill([5], tiny_change))
  x = inputs_of(shape, tf.bfloat16)
  expected, _ = run(keras_layer, x, training=True)
  y, gradients = run(fused, x, training=True)
  assert y.dtype == tf.bfloat16
  np.testing.assert_allclose(
    tf.cast(y, tf.float32), tf.cast(expected, tf.float32), atol=0.02
  )
  assert [g.dtype for g in gradients] == [tf.bfloat16, tf.float32, tf.float32]
  assert fused.moving_mean.dtype == "float32"
  np.testing.assert_allclose(
    fused.moving_mean, keras_layer.moving_mean, rtol=1e-4
  )


@pytest.mark.parametrize("axis", [1, -2, 3])
def test_another_axis_is_normalized_as_keras_does(axis):
  """But for the last by its number, which is fused."""
  x = inputs_of(SHAPES["images"])
  keras_layer, fused = pair(x.shape, axis=axis)
  twin = pair(x.shape)[1] if axis == 3 else keras_layer
  np.testing.assert_array_equal(fused(x, training=True), twin(x, training=True))
  for weight, expected in zip(fused.weights, twin.weights, strict=True):
    np.testing.assert_array_equal(weight, expected)


def test_graph_with_unknown_sizes_equals_eager():
  eager, graph = (pair(SHAPES["videos"])[1] for _ in range(2))
  x = inputs_of(SHAPES["videos"])
  signature = tf.TensorSpec([None, 3, None, None, 5])
  call = tf.function(
    lambda x: graph(x, training=True), input_signature=[signature]
  )
  expected = eager(x, training=True)
  np.testing.assert_allclose(call(x), expected, atol=1e-6)
  np.testing.assert_allclose(graph.moving_mean, eager.moving_mean, rtol=1e-6)
  assert call.get_concrete_function().output_shapes[-1] == 5


def test_saves_and_loads_by_its_registered_name(tmp_path):
  model = keras.Sequential(
    [keras.Input([4, 4, 3]), FusedBatchNormalization(momentum=0.5)]
  )
  model(inputs_of([2, 4, 4, 3]), training=True)
  model.save(tmp_path / "model.keras")
  loaded = keras.models.load_model(tmp_path / "model.keras")
  assert type(loaded.layers[0]) is FusedBatchNormalization
  x = inputs_of([2, 4, 4, 3])
  np.testing.assert_array_equal(loaded(x), model(x))


# Temporal convolution --------------------------------------------------------


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
