"""What all algorithms share: a backbone, an embedder and a loss."""

import keras
import tensorflow as tf
from easydict import EasyDict

import models
from data.sampling import FrameSampler


class Algorithm(keras.Model):
  """A network and the loss it is trained with.

  A subclass implements `compute_losses`; one that trains a classifier head
  sets `head` in its constructor.

  Attributes:
    cnn: The backbone, [N, H, W, 3] to [N, h, w, channels].
    emb: The embedder, [B, S, C, h, w, channels] to [B, S, D].
    head: The network behind the embeddings that only training needs, or None.
    sampler: Chooses the frames of each video; a subclass that needs others
      sets its own.
    needs_labels: Whether frames must have labels.
  """

  needs_labels = False

  def __init__(self, config: EasyDict) -> None:
    """Builds the network.

    Args:
      config: The configuration.

    Raises:
      UserError: The backbone can't be had, or settings contradict each other.
    """
    super().__init__(name=config.TRAINING_ALGO)
    self.cnn = models.build_backbone(config)
    self.emb = models.build_embedder(config, self.cnn)
    self._trains_base = config.MODEL.TRAIN_BASE != "frozen"
    self._trains_embedder = config.MODEL.TRAIN_EMBEDDING
    self._seed = tf.constant(config.SEED, tf.int64)
    self._seeds = keras.random.SeedGenerator(config.SEED)
    self.head = None
    self.sampler = FrameSampler(config.DATA)

  def call(
    self, batch: dict[str, tf.Tensor], training: bool = False
  ) -> tf.Tensor:
    """Embeds the frames of a batch.

    Args:
      batch: A batch of `datasets`; only frames [B, S, C, H, W, 3] are used.
      training: Whether batch norm uses and updates statistics of the batch and
        dropout drops; a frozen backbone or embedder never does.

    Returns:
      [B, S, D] float32 embeddings.
    """
    frames = batch["frames"]
    batch_size, num_frames, num_context, *image = shape_of(frames)
    features = self.features(tf.reshape(frames, [-1, *image]), training)
    features = tf.reshape(
      features, [batch_size, num_frames, num_context, *shape_of(features)[1:]]
    )
    return self.emb(features, training=training and self._trains_embedder)

  def features(self, frames: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Feature maps [N, h, w, channels] of frames [N, H, W, 3]."""
    return self.cnn(frames, training=training and self._trains_base)

  def seed(self, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
    """[2] integers that the random choices of a batch depend on.

    In training others at each call; checkpoints keep where they stand, so that
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
    multiples = tf.random.stateless_uniform(
      tf.shape(steps), [0, self._seed], None, None, tf.int64
    )
    return tf.stack([self._seed, tf.reduce_sum(steps * multiples)])

  def compute_losses(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool
  ) -> dict[str, tf.Tensor]:
    """The loss of a batch and its named parts.

    Args:
      embs: [B, S, D] embeddings, as `call` returns them.
      batch: The batch they come from.
      training: Whether dropout of a head drops.

    Returns:
      Scalars: `loss`, and any parts worth a curve of their own, by tag.
    """
    raise NotImplementedError

  def compute_loss(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool = False
  ) -> tf.Tensor:
    """The scalar loss of a batch, without penalties; see `compute_losses`."""
    return self.compute_losses(embs, batch, training)["loss"]

  def regularization_loss(self) -> tf.Tensor:
    """Mean of the layers' L2 penalties."""
    return tf.reduce_mean(self.losses) if self.losses else tf.zeros([])


def shape_of(tensor: tf.Tensor) -> list[int | tf.Tensor]:
  """The shape, with numbers where they are known before the graph runs."""
  dynamic = tf.unstack(tf.shape(tensor))
  return [
    known or unknown
    for known, unknown in zip(tensor.shape, dynamic, strict=True)
  ]
