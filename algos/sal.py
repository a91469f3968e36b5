"""Shuffle and Learn: is a triplet of frames in order of time?

Misra et al., ECCV 2016, as the paper's section 4.2 uses it.
"""

import tensorflow as tf
from easydict import EasyDict

import models
from algos.algorithm import Algorithm, Batch, Loss
from algos.cross_entropy import mean_cross_entropy
from core.errors import UserError

# A triplet is drawn from five frames a < b < c < d < e: (b, c, d) is in order,
# (b, a, d) and (b, e, d) are not.
_NUM_FRAMES = 5
_IN_ORDER, _TOO_EARLY, _TOO_LATE = (1, 2, 3), (1, 0, 3), (1, 4, 3)


class SalLoss(Loss):
  """Cross-entropy of triplets that are drawn as the SAL section describes.

  The mean over the triplets of videos with enough different frames; 0 if there
  is none. Its head classifies triplets, [N, 3 D] to [N, 2] logits.

  Args:
    config: The configuration.

  Raises:
    UserError: A video has too few sampled frames for a triplet, or the last of
      SAL.FC_LAYERS does not have two units.
  """

  def __init__(self, config: EasyDict) -> None:
    self._settings = config.SAL
    self._l2_weight = config.MODEL.L2_REG_WEIGHT
    for section in ("TRAIN", "EVAL"):
      received = config[section].NUM_FRAMES
      if received < _NUM_FRAMES:
        raise UserError(
          f"{section}.NUM_FRAMES: expected at least {_NUM_FRAMES} frames of a"
          f" video for the triplets of Shuffle and Learn, received {received};"
          " raise it"
        )
    layers = self._settings.FC_LAYERS
    if not layers or layers[-1] != [2, False]:
      raise UserError(
        "SAL.FC_LAYERS: expected [2, false] as last layer, for shuffled and in"
        f" order, received {layers}; append it"
      )

  def build(self, embedding_size: int) -> None:
    """Build the classifier of triplets."""
    layers, rate = self._settings.FC_LAYERS, self._settings.DROPOUT_RATE
    size, l2_weight = 3 * embedding_size, self._l2_weight
    self.head = models.build_head(size, layers, rate, l2_weight)

  def __call__(
    self, embs: tf.Tensor, batch: Batch, seed: tf.Tensor, training: bool
  ) -> tf.Tensor:
    """Compute the loss; the seed decides the triplets."""
    steps, settings = batch["steps"], self._settings
    count, fraction = settings.NUM_SAMPLES, settings.SHUFFLE_FRACTION
    places, labels = sample_triplets(steps, count, fraction, seed)
    triplets = tf.gather(embs, places, batch_dims=1)
    rows = tf.reshape(triplets, [-1, 3 * embs.shape[-1]])
    logits = self.head(rows, training=training)
    labels, is_counted = tf.reshape(labels, [-1]), _has_order(steps)
    is_counted = tf.repeat(is_counted, count)
    smoothing = settings.LABEL_SMOOTHING
    return mean_cross_entropy(labels, logits, is_counted, smoothing)


class Sal(Algorithm):
  """Trains with a classifier of triplets: in order or shuffled."""

  def __init__(self, config: EasyDict) -> None:
    super().__init__(config, SalLoss(config))


def sample_triplets(
  steps: tf.Tensor, num_samples: int, shuffle_fraction: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Draw triplets of frames, some in order of time and some not.

  For each triplet five different frames are drawn; with probability 1/2 they
  are taken backwards.

  Args:
    steps: [B, S] index of each sampled frame in its video, ascending; S at
      least 5. Frames that repeat another are drawn only if a video has fewer
      than five different ones.
    num_samples: Triplets a video.
    shuffle_fraction: Expected share of triplets that are out of order; the
      number of a batch differs from its expectation by less than one.
    seed: [2] integers that determine the choice.

  Returns:
    [B, num_samples, 3] int32 places in the S frames, and [B, num_samples] int32
    labels: 1 for triplets in order, 0 for others.
  """
  shape = tf.concat([tf.shape(steps)[:1], [num_samples]], 0)
  seeds = tf.random.split(seed, num=3)
  places = _five_places(steps, num_samples, seeds[0])
  backwards = tf.random.stateless_uniform(shape, seeds[1]) < 0.5
  places = tf.where(backwards[..., None], places[..., ::-1], places)
  rank = _even_ranks(shape, seeds[2])
  bounds = tf.constant([shuffle_fraction, shuffle_fraction / 2])
  kind = tf.reduce_sum(tf.cast(rank[..., None] < bounds, tf.int32), axis=-1)
  choice = tf.gather([_IN_ORDER, _TOO_EARLY, _TOO_LATE], kind)
  triplets = tf.gather(places, choice, batch_dims=2)
  return triplets, tf.cast(tf.equal(kind, 0), tf.int32)


def _repeats(steps: tf.Tensor) -> tf.Tensor:
  """[B, S] bool: whether a frame is the same as that before it."""
  first = tf.zeros_like(steps[:, :1], tf.bool)
  return tf.concat([first, steps[:, 1:] == steps[:, :-1]], 1)


def _has_order(steps: tf.Tensor) -> tf.Tensor:
  """[B] bool: whether a video has different frames enough for a triplet.

  In triplets of others a frame may come twice, so that labels mean nothing.
  """
  different = tf.cast(~_repeats(steps), tf.int32)
  return tf.reduce_sum(different, 1) >= _NUM_FRAMES


def _five_places(steps: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
  """[B, count, 5] ascending places, those of repeated frames last."""
  shape = tf.shape(steps)
  order = tf.random.stateless_uniform([shape[0], count, shape[1]], seed)
  order += tf.cast(_repeats(steps), tf.float32)[:, None]
  return tf.sort(tf.argsort(order, axis=-1)[..., :_NUM_FRAMES], axis=-1)


def _even_ranks(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
  """Uniform numbers in [0, 1), each part of the interval equally often."""
  count = tf.reduce_prod(shape)
  seeds = tf.random.split(seed, num=2)
  # The order of random numbers is a shuffle, and one that XLA can do.
  order = tf.argsort(tf.random.stateless_uniform([count], seeds[0]))
  offset = tf.random.stateless_uniform([], seeds[1])
  ranks = (tf.cast(order, tf.float32) + offset) / tf.cast(count, tf.float32)
  return tf.reshape(ranks, shape)
