import functools
import itertools
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tcc import (
  align_pair_of_sequences,
  compute_alignment_loss,
  compute_deterministic_alignment_loss,
  compute_stochastic_alignment_loss,
)
from tcc.settings import LOSS_TYPES, SIMILARITY_TYPES
from tests.helpers.paths import GOLDEN_DIR

INPUTS = np.load(GOLDEN_DIR / "alignment_inputs.npz")
CASES = json.loads((GOLDEN_DIR / "alignment_losses.json").read_text())
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


# Naive references use this one, and the other numbers' defaults.
TEMPERATURE = 0.4
MODES = {
  "deterministic": {},
  "stochastic": {
    "stochastic_matching": True,
    "num_cycles": 64,
    "seed": [3, 4],
  },
}
every_mode = pytest.mark.parametrize("mode", MODES)
every_loss = pytest.mark.parametrize("loss_type", LOSS_TYPES)


def loss_and_gradient(embs, **options):
  embs = tf.convert_to_tensor(embs)
  with tf.GradientTape() as tape:
    tape.watch(embs)
    loss = compute_alignment_loss(embs, embs.shape[0], **options)
  return loss, tf.convert_to_tensor(tape.gradient(loss, embs)).numpy()


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


def naive_cycle_loss(embs, times, cycle, start, loss_type, similarity_type):
  """Loss of the cycle from a frame through some sequences, by definition."""
  own, own_times = embs[cycle[0]], times[cycle[0]]
  embedding = own[start]
  for sequence in embs[list(cycle[1:])]:
    similarity = [
      naive_similarity(embedding, frame, similarity_type, TEMPERATURE)
      for frame in sequence
    ]
    embedding = softmax(np.array(similarity)) @ sequence
  logits = [
    naive_similarity(embedding, frame, similarity_type, TEMPERATURE)
    for frame in own
  ]
  beta = softmax(np.array(logits))
  mean = beta @ own_times
  variance = beta @ (own_times - mean) ** 2
  error = own_times[start] - mean
  target = 0.9 * np.eye(len(own))[start] + 0.1 / len(own)
  return {
    "classification": -target @ np.log(beta),
    "regression_mse": error**2,
    "regression_mse_var": error**2 / variance + 0.001 * np.log(variance),
    "regression_huber": 0.5 * error**2
    if abs(error) <= 0.1
    else 0.1 * (abs(error) - 0.05),
  }[loss_type]


def naive_losses(embs, times, cycle_length, loss_type, similarity_type="l2"):
  """Losses of all cycles through different sequences, from all frames."""
  num_sequences, num_frames, _ = embs.shape
  return np.array(
    [
      naive_cycle_loss(embs, times, cycle, start, loss_type, similarity_type)
      for cycle in itertools.permutations(range(num_sequences), cycle_length)
      for start in range(num_frames)
    ]
  )


@pytest.mark.parametrize("similarity_type", SIMILARITY_TYPES)
@every_loss
def test_deterministic_loss_is_the_naive_loop(loss_type, similarity_type):
  rng = np.random.default_rng(0)
  embs = rng.normal(size=(3, 6, 5))
  steps = np.sort(rng.integers(0, 40, size=(3, 6)), axis=1)
  seq_lens = np.array([40, 50, 60])
  times = steps / seq_lens[:, None]
  expected = naive_losses(embs, times, 2, loss_type, similarity_type).mean()
  loss = compute_alignment_loss(
    embs,
    3,
    steps=steps,
    seq_lens=seq_lens,
    loss_type=loss_type,
    similarity_type=similarity_type,
    temperature=TEMPERATURE,
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-9)


@every_loss
def test_order_of_the_batch_does_not_matter(loss_type):
  embs = tf.random.stateless_normal([4, 7, 3], [0, 1])
  steps = tf.range(28)[::-1] % 9
  steps, seq_lens = tf.reshape(steps, [4, 7]), tf.constant([9, 11, 13, 15])
  order = [2, 0, 3, 1]
  loss = compute_alignment_loss(embs, 4, steps, seq_lens, loss_type=loss_type)
  permuted = compute_alignment_loss(
    *(tf.gather(embs, order), 4, tf.gather(steps, order)),
    seq_lens=tf.gather(seq_lens, order),
    loss_type=loss_type,
  )
  np.testing.assert_allclose(loss, permuted, rtol=1e-6)


@every_mode
def test_cycle_consistent_sequences_have_no_regression_error(mode):
  line = tf.range(12.0)[:, None] * [[100.0, -50.0]]
  embs = tf.stack([line, line + 0.1])
  for loss_type in ("regression_mse", "regression_huber"):
    loss = compute_alignment_loss(embs, 2, loss_type=loss_type, **MODES[mode])
    assert float(loss) == 0.0


