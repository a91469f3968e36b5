import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tcc import (
  align_pair_of_sequences,
  compute_alignment_loss,
  compute_deterministic_alignment_loss,
)
from tcc.losses import LOSS_TYPES
from tcc.similarity import SIMILARITY_TYPES

DATA = pathlib.Path(__file__).parent / "data"
INPUTS = np.load(DATA / "alignment_inputs.npz")
CASES = json.loads((DATA / "alignment_losses.json").read_text())
OPTIONS = (
  "normalize_embeddings",
  "loss_type",
  "similarity_type",
  "temperature",
  "label_smoothing",
  "variance_lambda",
  "huber_delta",
  "normalize_indices",
)


def loss_and_gradient(embs, **options):
  embs = tf.convert_to_tensor(embs)
  with tf.GradientTape() as tape:
    tape.watch(embs)
    loss = compute_alignment_loss(embs, embs.shape[0], **options)
  return loss, tf.convert_to_tensor(tape.gradient(loss, embs)).numpy()


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
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
      **{name: case[name] for name in OPTIONS},
    )
    np.testing.assert_allclose(loss, case["loss"], rtol=1e-5)
    np.testing.assert_allclose(
      tf.norm(gradient), case["grad_norm"], rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(
      tf.reduce_sum(tf.abs(gradient)), case["grad_abs_sum"], rtol=1e-5
    )


@pytest.mark.parametrize("i", range(3))
def test_pair_of_sequences_agrees_with_golden_numbers(i):
  first, second = INPUTS[f"embs_{i}"][:2]
  logits, labels = align_pair_of_sequences(first, second, "l2", 0.1)
  np.testing.assert_allclose(logits, INPUTS[f"pair_logits_{i}"], rtol=1e-5)
  np.testing.assert_array_equal(labels, INPUTS[f"pair_labels_{i}"])


def softmax(x):
  exponentials = np.exp(x - x.max())
  return exponentials / exponentials.sum()


def naive_similarity(a, b, similarity_type, temperature):
  value = a @ b if similarity_type == "cosine" else -np.sum((a - b) ** 2)
  return value / len(a) / temperature


def naive_loss(embs, times, loss_type, similarity_type, temperature):
  """The definition, frame by frame, in float64."""
  losses = []
  num_videos, num_frames, _ = embs.shape
  for p in range(num_videos):
    for q in range(num_videos):
      for i in range(num_frames * (p != q)):
        u, v = embs[p], embs[q]
        similarity = [
          naive_similarity(u[i], x, similarity_type, temperature) for x in v
        ]
        neighbor = softmax(np.array(similarity)) @ v
        logits = np.array(
          [
            naive_similarity(neighbor, x, similarity_type, temperature)
            for x in u
          ]
        )
        beta, t = softmax(logits), times[p]
        mean = beta @ t
        variance = beta @ (t - mean) ** 2
        error = t[i] - mean
        target = 0.9 * np.eye(num_frames)[i] + 0.1 / num_frames
        losses.append(
          {
            "classification": -target @ np.log(beta),
            "regression_mse": error**2,
            "regression_mse_var": error**2 / variance
            + 0.001 * np.log(variance),
            "regression_huber": 0.5 * error**2
            if abs(error) <= 0.1
            else 0.1 * (abs(error) - 0.05),
          }[loss_type]
        )
  return np.mean(losses)


@pytest.mark.parametrize("similarity_type", SIMILARITY_TYPES)
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_deterministic_loss_is_the_naive_loop(loss_type, similarity_type):
  rng = np.random.default_rng(0)
  embs = rng.normal(size=(3, 6, 5))
  steps = np.sort(rng.integers(0, 40, size=(3, 6)), axis=1)
  seq_lens = np.array([40, 50, 60])
  expected = naive_loss(
    embs, steps / seq_lens[:, None], loss_type, similarity_type, 0.1
  )
  loss = compute_alignment_loss(
    embs,
    3,
    steps=steps,
    seq_lens=seq_lens,
    loss_type=loss_type,
    similarity_type=similarity_type,
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-9)


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_order_of_the_batch_does_not_matter(loss_type):
  embs = tf.random.stateless_normal([4, 7, 3], [0, 1])
  loss = compute_alignment_loss(embs, 4, loss_type=loss_type)
  shuffled = tf.gather(embs, [2, 0, 3, 1])
  permuted = compute_alignment_loss(shuffled, 4, loss_type=loss_type)
  np.testing.assert_allclose(loss, permuted, rtol=1e-6)


def test_cycle_consistent_sequences_have_no_regression_error():
  line = tf.range(12.0)[:, None] * [[100.0, -50.0]]
  embs = tf.stack([line, line + 0.1])
  for loss_type in ("regression_mse", "regression_huber"):
    loss = compute_alignment_loss(embs, 2, loss_type=loss_type)
    assert float(loss) == 0.0


@pytest.mark.parametrize("scale", [0.0, 1e4])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_identical_and_far_frames_give_finite_loss_and_gradient(
  loss_type, scale
):
  embs = tf.random.stateless_normal([2, 9, 4], [3, 4]) * scale
  loss, gradient = loss_and_gradient(embs, loss_type=loss_type)
  assert np.isfinite(loss)
  assert np.isfinite(gradient).all()


@pytest.mark.parametrize("cycle_length", [2, 3])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_mean_of_stochastic_losses_is_that_of_all_cycles(
  loss_type, cycle_length
):
  tf.random.set_seed(0)
  embs = tf.random.stateless_normal([cycle_length, 5, 4], [5, 6])
  options = {"loss_type": loss_type, "temperature": 1.0}
  loss = compute_alignment_loss(
    embs,
    cycle_length,
    stochastic_matching=True,
    num_cycles=60000,
    cycle_length=cycle_length,
    **options,
  )
  if cycle_length == 2:
    expected = compute_alignment_loss(embs, 2, **options)
    np.testing.assert_allclose(loss, expected, rtol=0.02)
  assert np.isfinite(loss)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"batch_size": 1}, "batch_size must be at least 2"),
    ({"batch_size": 3}, r"embs must have the shape \[3, None, None\]"),
    ({"embs": np.ones([2, 5, 3], int)}, "embs must be floating-point"),
    ({"steps": np.ones([2, 4])}, r"steps must have the shape \[2, 5\]"),
    ({"seq_lens": np.ones([3])}, r"seq_lens must have the shape \[2\]"),
    ({"loss_type": "mse"}, "loss_type must be one of .* Received: 'mse'"),
    ({"similarity_type": "dot"}, "similarity_type must be one of l2, cosine"),
    ({"temperature": 0.0}, "temperature must be positive. Received: 0.0"),
    (
      {"stochastic_matching": True, "cycle_length": 3},
      "batch_size must be at least 3",
    ),
    (
      {"stochastic_matching": True, "cycle_length": 1},
      "cycle_length must be at least 2",
    ),
  ],
)
def test_wrong_arguments_are_named(change, message):
  arguments = {"embs": np.ones([2, 5, 3], np.float32), "batch_size": 2}
  with pytest.raises(ValueError, match=message):
    compute_alignment_loss(**{**arguments, **change})


