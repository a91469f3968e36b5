import numpy as np
import pytest
import tensorflow as tf

from algos.tcn import TcnLoss, npairs_loss
from tests.helpers import tiny
from tests.helpers.paths import GOLDEN_DIR

INPUTS = np.load(GOLDEN_DIR / "alignment_inputs.npz")


@pytest.mark.parametrize("i", range(3))
def test_loss_of_a_sequence_agrees_with_golden_numbers(i):
  embs = INPUTS[f"embs_{i}"]
  embs = embs[:, : embs.shape[1] // 2 * 2]
  golden = INPUTS[f"tcn_loss_{i}"]
  losses = npairs_loss(embs[:, 0::2], embs[:, 1::2], reg_lambda=0.002)
  np.testing.assert_allclose(losses, golden, rtol=1e-5)
  loss = TcnLoss(tiny.config())(embs, {}, seed=None, training=False)
  np.testing.assert_allclose(loss, golden.mean(), rtol=1e-5)


def test_loss_is_the_naive_loop():
  embs = tiny.frames(2, 8, 5).numpy().astype(np.float64)
  losses = []
  for video in embs:
    positives, anchors = video[0::2], video[1::2]
    rows = []
    for t, positive in enumerate(positives):
      scores = np.array([anchor @ positive for anchor in anchors])
      rows.append(np.log(np.exp(scores).sum()) - scores[t])
    lengths = np.mean([a @ a for a in anchors])
    lengths += np.mean([p @ p for p in positives])
    losses.append(np.mean(rows) + 0.25 * 0.3 * lengths)
  compute = TcnLoss(tiny.config("TCN.REG_LAMBDA=0.3"))
  loss = compute(tf.constant(embs, tf.float32), {}, seed=None, training=False)
  np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)


def test_frames_far_apart_with_their_positives_have_no_loss():
  anchors = 100.0 * tf.eye(6)[None]
  np.testing.assert_allclose(npairs_loss(anchors, anchors, 0.0), [0.0])
  loss = npairs_loss(anchors, anchors, 0.002)
  np.testing.assert_allclose(loss, [0.25 * 0.002 * 2e4])