def test_two_copies_of_a_sequence_are_as_cycle_consistent_as_can_be():
  # Frames are so distinct that each finds its copy, and the copy the frame it
  # came from, with certainty: no error, and the least variance, 1e-8 of the
  # squared range of times, which end at 3 of 4. What is left
  # is what smoothing asks for: that the other 3 of 4 frames, at the squared
  # distance of 30 ** 2 / (D * temperature) = 3000, were returned to as well.
  embs = tf.stack([30.0 * tf.eye(4)] * 2) / np.sqrt(2.0)
  losses = {
    loss_type: float(
      compute_alignment_loss(
        embs, 2, loss_type=loss_type, temperature=0.075, label_smoothing=0.1
      )
    )
    for loss_type in LOSS_TYPES
  }
  assert losses == pytest.approx(
    {
      "classification": 0.1 * 3000 * 3 / 4,
      "regression_mse": 0.0,
      "regression_mse_var": 0.001 * math.log(1e-8 * 0.75**2),
      "regression_huber": 0.0,
    }
  )


@every_mode
@every_loss
def test_frames_that_look_the_same_leave_it_to_chance(loss_type, mode):
  # Every frame returns to all frames alike: at times of 0, 1/2 they have the
  # mean 1/4, the error 1/4 and the variance 1/16.
  loss, gradient = loss_and_gradient(
    tf.ones([3, 2, 5]), loss_type=loss_type, **MODES[mode]
  )
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
  loss, gradient = loss_and_gradient(embs, loss_type=loss_type, **MODES[mode])
  assert np.isfinite(loss)
  assert np.isfinite(gradient).all()


@every_mode
@every_loss
def test_one_nan_makes_the_loss_nan(loss_type, mode):
  embs = np.random.default_rng(0).normal(size=[2, 6, 3])
  embs[1, 4, 2] = np.nan
  loss = compute_alignment_loss(embs, 2, loss_type=loss_type, **MODES[mode])
  assert np.isnan(loss)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"embs": np.ones([1, 5, 3]), "batch_size": 1},
      "batch_size must be at least 2, .* Received: 1",
    ),
    (
      {"embs": np.ones([1, 5, 3]), "batch_size": tf.constant(1)},
      "batch_size must be at least 2, .* Received: 1",
    ),
    (
      {"batch_size": 3},
      r"embs \[batch_size, T, D\] must have the shape \(3, None, None\)."
      r" Received: \(2, 5, 3\)",
    ),
    (
      {"embs": np.ones([2, 5])},
      r"embs \[batch_size, T, D\] must .* Received: \(2, 5\)",
    ),
    ({"embs": np.ones([2, 4, 5, 3])}, r"embs .* Received: \(2, 4, 5, 3\)"),
    ({"embs": 1.0}, r"embs .* Received: \(\)"),
    (
      {"embs": np.ones([2, 5, 3], np.int32)},
      "embs must be floating-point. Received: dtype int32",
    ),
    (
      {"steps": np.ones([2, 4])},
      r"steps \[batch_size, T\] must have the shape \(2, 5\). Received:"
      r" \(2, 4\)",
    ),
    (
      {"seq_lens": np.ones([3])},
      r"seq_lens \[batch_size\] must have the shape \(2,\). Received: \(3,\)",
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
    (
      {"stochastic_matching": True, "cycle_length": 3},
      "batch_size must be at least 3, .* 3 different sequences. Received: 2",
    ),
    (
      {"cycle_length": 3},
      "batch_size must be at least 3, .* 3 different sequences. Received: 2",
    ),
    ({"cycle_length": 1}, "cycle_length must be at least 2. Received: 1"),
    ({"cycle_length": 2.0}, "cycle_length must be a whole number"),
    ({"batch_size": 2.0}, "batch_size must be a whole number. Received: 2.0"),
    ({"batch_size": None}, "batch_size must be a whole number"),
    (
      {"stochastic_matching": True, "num_cycles": 2.5},
      "num_cycles must be a whole number. Received: 2.5",
    ),
    (
      {"stochastic_matching": True, "cycle_length": 1},
      "cycle_length must be at least 2. Received: 1",
    ),
    (
      {"stochastic_matching": True, "num_cycles": 0},
      "num_cycles must be at least 1. Received: 0",
    ),
    (
      {"stochastic_matching": True, "seed": 1},
      r"seed must have the shape \(2,\). Received: \(\)",
    ),
  ],
)
def test_wrong_arguments_are_named(change, message):
  arguments = {"embs": np.ones([2, 5, 3], np.float32), "batch_size": 2}
  with pytest.raises(ValueError, match=message):
    compute_alignment_loss(**{**arguments, **change})


