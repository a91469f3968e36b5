"""Time-contrastive networks, single view (Sermanet et al., ICRA 2018).

Batches hold positive, anchor, positive, anchor, ...: each anchor frame comes
after a frame shortly before it in the same video.
"""

from collections.abc import Callable

import tensorflow as tf
from easydict import EasyDict

from algos.algorithm import Algorithm
from data.sampling import PositivePairSampler


class Tcn(Algorithm):
  """Trains frames close in time to be closer than all others of a video."""

  def __init__(self, config: EasyDict) -> None:
    """Builds the network; see `Algorithm`."""
    super().__init__(config)
    self.sampler = PositivePairSampler(config.DATA, config.TCN.POSITIVE_WINDOW)
    self._loss = build_loss(config)

  def compute_losses(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool
  ) -> dict[str, tf.Tensor]:
    """The n-pairs loss inside each video, as the TCN section describes it."""
    return {"loss": self._loss(embs)}


def build_loss(config: EasyDict) -> Callable[[tf.Tensor], tf.Tensor]:
  """The loss of the TCN section: a function of [B, 2T, D] embeddings."""
  reg_lambda = config.TCN.REG_LAMBDA

  def loss(embs: tf.Tensor) -> tf.Tensor:
    # As in the published numbers, the first of each pair asks for the second.
    return tf.reduce_mean(npairs_loss(embs[:, 0::2], embs[:, 1::2], reg_lambda))

  return loss


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
  contrast = tf.nn.sparse_softmax_cross_entropy_with_logits(
    labels, similarities
  )
  squared_lengths = tf.reduce_sum(
    tf.square(firsts) + tf.square(seconds), axis=-1
  )
  return tf.reduce_mean(contrast + 0.25 * reg_lambda * squared_lengths, axis=-1)
