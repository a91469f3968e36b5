import numpy as np
import pytest
import tensorflow as tf

from tcc import align_pair_of_sequences, compute_alignment_loss
from tcc.settings import SIMILARITY_TYPES
from tests.helpers import naive_losses
from tests.helpers.naive_losses import every_loss, loss_and_gradient
from tests.helpers.paths import GOLDEN_DIR


@pytest.mark.parametrize("i", range(3))
def test_pair_of_sequences_agrees_with_golden_numbers(i):
  golden = np.load(GOLDEN_DIR / "alignment_inputs.npz")
  first, second = golden[f"embs_{i}"][:2]
  logits, labels = align_pair_of_sequences(first, second, "l2", 0.1)
  np.testing.assert_allclose(logits, golden[f"pair_logits_{i}"], rtol=1e-5)
  np.testing.assert_array_equal(labels, golden[f"pair_labels_{i}"])


@pytest.mark.parametrize("similarity_type", SIMILARITY_TYPES)
@every_loss
def test_deterministic_loss_is_the_naive_loop(loss_type, similarity_type):
  rng = np.random.default_rng(0)
  embs = rng.normal(size=(3, 6, 5))
  steps = np.sort(rng.integers(0, 40, size=(3, 6)), axis=1)
  seq_lens = np.array([40, 50, 60])
  times = steps / seq_lens[:, None]
  types = (loss_type, similarity_type)
  expected = naive_losses.naive_losses(embs, times, 2, *types).mean()
  options = {"loss_type": loss_type, "similarity_type": similarity_type}
  options["temperature"] = naive_losses.TEMPERATURE
  loss = compute_alignment_loss(embs, 3, steps, seq_lens, **options)
  np.testing.assert_allclose(loss, expected, rtol=1e-9)


def test_graph_is_of_one_size_whatever_the_batch():
  """A loop over pairs would grow with the batch."""
  trace = tf.function(loss_and_gradient).get_concrete_function

  def num_operations(batch_size):
    embs = tf.TensorSpec([batch_size, 64, 128])
    graph = trace(embs, loss_type="regression_mse_var").graph
    # TensorFlow writes small constants out and fills large ones.
    types = [operation.type for operation in graph.get_operations()]
    return sum(name not in ("Const", "Fill") for name in types)

  assert num_operations(4) == num_operations(32) < 1000
