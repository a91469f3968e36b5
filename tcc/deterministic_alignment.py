"""Cycle-consistency over all pairs of sequences of a batch."""

import dataclasses

import tensorflow as tf

from tcc.arguments import check_loss_arguments, check_pair, check_settings
from tcc.blocks import sum_over_blocks
from tcc.losses import cycle_loss
from tcc.settings import NUMBERS, LossSettings
from tcc.similarity import find_center, similarities, soft_nearest_neighbors

# Bounds the memory of a batch: as many numbers are in the similarities and soft
# nearest neighbors of the frames whose cycles are computed at once. That is
# 64 MiB in float32; forward and backward pass hold about ten times as much.
MAX_PAIRWISE_ELEMENTS = 2**24


def align_pair_of_sequences(
  embs1: tf.Tensor, embs2: tf.Tensor, similarity_type: str, temperature: float
) -> tuple[tf.Tensor, tf.Tensor]:
  """Cycle every frame of one sequence through another and back.

  Args:
    embs1: [..., M, D] embeddings of the sequence where the cycles start.
    embs2: [..., N, D] embeddings of the sequence they pass through.
    similarity_type: `l2` or `cosine`.
    temperature: Of both softmaxes; positive.

  Returns:
    [..., M, M] logits: row i has the similarities of what frame i came back as
    to all frames of `embs1`; and [..., M, M] one-hot labels, the identity.

  Raises:
    ValueError: An argument has the wrong shape, type or range.
  """
  embs1, embs2 = check_pair(embs1, embs2)
  settings = LossSettings("classification", similarity_type, temperature)
  settings = check_settings(settings, embs1.dtype)
  center = find_center(embs1, settings)
  embs1, embs2 = embs1 - center, embs2 - center
  logits = _cycle_back(embs1, embs2, embs1, settings)
  shape = tf.shape(logits)
  labels = tf.eye(shape[-1], batch_shape=shape[:-2], dtype=logits.dtype)
  return logits, labels


def compute_deterministic_alignment_loss(
  embs: tf.Tensor,
  steps: tf.Tensor,
  seq_lens: tf.Tensor,
  num_steps: int | tf.Tensor,
  batch_size: int | tf.Tensor,
  loss_type: str,
  similarity_type: str,
  temperature: float,
  label_smoothing: float,
  variance_lambda: float,
  huber_delta: float,
  normalize_indices: bool,
) -> tf.Tensor:
  """Mean cycle-consistency loss over all ordered pairs of the batch.

  All pairs are computed at once if `MAX_PAIRWISE_ELEMENTS` allows, as known
  from the static shape of `embs`. Otherwise they are computed in blocks that
  keep the bound, and computed again in the backward pass.

  Args:
    embs: [N, T, D] embeddings.
    steps: [N, T] index of each frame in its sequence.
    seq_lens: [N] lengths of the sequences.
    num_steps: T.
    batch_size: N, at least 2.
    loss_type: One of `tcc.settings.LOSS_TYPES`.
    similarity_type: `l2` or `cosine`.
    temperature: Of both softmaxes; positive.
    label_smoothing: For the classification loss, 0 to 1.
    variance_lambda: Weight of the logarithm in `regression_mse_var`.
    huber_delta: Where `regression_huber` turns linear.
    normalize_indices: Whether times are divided by the sequences' lengths.

  Returns:
    Scalar: the mean over the N(N-1) ordered pairs and their T frames.

  Raises:
    ValueError: An argument has the wrong shape, type or range.
  """
  numbers = temperature, label_smoothing, variance_lambda, huber_delta
  kinds = loss_type, similarity_type
  settings = LossSettings(*kinds, *numbers, normalize_indices)
  embs, times, settings = check_loss_arguments(
    embs, steps, seq_lens, num_steps, batch_size, 2, settings
  )
  return mean_over_pairs(embs, times, settings)


