"""Time-contrastive networks, single view (Sermanet et al., ICRA 2018).

Batches hold positive, anchor, positive, anchor, ...: each anchor frame comes
after a frame shortly before it in the same video.
"""

import tensorflow as tf
from easydict import EasyDict

from algos.algorithm import Algorithm, Batch, Loss
from data.sampling import PositivePairSampler


class TcnLoss(Loss):
  """The n-pairs loss inside each video, as the TCN section describes it."""

  def __init__(self, config: EasyDict) -> None:
    self._reg_lambda = config.TCN.REG_LAMBDA

  def __call__(
    self, embs: tf.Tensor, batch: Batch, seed: tf.Tensor, training: bool
  ) -> tf.Tensor:
    """Compute the loss of [B, 2T, D] embeddings; nothing in it is random."""
    # As in the published numbers, the first of each pair asks for the second.
    losses = npairs_loss(embs[:, 0::2], embs[:, 1::2], self._reg_lambda)
    return tf.reduce_mean(losses)


class Tcn(Algorithm):
  """Trains frames close in time to be closer than all others of a video."""

  def __init__(self, config: EasyDict) -> None:
    super().__init__(config, TcnLoss(config), sampler=build_sampler(config))


def build_sampler(config: EasyDict) -> PositivePairSampler:
  """Build the sampler that the loss needs."""
  return PositivePairSampler(config.DATA, config.TCN.POSITIVE_WINDOW)


def npairs_loss(
  firsts: tf.Tensor, seconds: tf.Tensor, reg_lambda: float
) -> tf.Tensor:
  """N-pairs loss (Sohn, NeurIPS 2016) of the frames of each video.

  Args:
    firsts: [B, T, D] embeddings.
    seconds: [B, T, D] embeddings; to the t-th of `firsts` belongs the t-th of
      `seconds`, and all others of the video are its negatives.
    reg_lambda: Weight of the embeddings' squared length; a quarter of it
      multiplies the mean over the firsts and that over the seconds.

  Returns:
    [B] losses.
  """
  similarities = tf.matmul(firsts, seconds, transpose_b=True)
  shape = tf.shape(similarities)
  labels = tf.broadcast_to(tf.range(shape[1]), shape[:2])
  losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, similarities)
  squares = tf.square(firsts) + tf.square(seconds)
  squared_lengths = tf.reduce_sum(squares, axis=-1)
  return tf.reduce_mean(losses + 0.25 * reg_lambda * squared_lengths, axis=-1)
