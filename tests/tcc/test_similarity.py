import numpy as np
import pytest

from tcc import align_pair_of_sequences
from tests.helpers.naive_losses import every_loss, every_mode, loss_and_gradient


@every_mode
@pytest.mark.parametrize("offset", [100.0, 1000.0])
@every_loss
def test_embeddings_far_from_the_origin_lose_no_digits(loss_type, offset, mode):
  embs = np.random.default_rng(1).normal(size=(4, 20, 128)) + offset
  embs = embs.astype(np.float32)
  options = {"loss_type": loss_type, **mode}
  loss, gradient = loss_and_gradient(embs, **options)
  expected, exact = loss_and_gradient(embs.astype(np.float64), **options)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  tolerance = 1e-4 * np.abs(exact).max()
  np.testing.assert_allclose(gradient, exact, rtol=0, atol=tolerance)
  logits = [
    align_pair_of_sequences(embs[0].astype(t), embs[1].astype(t), "l2", 0.1)[0]
    for t in (np.float32, np.float64)
  ]
  np.testing.assert_allclose(*logits, rtol=1e-5)
