import functools
import itertools
import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tcc import compute_alignment_loss, deterministic_alignment
from tcc.settings import LOSS_TYPES, NUMBERS, SIMILARITY_TYPES
from tests.helpers.naive_losses import every_loss, loss_and_gradient

# A frame of these, which cycles through all sequences, needs 4 * (7 + 3)
# elements.
EMBS = np.random.default_rng(1).normal(size=[4, 7, 3])
BOUNDS = {"a frame": 1, "3 of 7 frames": 3 * 40, "a sequence": 7 * 40}
BOUNDS |= {"3 of 4 sequences": 3 * 7 * 40, "all": 2**24}
every_bound = pytest.mark.parametrize("bound", BOUNDS)
# How the library is called: eagerly, or traced with static shapes or without,
# and then compiled by XLA or not.
SIGNATURES = {"static": [4, 7, 3], "dynamic": [None, None, None]}
CALLS = [None, *itertools.product(SIGNATURES, (False, True))]


@pytest.fixture
def set_bound(monkeypatch):
  name = "MAX_PAIRWISE_ELEMENTS"
  patch = functools.partial(monkeypatch.setattr, deterministic_alignment, name)
  return lambda bound: patch(BOUNDS.get(bound, bound))


def values_and_gradients(call):
  """The loss and its gradient by the embeddings and the temperature."""
  temperature = tf.constant(0.3, tf.float64)

  def run(embs):
    with tf.GradientTape() as tape:
      tape.watch(temperature)
      options = {"loss_type": "regression_mse_var", "temperature": temperature}
      values = loss_and_gradient(embs, **options)
    return *values, tape.gradient(values[0], temperature)

  if call is None:
    return run(EMBS)
  signature, jit_compile = call
  spec = tf.TensorSpec(SIGNATURES[signature], tf.float64)
  return tf.function(run, [spec], jit_compile=jit_compile)(EMBS)


@pytest.mark.parametrize("bound", ["3 of 7 frames", "3 of 4 sequences", "all"])
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_blocks_equal_all_pairs_at_once_however_called(call, bound, set_bound):
  expected = values_and_gradients(None)
  set_bound(bound)
  for value, same in zip(values_and_gradients(call), expected, strict=True):
    np.testing.assert_allclose(value, same, rtol=1e-6)


@every_bound
@pytest.mark.parametrize("similarity_type", SIMILARITY_TYPES)
@every_loss
def test_blocks_equal_all_pairs_at_once_for_every_loss(
  loss_type, similarity_type, bound, set_bound
):
  steps = np.outer(np.arange(1, 5), np.arange(7))
  options = {"loss_type": loss_type, "similarity_type": similarity_type}
  options |= {"steps": steps, "seq_lens": [20, 30, 40, 50]}
  embs = EMBS.astype(np.float32)
  loss, gradient = loss_and_gradient(embs, **options)
  set_bound(bound)
  same_loss, same_gradient = loss_and_gradient(embs, **options)
  np.testing.assert_allclose(same_loss, loss, rtol=1e-6)
  tolerance = 1e-6 * np.abs(gradient).max()
  np.testing.assert_allclose(same_gradient, gradient, rtol=0, atol=tolerance)


def test_blocks_give_a_gradient_to_every_weight(set_bound):
  numbers = {name: tf.constant(0.2, tf.float64) for name in NUMBERS}

  def gradients():
    with tf.GradientTape() as tape:
      tape.watch(numbers)
      total = tf.add_n(
        compute_alignment_loss(EMBS, 4, loss_type=loss_type, **numbers)
        for loss_type in LOSS_TYPES
      )
    return tape.gradient(total, numbers)

  expected = gradients()
  set_bound("3 of 7 frames")
  for name, gradient in gradients().items():
    assert abs(gradient) > 0
    np.testing.assert_allclose(gradient, expected[name], rtol=1e-6)


@every_loss
def test_blocks_do_not_swallow_nan(loss_type, set_bound):
  embs = EMBS.copy()
  embs[3, 6, 2] = np.nan
  set_bound("3 of 7 frames")
  assert np.isnan(compute_alignment_loss(embs, 4, loss_type=loss_type))


def compiled_sizes(shape):
  """Elements of all tensors in what XLA makes of the loss and its gradient."""
  run = tf.function(loss_and_gradient, jit_compile=True)
  program = run.experimental_get_compiler_ir(
    tf.zeros(shape), loss_type="regression_mse_var"
  )(stage="optimized_hlo")
  shapes = re.findall(r"f32\[([\d,]+)\]", program)
  return [math.prod(map(int, shape.split(","))) for shape in shapes]


@pytest.mark.parametrize("shape", [(6, 50, 4), (3, 200, 2), (40, 5, 3)])
def test_no_tensor_exceeds_the_bound(shape, set_bound):
  num_sequences, num_steps, _ = shape
  num_pairs = num_sequences * (num_sequences - 1)
  assert max(compiled_sizes(shape)) >= num_pairs * num_steps**2
  set_bound(2000)
  assert max(compiled_sizes(shape)) <= 2000


@pytest.mark.parametrize("dimension", [20, 5, 4, 1])
def test_long_and_short_sequences_equal_their_blocks(dimension, set_bound):
  # At once, sequences beyond twice the dimension are computed in another way.
  embs = np.random.default_rng(2).normal(size=[3, 9, dimension])
  expected = loss_and_gradient(embs)
  set_bound("3 of 7 frames")
  for value, same in zip(loss_and_gradient(embs), expected, strict=True):
    np.testing.assert_allclose(value, same, rtol=1e-6)


@every_bound
def test_mixed_precision_computes_the_loss_in_float32(bound, set_bound):
  set_bound(bound)
  encoder = keras.layers.Dense(3, dtype="mixed_bfloat16")
  with tf.GradientTape() as tape:
    embs = encoder(tf.constant(EMBS, tf.float32))
    loss = compute_alignment_loss(embs, 4, loss_type="regression_mse")
  assert embs.dtype == tf.bfloat16
  assert loss.dtype == tf.float32
  assert np.abs(tape.gradient(loss, encoder.trainable_variables[0])).max() > 0
  embs = tf.cast(embs, tf.float32)
  same = compute_alignment_loss(embs, 4, loss_type="regression_mse")
  np.testing.assert_array_equal(loss, same)
