"""The supervised baseline: phases from labels of frames (paper, 5.3)."""

import keras
import tensorflow as tf
from easydict import EasyDict

import datasets
import models
from algos.algorithm import Algorithm


class Classification(Algorithm):
  """Trains with labels of frames; frames without a label do not count."""

  needs_labels = True

  def __init__(self, config: EasyDict) -> None:
    """Builds network and classifier; see `Algorithm`.

    Args:
      config: The configuration. With a CLASSIFICATION.NUM_CLASSES of 0 the
        labels of the training videos decide.

    Raises:
      UserError: There are several data sets, or the only one, or the part of it
        to train with, has no labels.
    """
    num_classes = config.CLASSIFICATION.NUM_CLASSES or datasets.count_phases(
      config
    )
    super().__init__(config)
    self.head = models.dense_head(
      self.emb.embedding_size,
      [[num_classes, False]],
      config.CLASSIFICATION.DROPOUT_RATE,
      config.MODEL.L2_REG_WEIGHT,
    )
    self._label_smoothing = config.CLASSIFICATION.LABEL_SMOOTHING

  def compute_losses(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool
  ) -> dict[str, tf.Tensor]:
    """Mean cross-entropy of the labeled frames; 0 if there is none."""
    labels = tf.reshape(batch["frame_labels"], [-1])
    logits = self.head(
      tf.reshape(embs, [-1, embs.shape[-1]]), training=training
    )
    losses = keras.losses.categorical_crossentropy(
      tf.one_hot(labels, logits.shape[-1]),
      logits,
      from_logits=True,
      label_smoothing=self._label_smoothing,
    )
    labeled = tf.cast(labels >= 0, losses.dtype)
    return {
      "loss": tf.math.divide_no_nan(
        tf.reduce_sum(labeled * losses), tf.reduce_sum(labeled)
      )
    }