EXPLICIT = {
  "deterministic": compute_deterministic_alignment_loss,
  "stochastic": functools.partial(
    compute_stochastic_alignment_loss,
    num_cycles=64,
    cycle_length=2,
    seed=[3, 4],
  ),
}


def explicit_loss(mode, embs, **changes):
  """The loss by the function of a mode, which has no defaults."""
  arguments = {
    "steps": tf.tile(tf.range(8)[None], [3, 1]),
    "seq_lens": tf.constant([8, 8, 8]),
    "num_steps": 8,
    "batch_size": 3,
    "loss_type": "regression_mse_var",
    "similarity_type": "cosine",
    "temperature": 0.5,
    "label_smoothing": 0.1,
    "variance_lambda": 0.01,
    "huber_delta": 0.1,
    "normalize_indices": False,
  }
  return EXPLICIT[mode](embs=embs, **{**arguments, **changes})


@every_mode
def test_explicit_function_equals_the_wrapper(mode):
  embs = tf.random.stateless_normal([3, 8, 4], [9, 1])
  loss = explicit_loss(mode, embs)
  same = compute_alignment_loss(
    embs,
    3,
    loss_type="regression_mse_var",
    similarity_type="cosine",
    temperature=0.5,
    variance_lambda=0.01,
    normalize_indices=False,
    **MODES[mode],
  )
  np.testing.assert_allclose(loss, same, rtol=1e-6)


@every_mode
@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"loss_type": "mse"}, "loss_type must be one of .* Received: 'mse'"),
    ({"similarity_type": "dot"}, "similarity_type must be one of l2, cosine."),
    ({"temperature": 0.0}, "temperature must be positive. Received: 0.0"),
    ({"batch_size": 4}, r"embs \[batch_size, T, D\] must have the shape"),
    ({"num_steps": 7}, "num_steps must be 8, as embs says. Received: 7"),
    ({"steps": np.ones([3, 7])}, r"steps \[batch_size, T\] must"),
    ({"embs": np.ones([3, 8, 4], np.int32)}, "embs must be floating-point."),
  ],
)
def test_explicit_functions_name_wrong_arguments(mode, change, message):
  with pytest.raises(ValueError, match=message):
    explicit_loss(mode, **{"embs": np.ones([3, 8, 4]), **change})


def test_explicit_stochastic_function_needs_sequences_for_its_cycles():
  with pytest.raises(ValueError, match="batch_size must be at least 5, "):
    explicit_loss("stochastic", np.ones([3, 8, 4]), cycle_length=5)


@every_mode
def test_explicit_functions_compute_in_float32_at_least(mode):
  embs = tf.cast(tf.random.stateless_normal([3, 8, 4], [9, 1]), tf.bfloat16)
  loss = explicit_loss(mode, embs)
  assert loss.dtype == tf.float32
  same = explicit_loss(mode, tf.cast(embs, tf.float32).numpy())
  np.testing.assert_array_equal(loss, same)


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
    align_pair_of_sequences(**{**arguments, **change})


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float32, tf.float64])
def test_a_pair_is_computed_in_float32_at_least(dtype):
  embs = tf.cast(tf.random.stateless_normal([5, 4], [9, 1]), dtype)
  wide = tf.cast(embs, tf.float64 if dtype == tf.float64 else tf.float32)
  for first, second in ((embs, embs), (embs, wide), (wide, embs)):
    logits, labels = align_pair_of_sequences(first, second, "l2", 0.1)
    assert logits.dtype == labels.dtype == wide.dtype


@every_mode
@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"embs": tf.ones([1, 5, 3])}, "batch_size must be at least 2, "),
    ({"cycle_length": 3}, "batch_size must be at least 3, "),
    ({"batch_size": tf.constant(7)}, "embs .* and batch_size must agree"),
    ({"temperature": tf.constant(-1.0)}, "temperature must be positive"),
  ],
)
def test_what_only_the_running_graph_knows_is_checked_then(
  change, message, mode
):
  @tf.function(
    input_signature=[
      tf.TensorSpec([None, None, None]),
      tf.TensorSpec([], tf.int32),
      tf.TensorSpec([]),
    ]
  )
  def loss(embs, batch_size, temperature):
    return compute_alignment_loss(
      embs,
      batch_size,
      temperature=temperature,
      cycle_length=change.get("cycle_length", 2),
      **MODES[mode],
    )

  embs = change.get("embs", tf.ones([2, 5, 3]))
  batch_size = change.get("batch_size", tf.shape(embs)[0])
  with pytest.raises(tf.errors.InvalidArgumentError, match=message):
    loss(embs, batch_size, change.get("temperature", tf.constant(0.1)))
  loss(tf.ones([3, 5, 3]), 3, 0.1)


