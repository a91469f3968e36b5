import numpy as np
import pytest
import tensorflow as tf

from networks.precision import compute_policy, resolve_precision
from tests.helpers import tiny


def test_bfloat16_gives_nearly_the_same_float32_embeddings():
  exact, fast = (
    tiny.algorithm(f"PRECISION={precision}")
    for precision in ("float32", "bfloat16")
  )
  fast.set_weights(exact.get_weights())
  assert {w.dtype for w in fast.weights} == {"float32"}
  data = tiny.batch()
  expected, embs = exact(data), fast(data)
  assert embs.dtype == tf.float32
  np.testing.assert_allclose(embs, expected, atol=0.03 * np.abs(expected).max())
  assert not np.array_equal(embs, expected)
  for training in (False, True):
    assert fast.features(data["frames"][0, 0], training).dtype == tf.bfloat16


def test_policy_of_a_precision():
  assert compute_policy("float32") == "float32"
  assert compute_policy("bfloat16") == "mixed_bfloat16"
  auto = resolve_precision("auto")
  assert compute_policy("auto") == compute_policy(auto)


@pytest.mark.parametrize(
  "capabilities", [[(8, 0)], [(9, 0), (7, 5)], [(7, 5)], [None]]
)
def test_auto_is_bfloat16_where_all_gpus_have_it(monkeypatch, capabilities):
  """GPUs are not at hand in tests: what TensorFlow would tell of them."""
  details = lambda gpu: {"compute_capability": gpu} if gpu else {}  # noqa: E731
  patch, found = monkeypatch.setattr, capabilities
  patch(tf.config, "list_physical_devices", lambda kind: found)
  patch(tf.config.experimental, "get_device_details", details)
  expected = "bfloat16" if capabilities == [(8, 0)] else "float32"
  assert resolve_precision("auto") == expected
