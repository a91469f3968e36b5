"""The supervised baseline: phases from labels of frames (paper, 5.3)."""

import copy
from collections.abc import Callable

import tensorflow as tf
from easydict import EasyDict

import models
from algos.algorithm import Algorithm, Batch, Loss
from algos.cross_entropy import mean_cross_entropy
from core.errors import UserError


class ClassificationLoss(Loss):
  """Mean cross-entropy of the labeled frames; 0 if there is none.

  Args:
    config: The configuration.

  Raises:
    UserError: The number of phases is not known.
  """

  def __init__(self, config: EasyDict) -> None:
    self._settings = config.CLASSIFICATION
    self._l2_weight = config.MODEL.L2_REG_WEIGHT
    if not self._settings.NUM_CLASSES:
      raise UserError(
        "CLASSIFICATION.NUM_CLASSES: expected the number of phases, received 0;"
        " set it, or count them with Classification.resolve(config,"
        " datasets.count_phases)"
      )

  def build(self, embedding_size: int) -> None:
    """Build the classifier of frames."""
    rate, l2_weight = self._settings.DROPOUT_RATE, self._l2_weight
    layers = [(self._settings.NUM_CLASSES, False)]
    self.head = models.build_head(embedding_size, layers, rate, l2_weight)

  def __call__(
    self, embs: tf.Tensor, batch: Batch, seed: tf.Tensor, training: bool
  ) -> tf.Tensor:
    """Compute the loss; nothing but dropout is random."""
    labels = tf.reshape(batch["frame_labels"], [-1])
    rows = tf.reshape(embs, [-1, embs.shape[-1]])
    logits = self.head(rows, training=training)
    smoothing = self._settings.LABEL_SMOOTHING
    return mean_cross_entropy(labels, logits, labels >= 0, smoothing)


class Classification(Algorithm):
  """Trains with labels of frames; frames without a label do not count."""

  needs_labels = True

  def __init__(self, config: EasyDict) -> None:
    super().__init__(config, ClassificationLoss(config))

  @classmethod
  def resolve(
    cls, config: EasyDict, count_phases: Callable[[EasyDict], int]
  ) -> EasyDict:
    """Set CLASSIFICATION.NUM_CLASSES, the outputs of the classifier."""
    config = copy.deepcopy(config)
    config.CLASSIFICATION.NUM_CLASSES = count_phases(config)
    return config
