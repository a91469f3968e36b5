import json

import numpy as np
import tensorflow as tf

from tcc import compute_alignment_loss
from tests.helpers.naive_losses import every_loss, every_mode, loss_and_gradient
from tests.helpers.paths import GOLDEN_DIR

INPUTS = np.load(GOLDEN_DIR / "alignment_inputs.npz")
CASES = json.loads((GOLDEN_DIR / "alignment_losses.json").read_text())
OTHERS = {"input", "steps_given", "loss", "grad_norm", "grad_abs_sum"}


@every_loss
def test_losses_and_gradients_agree_with_golden_numbers(loss_type):
  cases = [case for case in CASES if case["loss_type"] == loss_type]
  assert len(cases) == 96
  for case in cases:
    i = case["input"]
    given = case["steps_given"]
    loss, gradient = loss_and_gradient(
      INPUTS[f"embs_{i}"],
      steps=INPUTS[f"steps_{i}"] if given else None,
      seq_lens=INPUTS[f"seq_lens_{i}"] if given else None,
      **{name: case[name] for name in case.keys() - OTHERS},
    )
    np.testing.assert_allclose(loss, case["loss"], rtol=1e-5)
    np.testing.assert_allclose(
      tf.norm(gradient), case["grad_norm"], rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(
      tf.reduce_sum(tf.abs(gradient)), case["grad_abs_sum"], rtol=1e-5
    )


@every_mode
def test_a_learned_temperature_has_a_gradient(mode):
  embs = tf.random.stateless_normal([2, 5, 3], [1, 2], dtype=tf.float64)
  temperature = tf.Variable(0.5)
  with tf.GradientTape() as tape:
    loss = compute_alignment_loss(embs, 2, temperature=temperature, **mode)
  assert loss.dtype == tf.float64
  assert abs(float(tape.gradient(loss, temperature))) > 0
