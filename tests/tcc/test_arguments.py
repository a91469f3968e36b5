import functools
import math

import numpy as np
import pytest
import tensorflow as tf

import tcc
from tcc import compute_alignment_loss
from tests.helpers.naive_losses import every_mode, loss_and_gradient

STOCHASTIC = {"stochastic_matching": True}
FEW = "batch_size must be at least {}, .* {} different sequences. Received: {}"
ONE = np.ones([1, 5, 3])


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"embs": ONE, "batch_size": 1}, FEW.format(2, 2, 1)),
    ({"embs": ONE, "batch_size": tf.constant(1)}, FEW.format(2, 2, 1)),
    (
      {"batch_size": 3},
      r"embs \[batch_size, T, D\] must have the shape \(3, None, None\)."
      r" Received: \(2, 5, 3\)",
    ),
    ({"embs": np.ones([2, 5])}, r"embs \[batch_s.* Received: \(2, 5\)"),
    ({"embs": np.ones([2, 4, 5, 3])}, r"embs .* Received: \(2, 4, 5, 3\)"),
    ({"embs": 1.0}, r"embs .* Received: \(\)"),
    (
      {"embs": np.ones([2, 5, 3], np.int32)},
      "embs must be floating-point. Received: dtype int32",
    ),
    (
      {"steps": np.ones([2, 4])},
      r"steps \[batch_size, T\] must have .* \(2, 5\). Received: \(2, 4\)",
    ),
    (
      {"seq_lens": np.ones([3])},
      r"seq_lens \[batch_size\] must have .* \(2,\). Received: \(3,\)",
    ),
    ({"loss_type": "mse"}, "loss_type must be one of .* Received: 'mse'"),
    (
      {"similarity_type": "dot"},
      "similarity_type must be one of l2, cosine. Received: 'dot'",
    ),
    ({"temperature": 0.0}, "temperature must be positive. Received: 0.0"),
    ({"temperature": tf.constant(-1.0)}, "temperature must be positive"),
    ({"temperature": math.nan}, "temperature must be positive. Received: nan"),
    ({"temperature": "a"}, "temperature must be a number. Received: 'a'"),
    ({"temperature": None}, "temperature must be a number. Received: None"),
    ({"temperature": [0.1, 0.2]}, r"temperature .* \(\). Received: \(2,\)"),
    ({"temperature": tf.Variable(-1.0)}, "temperature must be positive"),
    ({"label_smoothing": 1.5}, "label_smoothing must be from 0 to 1"),
    ({"variance_lambda": -1}, "variance_lambda must be at least 0"),
    ({"huber_delta": 0.0}, "huber_delta must be positive"),
    (STOCHASTIC | {"cycle_length": 3}, FEW.format(3, 3, 2)),
    ({"cycle_length": 3}, FEW.format(3, 3, 2)),
    ({"cycle_length": 1}, "cycle_length must be at least 2. Received: 1"),
    ({"cycle_length": 2.0}, "cycle_length must be a whole number"),
    ({"batch_size": 2.0}, "batch_size must be a whole number. Received: 2.0"),
    ({"batch_size": None}, "batch_size must be a whole number"),
    (STOCHASTIC | {"num_cycles": 2.5}, "num_cycles must be .* Received: 2.5"),
    (STOCHASTIC | {"cycle_length": 1}, "cycle_length must be at least 2."),
    (STOCHASTIC | {"num_cycles": 0}, "num_cycles must be at least 1."),
    (STOCHASTIC | {"seed": 1}, r"seed must have the shape \(2,\)."),
  ],
)
def test_wrong_arguments_are_named(change, message):
  with pytest.raises(ValueError, match=message):
    compute_alignment_loss(**{"embs": ONE[[0, 0]], "batch_size": 2} | change)


SETTINGS = {
  **{"loss_type": "regression_mse_var", "similarity_type": "cosine"},
  **{"temperature": 0.5, "label_smoothing": 0.1, "variance_lambda": 0.01},
  **{"huber_delta": 0.1, "normalize_indices": False},
}


def explicit_loss(mode, **changes):
  """The loss by the function of a mode, which has no defaults."""
  batch = {"steps": np.tile(np.arange(8), [3, 1]), "seq_lens": [8, 8, 8]}
  batch |= {"num_steps": 8, "batch_size": 3, "embs": np.ones([3, 8, 4])}
  loss = tcc.compute_deterministic_alignment_loss
  if mode:
    batch |= {"num_cycles": 64, "cycle_length": 2, "seed": [3, 4]}
    loss = tcc.compute_stochastic_alignment_loss
  return loss(**batch | SETTINGS | changes)


@every_mode
@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float32])
def test_explicit_function_equals_the_wrapper(dtype, mode):
  embs = tf.cast(tf.random.stateless_normal([3, 8, 4], [9, 1]), dtype)
  loss = explicit_loss(mode, embs=embs)
  assert loss.dtype == tf.float32
  same = compute_alignment_loss(embs, 3, **SETTINGS, **mode)
  np.testing.assert_allclose(loss, same, rtol=1e-6)


