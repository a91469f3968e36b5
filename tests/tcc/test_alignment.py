import json

import numpy as np
import tensorflow as tf

from tcc import compute_alignment_loss
from tests.helpers.naive_losses import every_loss, every_mode, loss_and_gradient
from tests.helpers.paths import GOLDEN_DIR

INPUTS = np.load(GOLDEN_DIR / "alignment_inputs.npz")
CASES = json.loads((GOLDEN_DIR / "alignment_losses.json").read_text())
RESULTS = ("loss", "grad_norm", "grad_abs_sum")


@every_loss
def test_losses_and_gradients_agree_with_golden_numbers(loss_type):
  cases = [dict(case) for case in CASES if case["loss_type"] == loss_type]
  assert len(cases) == 96
  for case in cases:
    expected, norm, total = (case.pop(name) for name in RESULTS)
    i = case.pop("input")
    if case.pop("steps_given"):
      case |= {x: INPUTS[f"{x}_{i}"] for x in ("steps", "seq_lens")}
    loss, gradient = loss_and_gradient(INPUTS[f"embs_{i}"], **case)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(tf.norm(gradient), norm, rtol=1e-5, atol=1e-7)
    found = tf.reduce_sum(tf.abs(gradient))
    np.testing.assert_allclose(found, total, rtol=1e-5)


@every_mode
def test_a_learned_temperature_has_a_gradient(mode):
  embs = tf.random.stateless_normal([2, 5, 3], [1, 2], dtype=tf.float64)
  temperature = tf.Variable(0.5)
  with tf.GradientTape() as tape:
    loss = compute_alignment_loss(embs, 2, temperature=temperature, **mode)
  assert loss.dtype == tf.float64
  assert abs(float(tape.gradient(loss, temperature))) > 0