def test_graph_with_unknown_shapes_equals_eager():
  embs = tf.random.stateless_normal([3, 8, 4], [7, 8])

  @tf.function(input_signature=[tf.TensorSpec([None, None, 4])])
  def loss(embs):
    return compute_alignment_loss(embs, tf.shape(embs)[0])

  np.testing.assert_allclose(
    loss(embs), compute_alignment_loss(embs, 3), rtol=1e-6
  )


def test_explicit_function_equals_the_wrapper():
  embs = tf.random.stateless_normal([3, 8, 4], [9, 1])
  loss = compute_deterministic_alignment_loss(
    embs=embs,
    steps=tf.tile(tf.range(8)[None], [3, 1]),
    seq_lens=tf.constant([8, 8, 8]),
    num_steps=8,
    batch_size=3,
    loss_type="regression_mse_var",
    similarity_type="cosine",
    temperature=0.5,
    label_smoothing=0.1,
    variance_lambda=0.01,
    huber_delta=0.1,
    normalize_indices=False,
  )
  same = compute_alignment_loss(
    embs,
    3,
    loss_type="regression_mse_var",
    similarity_type="cosine",
    temperature=0.5,
    variance_lambda=0.01,
    normalize_indices=False,
  )
  np.testing.assert_allclose(loss, same, rtol=1e-6)


def test_low_precision_embeddings_are_computed_in_float32():
  embs = tf.cast(tf.random.stateless_normal([2, 6, 4], [1, 1]), tf.bfloat16)
  loss = compute_alignment_loss(embs, 2)
  assert loss.dtype == tf.float32
  same = compute_alignment_loss(tf.cast(embs, tf.float32), 2)
  np.testing.assert_array_equal(loss, same)