def mean_over_pairs(
  embs: tf.Tensor, times: tf.Tensor, settings: LossSettings
) -> tf.Tensor:
  """Compute the mean loss over all ordered pairs of sequences.

  Args:
    embs: [N, T, D] embeddings, checked.
    times: [N, T] time of each frame, as `frame_times` returns it.
    settings: The settings, checked.

  Returns:
    Scalar loss.
  """
  embs -= find_center(embs, settings)
  batch_size, num_steps, dimension = sizes = _sizes(embs)
  num_elements = batch_size**2 * num_steps * (num_steps + dimension)
  if not tf.is_tensor(num_elements) and num_elements <= MAX_PAIRWISE_ELEMENTS:
    logits = _all_cycles(embs, settings)
    sequences, frames = tf.range(batch_size), tf.range(num_steps)
    return tf.reduce_mean(_losses(logits, times, sequences, frames, settings))

  def sum_of_block(
    number: tf.Tensor, embs: tf.Tensor, *numbers: tf.Tensor
  ) -> tf.Tensor:
    watched = dict(zip(NUMBERS, numbers, strict=True))
    own_settings = dataclasses.replace(settings, **watched)
    sequences, frames, exists = _block(number, _sizes(embs))
    own = tf.gather(embs, sequences)[:, None]
    queries, others = tf.gather(own, frames, axis=2), _others(embs, sequences)
    logits = _cycle_back(queries, others, own, own_settings)
    losses = _losses(logits, times, sequences, frames, own_settings)
    return tf.reduce_sum(losses * tf.cast(exists, losses.dtype))

  # All that a gradient may flow into.
  inputs = [embs, *(getattr(settings, name) for name in NUMBERS)]
  num_sequences, num_frames = _block_shape(sizes)
  num_blocks = -(-batch_size // num_sequences) * -(-num_steps // num_frames)
  total = sum_over_blocks(sum_of_block, num_blocks, inputs)
  num_cycles = batch_size * (batch_size - 1) * num_steps
  return total / tf.cast(num_cycles, total.dtype)


def _losses(
  logits: tf.Tensor,
  times: tf.Tensor,
  sequences: tf.Tensor,
  frames: tf.Tensor,
  settings: LossSettings,
) -> tf.Tensor:
  """[B, N-1, M] losses of the logits of M frames of B sequences."""
  own_times = tf.gather(times, sequences)[:, None]
  start = tf.gather(own_times, frames, axis=-1)
  return cycle_loss(logits, frames, start, own_times[:, :, None], settings)


def _cycle_back(
  queries: tf.Tensor, others: tf.Tensor, own: tf.Tensor, settings: LossSettings
) -> tf.Tensor:
  """[..., M, T] similarities of the queries' neighbors to their sequence."""
  neighbors = soft_nearest_neighbors(queries, others, settings)
  return similarities(neighbors, own, settings)


def _others(embs: tf.Tensor, sequences: tf.Tensor) -> tf.Tensor:
  """[B, N-1, T, D] embeddings of all sequences but each of the B given."""
  batch_size = _sizes(embs)[0]
  others = (sequences[:, None] + tf.range(1, batch_size)) % batch_size
  return tf.gather(embs, others)


def _all_cycles(embs: tf.Tensor, settings: LossSettings) -> tf.Tensor:
  """[N, N-1, T, T] logits of all frames of [N, T, D] through all others."""
  batch_size, num_steps, dimension = embs.shape
  if num_steps > 2 * dimension:
    own, others = embs[:, None], _others(embs, tf.range(batch_size))
    return _cycle_back(own, others, own, settings)
  scores = _scores_of_pairs(embs, settings)
  # A similarity is affine in the query, up to what a softmax over candidates
  # ignores. So a mean of frames is as similar as these frames in the mean, and
  # their similarities are known: less to compute, unless sequences are long.
  return tf.matmul(tf.nn.softmax(scores), scores, transpose_b=True)


def _scores_of_pairs(embs: tf.Tensor, settings: LossSettings) -> tf.Tensor:
  """[N, N-1, T, T] similarities of [N, T, D] sequences to all others."""
  batch_size, num_steps, dimension = embs.shape
  # One large product is faster than many small ones, although a sequence's
  # similarities to itself, every (N+1)th matrix, are of no use.
  frames = tf.reshape(embs, [batch_size * num_steps, dimension])
  scores = similarities(frames, frames, settings)
  scores = tf.reshape(scores, [batch_size, num_steps, batch_size, num_steps])
  scores = tf.transpose(scores, [0, 2, 1, 3])
  scores = tf.reshape(scores, [batch_size**2, num_steps, num_steps])
  pairs = tf.range(batch_size * (batch_size - 1))
  scores = tf.gather(scores, pairs + pairs // batch_size + 1)
  return tf.reshape(scores, [batch_size, batch_size - 1, num_steps, num_steps])


def _sizes(embs: tf.Tensor) -> list[int] | list[tf.Tensor]:
  """N, T and D: integers if all are known, else int64 tensors."""
  if embs.shape.is_fully_defined():
    return embs.shape.as_list()
  return tf.unstack(tf.shape(embs, tf.int64))


def _block_shape(sizes: list) -> tuple[tf.Tensor, tf.Tensor]:
  """Fit a block of sequences, and frames of each, to the memory bound."""
  batch_size, num_steps, dimension = sizes
  num_frames = MAX_PAIRWISE_ELEMENTS // (batch_size * (num_steps + dimension))
  num_sequences = tf.clip_by_value(num_frames // num_steps, 1, batch_size)
  return num_sequences, tf.clip_by_value(num_frames, 1, num_steps)


def _block(number: tf.Tensor, sizes: list) -> tuple[tf.Tensor, ...]:
  """Find the sequences and frames of a block.

  All blocks have the same shape, as XLA needs. What lies behind the last
  sequence or frame is replaced by that one.

  Args:
    number: Number of the block.
    sizes: N, T and D.

  Returns:
    [B] sequences; [M] frames; [B, 1, M] bool, False where one was replaced.
  """
  batch_size, num_steps, _ = sizes
  num_sequences, num_frames = _block_shape(sizes)
  blocks_per_sequence = -(-num_steps // num_frames)
  sequences = number // blocks_per_sequence * num_sequences
  sequences += tf.range(num_sequences)
  frames = number % blocks_per_sequence * num_frames + tf.range(num_frames)
  exists = (sequences < batch_size)[:, None, None] & (frames < num_steps)
  sequences = tf.minimum(sequences, batch_size - 1)
  return sequences, tf.minimum(frames, num_steps - 1), exists
