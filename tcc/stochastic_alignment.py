"""Cycle-consistency over random cycles through sequences of a batch."""

import functools

import tensorflow as tf

from tcc import arguments
from tcc.losses import cycle_loss
from tcc.settings import LossSettings
from tcc.similarity import find_center, similarities, soft_nearest_neighbors


def compute_stochastic_alignment_loss(
  embs: tf.Tensor,
  steps: tf.Tensor,
  seq_lens: tf.Tensor,
  num_steps: int | tf.Tensor,
  batch_size: int | tf.Tensor,
  loss_type: str,
  similarity_type: str,
  num_cycles: int | tf.Tensor,
  cycle_length: int | tf.Tensor,
  temperature: float,
  label_smoothing: float,
  variance_lambda: float,
  huber_delta: float,
  normalize_indices: bool,
  seed: tf.Tensor | None = None,
) -> tf.Tensor:
  """Mean loss of random cycles; with cycles of two, unbiased for all pairs.

  Each cycle draws `cycle_length` different sequences, starts at a random frame
  of the first, hops from one to the next by soft nearest neighbors, and
  returns to the first.

  Args:
    embs: [N, T, D] embeddings.
    steps: [N, T] index of each frame in its sequence.
    seq_lens: [N] lengths of the sequences.
    num_steps: T.
    batch_size: N, at least `cycle_length`.
    loss_type: One of `tcc.settings.LOSS_TYPES`.
    similarity_type: `l2` or `cosine`.
    num_cycles: Number of cycles drawn, at least 1.
    cycle_length: Different sequences in a cycle, at least 2.
    temperature: Of all softmaxes; positive.
    label_smoothing: For the classification loss, 0 to 1.
    variance_lambda: Weight of the logarithm in `regression_mse_var`.
    huber_delta: Where `regression_huber` turns linear.
    normalize_indices: Whether times are divided by the sequences' lengths.
    seed: [2] integers that determine the cycles; None draws others each time.

  Returns:
    Scalar: the mean over the cycles.

  Raises:
    ValueError: An argument has the wrong shape, type or range.
  """
  numbers = temperature, label_smoothing, variance_lambda, huber_delta
  kinds = loss_type, similarity_type
  settings = LossSettings(*kinds, *numbers, normalize_indices)
  cycle_length = arguments.check_whole_number("cycle_length", cycle_length)
  embs, times, settings = arguments.check_loss_arguments(
    embs, steps, seq_lens, num_steps, batch_size, cycle_length, settings
  )
  return mean_over_cycles(embs, times, num_cycles, cycle_length, seed, settings)


def mean_over_cycles(
  embs: tf.Tensor,
  times: tf.Tensor,
  num_cycles: int | tf.Tensor,
  cycle_length: int | tf.Tensor,
  seed: tf.Tensor | None,
  settings: LossSettings,
) -> tf.Tensor:
  """Mean loss of random cycles.

  Args:
    embs: [N, T, D] embeddings, checked.
    times: [N, T] time of each frame, as `frame_times` returns it.
    num_cycles: Number of cycles drawn, at least 1.
    cycle_length: Different sequences in a cycle, checked.
    seed: [2] integers that determine the cycles; None draws others each time.
    settings: The settings, checked.

  Returns:
    Scalar loss.

  Raises:
    ValueError: `num_cycles` or `seed` has the wrong shape, type or range.
  """
  num_cycles = arguments.check_whole_number("num_cycles", num_cycles)
  batch_size = embs.shape[0] or tf.shape(embs)[0]
  num_steps = embs.shape[1] or tf.shape(embs)[1]
  if seed is None:
    seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
  seed = arguments.check_shape("seed", seed, [2])
  # One type and one generator, so that a seed means the same cycles whatever
  # its type and on every device. XLA may draw others.
  draw = functools.partial(tf.random.stateless_uniform, alg="philox")
  seeds = tf.random.split(tf.cast(seed, tf.int64), num=2, alg="philox")
  # The order of random numbers is a uniform permutation of the sequences.
  order = tf.argsort(draw([num_cycles, batch_size], seeds[0]), axis=1)
  cycles = order[:, :cycle_length]
  start = draw([num_cycles], seeds[1], 0, num_steps, tf.int32)
  embs -= find_center(embs, settings)
  first = tf.gather(embs, cycles[:, 0])
  queries = tf.gather(first, start[:, None], batch_dims=1)
  for hop in range(1, cycle_length):
    candidates = tf.gather(embs, cycles[:, hop])
    queries = soft_nearest_neighbors(queries, candidates, settings)
  logits = similarities(queries, first, settings)[:, 0]
  times = tf.gather(times, cycles[:, 0])
  start_times = tf.gather(times, start, batch_dims=1)
  return tf.reduce_mean(cycle_loss(logits, start, start_times, times, settings))
