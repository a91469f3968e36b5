"""Cycle-consistency over all pairs of sequences of a batch."""

import tensorflow as tf

from tcc.arguments import (
  check_choices,
  checked_loss_arguments,
  checked_number,
  checked_pair,
)
from tcc.blocks import sum_over_blocks
from tcc.losses import cycle_loss, frame_times
from tcc.similarity import center, similarities, soft_nearest_neighbors

# Bounds the memory of a batch: as many numbers are in the similarities and soft
# nearest neighbors of the frames whose cycles are computed at once. That is
# 64 MiB in float32; forward and backward pass hold about ten times as much.
MAX_PAIRWISE_ELEMENTS = 2**24


def align_pair_of_sequences(
  embs1: tf.Tensor,
  embs2: tf.Tensor,
  similarity_type: str,
  temperature: float,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Cycles every frame of one sequence through another and back.

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
  check_choices(similarity_type=similarity_type)
  embs1, embs2 = checked_pair(embs1, embs2)
  temperature = checked_number("temperature", temperature, embs1.dtype)
  origin = center(embs1, similarity_type)
  embs1, embs2 = embs1 - origin, embs2 - origin
  logits = _cycle_back(embs1, embs2, embs1, similarity_type, temperature)
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
    loss_type: One of `tcc.losses.LOSS_TYPES`.
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
  embs, steps, seq_lens, numbers = checked_loss_arguments(
    embs,
    steps,
    seq_lens,
    num_steps,
    batch_size,
    2,
    loss_type,
    similarity_type,
    temperature=temperature,
    label_smoothing=label_smoothing,
    variance_lambda=variance_lambda,
    huber_delta=huber_delta,
  )
  embs -= center(embs, similarity_type)
  times = frame_times(steps, seq_lens, normalize_indices, embs.dtype)

  def losses(
    logits: tf.Tensor,
    sequences: tf.Tensor,
    frames: tf.Tensor,
    weights: list[tf.Tensor],
  ) -> tf.Tensor:
    own_times = tf.gather(times, sequences)[:, None]
    start = tf.gather(own_times, frames, axis=-1)
    own_times = own_times[:, :, None]
    return cycle_loss(logits, frames, start, own_times, loss_type, *weights)

  def mean_of_all(
    embs: tf.Tensor, temperature: tf.Tensor, *weights: tf.Tensor
  ) -> tf.Tensor:
    logits = _all_cycles(embs, similarity_type, temperature)
    sequences, frames = tf.range(embs.shape[0]), tf.range(embs.shape[1])
    return tf.reduce_mean(losses(logits, sequences, frames, weights))

  def sum_of_block(
    number: tf.Tensor,
    embs: tf.Tensor,
    temperature: tf.Tensor,
    *weights: tf.Tensor,
  ) -> tf.Tensor:
    sequences, frames, exists = _block(number, _sizes(embs))
    logits = _cycles(embs, sequences, frames, similarity_type, temperature)
    values = losses(logits, sequences, frames, weights)
    return tf.reduce_sum(values * tf.cast(exists, values.dtype))

  # All that a gradient may flow into.
  inputs = [embs, *numbers]
  batch_size, num_steps, dimension = sizes = _sizes(embs)
  num_elements = batch_size**2 * num_steps * (num_steps + dimension)
  if not tf.is_tensor(num_elements) and num_elements <= MAX_PAIRWISE_ELEMENTS:
    return mean_of_all(*inputs)
  total = sum_over_blocks(sum_of_block, _num_blocks(sizes), inputs)
  num_cycles = batch_size * (batch_size - 1) * num_steps
  return total / tf.cast(num_cycles, total.dtype)


def _cycle_back(
  queries: tf.Tensor,
  candidates: tf.Tensor,
  sequence: tf.Tensor,
  similarity_type: str,
  temperature: float | tf.Tensor,
) -> tf.Tensor:
  """[..., M, T] similarities of the queries' neighbors to their sequence."""
  neighbors = soft_nearest_neighbors(
    queries, candidates, similarity_type, temperature
  )
  return similarities(neighbors, sequence, similarity_type, temperature)


def _others(embs: tf.Tensor, sequences: tf.Tensor) -> tf.Tensor:
  """[B, N-1, T, D] embeddings of all sequences but each of the B given."""
  batch_size, _, _ = _sizes(embs)
  others = (sequences[:, None] + tf.range(1, batch_size)) % batch_size
  return tf.gather(embs, others)


def _all_cycles(
  embs: tf.Tensor, similarity_type: str, temperature: tf.Tensor
) -> tf.Tensor:
  """[N, N-1, T, T] logits of all frames of [N, T, D] through all others."""
  batch_size, num_steps, dimension = embs.shape
  if num_steps > 2 * dimension:
    own, others = embs[:, None], _others(embs, tf.range(batch_size))
    return _cycle_back(own, others, own, similarity_type, temperature)
  scores = _scores_of_pairs(embs, similarity_type, temperature)
  # A similarity is affine in the query, up to what a softmax over candidates
  # ignores. So a mean of frames is as similar as these frames in the mean, and
  # their similarities are known: less to compute, unless sequences are long.
  return tf.matmul(tf.nn.softmax(scores), scores, transpose_b=True)


def _scores_of_pairs(
  embs: tf.Tensor, similarity_type: str, temperature: tf.Tensor
) -> tf.Tensor:
  """[N, N-1, T, T] similarities of [N, T, D] sequences to all others."""
  batch_size, num_steps, dimension = embs.shape
  # One large product is faster than many small ones, although a sequence's
  # similarities to itself, every (N+1)th matrix, are of no use.
  frames = tf.reshape(embs, [batch_size * num_steps, dimension])
  scores = similarities(frames, frames, similarity_type, temperature)
  scores = tf.reshape(scores, [batch_size, num_steps, batch_size, num_steps])
  scores = tf.transpose(scores, [0, 2, 1, 3])
  scores = tf.reshape(scores, [batch_size**2, num_steps, num_steps])
  pairs = tf.range(batch_size * (batch_size - 1))
  scores = tf.gather(scores, pairs + pairs // batch_size + 1)
  return tf.reshape(scores, [batch_size, batch_size - 1, num_steps, num_steps])


def _cycles(
  embs: tf.Tensor,
  sequences: tf.Tensor,
  frames: tf.Tensor,
  similarity_type: str,
  temperature: tf.Tensor,
) -> tf.Tensor:
  """[B, N-1, M, T] logits of M frames of B sequences through all others."""
  own = tf.gather(embs, sequences)[:, None]
  queries = tf.gather(own, frames, axis=2)
  others = _others(embs, sequences)
  return _cycle_back(queries, others, own, similarity_type, temperature)


def _sizes(embs: tf.Tensor) -> list[int] | list[tf.Tensor]:
  """N, T and D: integers if all are known, else int64 tensors."""
  if embs.shape.is_fully_defined():
    return embs.shape.as_list()
  return tf.unstack(tf.shape(embs, tf.int64))


def _block_shape(sizes: list) -> tuple[tf.Tensor, tf.Tensor]:
  """How many sequences, and frames of each, `MAX_PAIRWISE_ELEMENTS` allows."""
  batch_size, num_steps, dimension = sizes
  num_frames = MAX_PAIRWISE_ELEMENTS // (batch_size * (num_steps + dimension))
  return (
    tf.clip_by_value(num_frames // num_steps, 1, batch_size),
    tf.clip_by_value(num_frames, 1, num_steps),
  )


def _num_blocks(sizes: list) -> tf.Tensor:
  batch_size, num_steps, _ = sizes
  num_sequences, num_frames = _block_shape(sizes)
  return -(-batch_size // num_sequences) * -(-num_steps // num_frames)


def _block(
  number: tf.Tensor, sizes: list
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """What a block computes.

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
