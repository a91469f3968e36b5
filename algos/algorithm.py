"""The base of all algorithms: a backbone, an embedder and a loss."""

from collections.abc import Callable

import keras
import tensorflow as tf
from easydict import EasyDict

import models
from data.sampling import FrameSampler

# A batch of `datasets`, by key.
Batch = dict[str, tf.Tensor]


class Loss:
  """A loss of the embeddings of a batch, with its settings inside.

  Attributes:
    head: The network that it trains behind the embeddings, or None.
  """

  head: keras.Model | None = None

  def build(self, embedding_size: int) -> None:
    """Build the head, if this loss has one."""

  def __call__(
    self, embs: tf.Tensor, batch: Batch, seed: tf.Tensor, training: bool
  ) -> tf.Tensor:
    """Compute the loss.

    Args:
      embs: [B, S, D] embeddings.
      batch: The batch they come from, see `datasets`.
      seed: [2] integers that random choices depend on.
      training: Whether dropout of the head drops.

    Returns:
      A scalar.
    """
    raise NotImplementedError


class Algorithm(keras.Model):
  """A network and the loss it is trained with.

  A subclass passes its loss to this constructor.

  Attributes:
    cnn: The backbone, [N, H, W, 3] to [N, h, w, channels] or [N, channels].
    emb: The embedder, features [B, S, C, ...] to [B, S, D].
    head: The network behind the embeddings that only training needs, or None.
    sampler: Chooses the frames of each video.
    needs_labels: Whether frames must have labels.

  Args:
    config: The configuration.
    *losses: The loss; with more than one, a subclass combines them in
      `compute_losses`.
    sampler: As above; None = a `FrameSampler`.

  Raises:
    UserError: The backbone can't be had, or settings contradict each other.
  """

  needs_labels = False

  def __init__(
    self, config: EasyDict, *losses: Loss, sampler: FrameSampler | None = None
  ) -> None:
    super().__init__(name=config.TRAINING_ALGO)
    self.cnn = models.build_backbone(config)
    self.emb = models.build_embedder(config, self.cnn)
    self._trains_base = config.MODEL.TRAIN_BASE != "frozen"
    self._trains_embedder = config.MODEL.TRAIN_EMBEDDING
    self._seed = tf.constant(config.SEED, tf.int64)
    self._seeds = keras.random.SeedGenerator(config.SEED)
    for loss in losses:
      loss.build(self.emb.embedding_size)
    self.head = next((loss.head for loss in losses if loss.head), None)
    self.sampler = sampler or FrameSampler(config.DATA)
    self._loss_functions = losses

  @classmethod
  def resolve(
    cls, config: EasyDict, count_phases: Callable[[EasyDict], int]
  ) -> EasyDict:
    """Settle what the videos decide about the network, before it is built.

    Args:
      config: The configuration.
      count_phases: Counts the phases of the training videos.

    Returns:
      The configuration to build and save.
    """
    return config

  def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
    """Embed the frames of a batch.

    Args:
      batch: A batch of `datasets`; only frames [B, S, C, H, W, 3], or in their
        place features [B, S, C, ...], are used.
      training: Whether batch norm uses and updates statistics of the batch and
        dropout drops; a frozen backbone or embedder never does.

    Returns:
      [B, S, D] float32 embeddings.
    """
    features = batch.get("features")
    if features is None:
      *sampled, height, width, channels = keras.ops.shape(batch["frames"])
      frames = tf.reshape(batch["frames"], [-1, height, width, channels])
      features = self.features(frames, training)
      shape = [*sampled, *keras.ops.shape(features)[1:]]
      features = tf.reshape(features, shape)
    return self.emb(features, training=training and self._trains_embedder)

  def features(self, frames: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Compute features [N, ...] of frames [N, H, W, 3]."""
    return self.cnn(frames, training=training and self._trains_base)

  def seed(self, batch: Batch, training: bool) -> tf.Tensor:
    """Draw the seed of the random choices of a batch.

    In training another at each call; checkpoints keep where they stand, so that
    a run continues exactly. Otherwise the same for the same frames, so that a
    loss says the same whatever was evaluated before.

    Args:
      batch: The batch; only its steps count.
      training: Whether the choices are for training.

    Returns:
      [2] int64.
    """
    if training:
      return tf.cast(self._seeds.next(), tf.int64)
    steps = tf.cast(batch["steps"], tf.int64)
    # A sum of random multiples tells batches apart; it may overflow.
    shape, seed = tf.shape(steps), [0, self._seed]
    multiples = tf.random.stateless_uniform(shape, seed, None, None, tf.int64)
    return tf.stack([self._seed, tf.reduce_sum(steps * multiples)])

  def compute_losses(
    self, embs: tf.Tensor, batch: Batch, training: bool
  ) -> dict[str, tf.Tensor]:
    """Compute the loss of a batch and its named parts.

    Args:
      embs: [B, S, D] embeddings, as `call` returns them.
      batch: The batch they come from.
      training: Whether dropout of a head drops.

    Returns:
      Scalars: `loss`, and any parts worth a curve of their own, by tag.
    """
    [loss] = self._loss_functions
    return {"loss": loss(embs, batch, self.seed(batch, training), training)}

  def compute_loss(
    self, embs: tf.Tensor, batch: Batch, training: bool = False
  ) -> tf.Tensor:
    """Compute the scalar loss, without penalties; see `compute_losses`."""
    return self.compute_losses(embs, batch, training)["loss"]

  def regularization_loss(self) -> tf.Tensor:
    """Compute the mean of the layers' L2 penalties."""
    return tf.reduce_mean(self.losses) if self.losses else tf.zeros([])
