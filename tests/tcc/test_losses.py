import math

import numpy as np
import pytest
import tensorflow as tf

from tcc import compute_alignment_loss
from tests.helpers.naive_losses import every_loss, every_mode, loss_and_gradient


@pytest.mark.parametrize(
  ("loss_type", "expected"),
  [
    ("classification", 0.1 * 3000 * 3 / 4),
    ("regression_mse", 0.0),
    ("regression_mse_var", 0.001 * math.log(1e-8 * 0.75**2)),
    ("regression_huber", 0.0),
  ],
)
def test_two_copies_of_a_sequence_are_as_cycle_consistent_as_can_be(
  loss_type, expected
):
  # Frames are so distinct that each finds its copy, and the copy the frame it
  # came from, with certainty: no error, and the least variance, 1e-8 of the
  # squared range of times, which end at 3 of 4. What is left is what smoothing
  # asks for: that the other 3 of 4 frames, at the squared distance of
  # 30 ** 2 / (D * temperature) = 3000, were returned to as well.
  embs = tf.stack([30.0 * tf.eye(4)] * 2) / np.sqrt(2.0)
  options = {"temperature": 0.075, "label_smoothing": 0.1}
  loss = compute_alignment_loss(embs, 2, loss_type=loss_type, **options)
  assert float(loss) == pytest.approx(expected)


@every_mode
@every_loss
def test_frames_that_look_the_same_leave_it_to_chance(loss_type, mode):
  # Every frame returns to all frames alike: at times of 0, 1/2 they have the
  # mean 1/4, the error 1/4 and the variance 1/16.
  options = {"loss_type": loss_type, **mode}
  loss, gradient = loss_and_gradient(tf.ones([3, 2, 5]), **options)
  expected = {
    "classification": math.log(2),
    "regression_mse": 1 / 16,
    "regression_mse_var": 1 + 0.001 * math.log(1 / 16),
    "regression_huber": 0.1 * (1 / 4 - 0.1 / 2),
  }
  np.testing.assert_allclose(loss, expected[loss_type], rtol=1e-6)
  assert np.isfinite(gradient).all()


@every_mode
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e4])
@every_loss
def test_identical_and_far_frames_give_finite_loss_and_gradient(
  loss_type, scale, mode
):
  embs = tf.random.stateless_normal([2, 9, 4], [3, 4]) * scale
  loss, gradient = loss_and_gradient(embs, loss_type=loss_type, **mode)
  assert np.isfinite(loss)
  assert np.isfinite(gradient).all()


@every_mode
@every_loss
def test_one_nan_makes_the_loss_nan(loss_type, mode):
  embs = np.random.default_rng(0).normal(size=[2, 6, 3])
  embs[1, 4, 2] = np.nan
  assert np.isnan(compute_alignment_loss(embs, 2, loss_type=loss_type, **mode))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.5, 1e-4])
@pytest.mark.parametrize("length", [1_000, 1_000_000])
def test_in_a_longer_sequence_only_log_variance_changes(
  length, temperature, dtype
):
  """All times shrink alike; those of certain cycles (low temperature), too."""
  embs = np.random.default_rng(0).normal(size=(2, 20, 8)).astype(dtype)
  early = np.tile(np.arange(20), [2, 1])
  options = {"loss_type": "regression_mse_var", "temperature": temperature}
  inputs = ((early, 20), (early, length), (early + length - 20, length))
  losses = [
    float(compute_alignment_loss(embs, 2, steps, [end, end], **options))
    for steps, end in inputs
  ]
  expected = losses[0] + 0.001 * 2 * math.log(20 / length)
  np.testing.assert_allclose(losses[1:], [expected] * 2, rtol=1e-5)


@every_mode
def test_frames_of_one_time_give_finite_loss_and_gradient(mode):
  """A video of one frame is sampled so."""
  embs = tf.random.stateless_normal([2, 5, 3], [1, 2])
  options = {"loss_type": "regression_mse_var", **mode}
  options |= {"steps": np.full([2, 5], 9), "seq_lens": [10, 13]}
  loss, gradient = loss_and_gradient(embs, **options)
  np.testing.assert_allclose(loss, 0.001 * math.log(1e-30), rtol=1e-5)
  np.testing.assert_array_equal(gradient, np.zeros_like(gradient))
