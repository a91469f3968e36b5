import keras
import numpy as np
import pytest
import tensorflow as tf

from networks.layers import FusedBatchNormalization, TemporalConvolution

SHAPES = {"columns": [24, 5], "images": [4, 3, 6, 5], "videos": [2, 3, 4, 2, 5]}


def normal(shape, dtype=tf.float32):
  x = tf.random.stateless_normal(shape, [5, 6], mean=1.0, stddev=3.0)
  return tf.cast(x, dtype)


def run(layer, x, **options):
  """Outputs, and gradients of a loss in which every output weighs its own."""
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = layer(x, **options)
    weights = tf.random.stateless_normal(y.shape, [1, 2])
    loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights)
  return y, tape.gradient(loss, [x, *layer.trainable_variables])


def batch_norms(shape, **settings):
  """Keras's layer and the fused one with equal, telling weights."""
  layers = [
    kind(momentum=0.7, epsilon=1e-3, **settings)
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)
  ]
  rng = np.random.default_rng(3)
  for layer in layers:
    layer.build(shape)
  weights = [rng.uniform(0.5, 2.0, w.shape) for w in layers[0].get_weights()]
  for layer in layers:
    layer.set_weights(weights)
  return layers


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_fused_training_equals_keras(shape, scale, center):
  keras_layer, fused = batch_norms(shape, scale=scale, center=center)
  before = keras_layer.moving_variance.numpy()
  x = normal(shape)
  expected, expected_gradients = run(keras_layer, x, training=True)
  y, gradients = run(fused, x, training=True)
  assert y.shape == x.shape
  np.testing.assert_allclose(y, expected, atol=2e-6)
  assert len(gradients) == 1 + scale + center
  for gradient, reference in zip(gradients, expected_gradients, strict=True):
    np.testing.assert_allclose(gradient, reference, atol=5e-5)
  mean = keras_layer.moving_mean
  np.testing.assert_allclose(fused.moving_mean, mean, rtol=1e-5)
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
  _, fused = batch_norms(shape)
  x, weights = normal(shape), fused.get_weights()
  gamma, beta, mean, variance = weights
  fused.trainable = trainable
  expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
  y = fused(x, training=training)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
  for before, after in zip(weights, fused.get_weights(), strict=True):
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_bfloat16_equals_keras_and_keeps_float32_statistics(shape):
  keras_layer, fused = batch_norms(shape, dtype="mixed_bfloat16")
  for layer in (keras_layer, fused):
    # Differs from 1 by less than bfloat16 can tell.
    layer.gamma.assign(tf.fill([5], 1.0 + 1.0 / 1024))
  x = normal(shape, tf.bfloat16)
  expected, _ = run(keras_layer, x, training=True)
  y, gradients = run(fused, x, training=True)
  assert y.dtype == tf.bfloat16
  outputs = (tf.cast(x, tf.float32) for x in (y, expected))
  np.testing.assert_allclose(*outputs, atol=0.02)
  assert [g.dtype for g in gradients] == [tf.bfloat16, tf.float32, tf.float32]
  assert fused.moving_mean.dtype == "float32"
  mean = keras_layer.moving_mean
  np.testing.assert_allclose(fused.moving_mean, mean, rtol=1e-4)


@pytest.mark.parametrize("axis", [1, -2, 3])
def test_another_axis_is_normalized_as_keras_does(axis):
  """But for the last by its number, which is fused."""
  x = normal(SHAPES["images"])
  keras_layer, fused = batch_norms(x.shape, axis=axis)
  twin = batch_norms(x.shape)[1] if axis == 3 else keras_layer
  np.testing.assert_array_equal(fused(x, training=True), twin(x, training=True))
  for weight, expected in zip(fused.weights, twin.weights, strict=True):
    np.testing.assert_array_equal(weight, expected)


def convolution(kind, size, policy, shape):
  keras.utils.set_random_seed(0)
  layer = kind(7, size, padding="same", bias_initializer="normal", dtype=policy)
  layer.build((None, *shape[1:]))
  return layer


@pytest.mark.parametrize("size", [1, 2, 3, (3, 1, 1), (5, 3, 3)])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 6])
def test_temporal_convolution_equals_conv3d(size, num_frames):
  shape = (3, num_frames, 4, 5, 6)
  inputs = tf.random.stateless_normal(shape, [0, 0])
  got, expected = (
    run(convolution(kind, size, "float32", shape), inputs)
    for kind in (TemporalConvolution, keras.layers.Conv3D)
  )
  np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
  for a, b in zip(got[1], expected[1], strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 5])
def test_frames_convolved_once_add_up_to_the_convolution(
  num_frames, size, policy
):
  """Each of 6 frames is in several contexts."""
  layer = convolution(
    TemporalConvolution, size, policy, [2, num_frames, 4, 5, 6]
  )
  layer.bias.assign(tf.random.stateless_normal(layer.bias.shape, [1, 0]))
  frames = tf.random.stateless_normal([6, 4, 5, 6], [0, 0])
  starts = tf.range(7 - num_frames)[:, None] + tf.range(num_frames)
  convolved = tf.gather(layer.convolve_frames(frames, num_frames), starts)
  expected = layer(tf.gather(frames, starts))
  got = layer.add_frames(convolved)
  assert got.dtype == expected.dtype
  error = tf.norm(tf.cast(got - expected, tf.float32))
  limit = 1e-5 if policy == "float32" else 1e-2
  assert error <= limit * tf.norm(tf.cast(expected, tf.float32))


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_bfloat16_gradient_of_every_tap_is_that_of_float32(num_frames):
  """What keras.layers.Conv3D fails on a CPU with bfloat16 instructions."""
  shape = (4, num_frames, 7, 7, 64)
  inputs = tf.random.stateless_normal(shape, [0, 0])
  gradients = []
  for policy, dtype in (("mixed_bfloat16", "bfloat16"), ("float32", "float32")):
    layer = convolution(TemporalConvolution, 3, policy, shape)
    gradients.append(run(layer, tf.cast(inputs, dtype))[1][1])
  low, full = gradients
  for ours, theirs in zip(tf.unstack(low), tf.unstack(full), strict=True):
    error = tf.norm(tf.cast(ours, tf.float32) - theirs)
    assert error <= 0.03 * tf.norm(theirs) + 1e-6


@pytest.mark.parametrize(
  "build",
  [
    lambda: FusedBatchNormalization(momentum=0.5),
    lambda: TemporalConvolution(5, 3, padding="same"),
  ],
)
def test_graphs_of_unknown_sizes_and_saved_models(build, tmp_path):
  shape = (3, 2, 4, 4, 3)
  model = keras.Sequential([keras.Input(shape[1:]), build()])
  x, initial = normal(shape), model.get_weights()
  expected = model(x, training=True)
  weights = model.get_weights()
  model.set_weights(initial)
  layer = model.layers[0]
  call = tf.function(
    lambda x: layer(x, training=True) if len(weights) > 2 else layer(x),
    input_signature=[tf.TensorSpec([None, 2, None, None, 3])],
  )
  np.testing.assert_allclose(call(x), expected, atol=1e-5)
  assert call.get_concrete_function().output_shapes[-1] == expected.shape[-1]
  for graph, eager in zip(model.get_weights(), weights, strict=True):
    np.testing.assert_allclose(graph, eager, rtol=1e-6)
  model.save(tmp_path / "model.keras")
  loaded = keras.models.load_model(tmp_path / "model.keras")
  assert type(loaded.layers[0]) is type(layer)
  np.testing.assert_array_equal(loaded(x), model(x))