@every_mode
@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"temperature": 0.0}, "temperature must be positive. Received: 0.0"),
    ({"batch_size": 4}, r"embs \[batch_size, T, D\] must have the shape"),
    ({"num_steps": 7}, "num_steps must be 8, as embs says. Received: 7"),
  ],
)
def test_explicit_functions_name_wrong_arguments(mode, change, message):
  with pytest.raises(ValueError, match=message):
    explicit_loss(mode, **change)


def test_explicit_stochastic_function_needs_sequences_for_its_cycles():
  with pytest.raises(ValueError, match="batch_size must be at least 5, "):
    explicit_loss(STOCHASTIC, cycle_length=5)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"similarity_type": "dot"}, "similarity_type must be one of l2, cosine."),
    ({"temperature": -1}, "temperature must be positive. Received: -1.0"),
    ({"embs2": np.ones([4, 2], int)}, "embs2 must be floating-point."),
    (
      {"embs2": np.ones([4, 3])},
      r"embs1 and embs2 must have the shapes \[..., M, D\] and \[..., N, D\]."
      r" Received: \(3, 2\) and \(4, 3\)",
    ),
    ({"embs1": np.ones([2])}, "embs1 and embs2 must have the shapes"),
  ],
)
def test_a_pair_names_wrong_arguments(change, message):
  arguments = {"similarity_type": "l2", "temperature": 0.1}
  arguments |= {"embs1": np.ones([3, 2]), "embs2": np.ones([4, 2])}
  with pytest.raises(ValueError, match=message):
    tcc.align_pair_of_sequences(**arguments | change)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float32, tf.float64])
def test_a_pair_is_computed_in_float32_at_least(dtype):
  embs = tf.cast(tf.random.stateless_normal([5, 4], [9, 1]), dtype)
  wide = tf.cast(embs, tf.float64 if dtype == tf.float64 else tf.float32)
  for first, second in ((embs, embs), (embs, wide), (wide, embs)):
    logits, labels = tcc.align_pair_of_sequences(first, second, "l2", 0.1)
    assert logits.dtype == labels.dtype == wide.dtype


@every_mode
def test_what_only_the_running_graph_knows_is_checked_then(mode):
  any_batch = tf.TensorSpec([None, None, None])
  specs = [any_batch, tf.TensorSpec([], tf.int32), tf.TensorSpec([])]

  @tf.function(input_signature=specs)
  def loss(embs, batch_size, temperature):
    options = {"temperature": temperature, "cycle_length": 3, **mode}
    return compute_alignment_loss(embs, batch_size, **options)

  embs = tf.ones([3, 5, 3])
  loss(embs, 3, 0.1)
  for arguments, message in (
    ((embs[:2], 2, 0.1), "batch_size must be at least 3, "),
    ((embs, 7, 0.1), "embs .* and batch_size must agree"),
    ((embs, 3, -1.0), "temperature must be positive"),
  ):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
      loss(*arguments)


def test_embeddings_of_another_batch_size_are_named_at_run_time():
  @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float64)])
  def loss(embs):
    return compute_alignment_loss(embs, 5)

  with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[5,\?,\?\]"):
    loss(np.ones([4, 7, 3]))


TYPES = (np.asarray, np.int64, np.float32, tf.constant, list)


@every_mode
@pytest.mark.parametrize("convert", TYPES)
def test_steps_and_lengths_may_be_of_any_type(convert, mode):
  embs = tf.random.stateless_normal([2, 3, 4], [2, 2])
  options = {"loss_type": "regression_mse", **mode}
  losses = []
  for as_type in (tf.constant, convert):
    steps, seq_lens = as_type([[0, 4, 9], [1, 2, 3]]), as_type([10, 5])
    losses.append(compute_alignment_loss(embs, 2, steps, seq_lens, **options))
  np.testing.assert_array_equal(*losses)


def test_without_steps_and_lengths_frames_are_numbered():
  embs = tf.random.stateless_normal([2, 5, 4], [2, 2])
  loss = functools.partial(compute_alignment_loss, loss_type="regression_mse")
  numbered = loss(embs, 2, [range(5)] * 2, [5, 5])
  np.testing.assert_array_equal(loss(embs, 2), numbered)


@every_mode
@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64])
def test_the_loss_is_computed_in_float32_at_least(dtype, mode):
  embs = tf.cast(tf.random.stateless_normal([2, 6, 4], [1, 1]), dtype)
  wide = tf.cast(embs, tf.float64 if dtype == tf.float64 else tf.float32)
  loss, gradient = loss_and_gradient(embs, **mode)
  assert loss.dtype == wide.dtype
  assert gradient.dtype == dtype
  same, _ = loss_and_gradient(wide, **mode)
  np.testing.assert_array_equal(loss, same)
