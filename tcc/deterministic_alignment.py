"""Cycle-consistency over all pairs of sequences of a batch."""

import tensorflow as tf

from tcc.losses import cycle_loss, frame_times
from tcc.similarity import similarities, soft_nearest_neighbors


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
  """
  neighbors = soft_nearest_neighbors(embs1, embs2, similarity_type, temperature)
  logits = similarities(neighbors, embs1, similarity_type, temperature)
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
  """
  first, second = tf.unstack(
    tf.cast(tf.where(~tf.eye(batch_size, dtype=tf.bool)), tf.int32), axis=1
  )
  logits, _ = align_pair_of_sequences(
    tf.gather(embs, first),
    tf.gather(embs, second),
    similarity_type,
    temperature,
  )
  times = frame_times(steps, seq_lens, normalize_indices, embs.dtype)
  labels = tf.broadcast_to(tf.range(num_steps), tf.shape(logits)[:-1])
  return tf.reduce_mean(
    cycle_loss(
      logits,
      labels,
      # One row of times serves all cycles that start in a sequence.
      tf.broadcast_to(tf.gather(times, first)[:, None, :], tf.shape(logits)),
      loss_type,
      label_smoothing,
      variance_lambda,
      huber_delta,
    )
  )