@every_mode
def test_a_learned_temperature_has_a_gradient(mode):
  embs = tf.random.stateless_normal([2, 5, 3], [1, 2], dtype=tf.float64)
  temperature = tf.Variable(0.5)
  with tf.GradientTape() as tape:
    loss = compute_alignment_loss(
      embs, 2, temperature=temperature, **MODES[mode]
    )
  assert loss.dtype == tf.float64
  assert abs(float(tape.gradient(loss, temperature))) > 0


@every_mode
@pytest.mark.parametrize("offset", [100.0, 1000.0])
@every_loss
def test_embeddings_far_from_the_origin_lose_no_digits(loss_type, offset, mode):
  embs = np.random.default_rng(1).normal(size=(4, 20, 128)) + offset
  embs = embs.astype(np.float32)
  options = {"loss_type": loss_type, **MODES[mode]}
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.5, 1e-4])
@pytest.mark.parametrize("length", [1_000, 1_000_000])
def test_in_a_longer_sequence_only_log_variance_changes(
  length, temperature, dtype
):
  """All times shrink alike; those of certain cycles (low temperature), too."""
  embs = np.random.default_rng(0).normal(size=(2, 20, 8)).astype(dtype)
  early = np.tile(np.arange(20), [2, 1])
  losses = [
    float(
      compute_alignment_loss(
        embs,
        2,
        steps,
        [seq_len, seq_len],
        loss_type="regression_mse_var",
        temperature=temperature,
      )
    )
    for steps, seq_len in (
      (early, 20),
      (early, length),
      (early + length - 20, length),
    )
  ]
  expected = losses[0] + 0.001 * 2 * math.log(20 / length)
  np.testing.assert_allclose(losses[1:], [expected] * 2, rtol=1e-5)


@every_mode
def test_frames_of_one_time_give_finite_loss_and_gradient(mode):
  """A video of one frame is sampled so."""
  loss, gradient = loss_and_gradient(
    tf.random.stateless_normal([2, 5, 3], [1, 2]),
    steps=np.full([2, 5], 9),
    seq_lens=[10, 13],
    loss_type="regression_mse_var",
    **MODES[mode],
  )
  np.testing.assert_allclose(loss, 0.001 * math.log(1e-30), rtol=1e-5)
  np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_graph_is_of_one_size_whatever_the_batch():
  """A loop over pairs would grow with the batch."""

  @tf.function
  def step(embs):
    with tf.GradientTape() as tape:
      tape.watch(embs)
      loss = compute_alignment_loss(
        embs, embs.shape[0], loss_type="regression_mse_var"
      )
    return tape.gradient(loss, embs)

  def num_operations(batch_size):
    embs = tf.TensorSpec([batch_size, 64, 128])
    operations = step.get_concrete_function(embs).graph.get_operations()
    # TensorFlow writes small constants out and fills large ones.
    return sum(op.type not in ("Const", "Fill") for op in operations)

  assert num_operations(4) == num_operations(32) < 1000


@every_mode
@pytest.mark.parametrize(
  "convert", [np.asarray, np.int64, np.float32, tf.constant, list]
)
def test_steps_and_lengths_may_be_of_any_type(convert, mode):
  embs = tf.random.stateless_normal([2, 3, 4], [2, 2])
  steps, seq_lens = [[0, 4, 9], [1, 2, 3]], [10, 5]
  options = {"loss_type": "regression_mse", **MODES[mode]}
  loss = compute_alignment_loss(
    embs, 2, tf.constant(steps), tf.constant(seq_lens), **options
  )
  same = compute_alignment_loss(
    embs, 2, convert(steps), convert(seq_lens), **options
  )
  np.testing.assert_array_equal(loss, same)


def test_without_steps_and_lengths_frames_are_numbered():
  embs = tf.random.stateless_normal([2, 5, 4], [2, 2])
  loss = compute_alignment_loss(embs, 2, loss_type="regression_mse")
  same = compute_alignment_loss(
    embs, 2, [range(5)] * 2, [5, 5], loss_type="regression_mse"
  )
  np.testing.assert_array_equal(loss, same)


@every_mode
def test_float64_stays_float64(mode):
  embs = tf.random.stateless_normal([2, 6, 4], [1, 1], dtype=tf.float64)
  loss, gradient = loss_and_gradient(embs, **MODES[mode])
  assert loss.dtype == tf.float64
  assert gradient.dtype == np.float64


@every_mode
@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_low_precision_embeddings_are_computed_in_float32(dtype, mode):
  embs = tf.cast(tf.random.stateless_normal([2, 6, 4], [1, 1]), dtype)
  loss = compute_alignment_loss(embs, 2, **MODES[mode])
  assert loss.dtype == tf.float32
  same = compute_alignment_loss(tf.cast(embs, tf.float32), 2, **MODES[mode])
  np.testing.assert_array_equal(loss, same)
