"""Temporal cycle-consistency (paper, section 3)."""

from collections.abc import Callable

import tensorflow as tf
from easydict import EasyDict

from algos.algorithm import Algorithm
from errors import UserError
from tcc.alignment import compute_alignment_loss


class Alignment(Algorithm):
  """Trains by cycles between the videos of a batch."""

  def __init__(self, config: EasyDict) -> None:
    """Builds the network; see `Algorithm`."""
    check_batch_size(config)
    super().__init__(config)
    self._loss = build_loss(config)

  def compute_losses(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool
  ) -> dict[str, tf.Tensor]:
    """The cycle-consistency loss that the ALIGNMENT section describes."""
    loss = self._loss(embs, batch["steps"], batch["seq_lens"], self.seed())
    return {"loss": loss}


def check_batch_size(config: EasyDict) -> None:
  """Raises a UserError if a batch has too few videos for a cycle."""
  settings = config.ALIGNMENT
  needed = settings.CYCLE_LENGTH if settings.STOCHASTIC_MATCHING else 2
  for section in ("TRAIN", "EVAL"):
    if config[section].BATCH_SIZE < needed:
      raise UserError(
        f"{section}.BATCH_SIZE: alignment needs at least {needed} videos to"
        f" cycle through; received {config[section].BATCH_SIZE}"
      )


def build_loss(
  config: EasyDict,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
  """The loss of the ALIGNMENT section.

  Args:
    config: The configuration.

  Returns:
    A function of [B, S, D] embeddings, [B, S] steps, [B] lengths of the videos
    and a seed [2], which stochastic matching draws by, that returns a scalar.
  """
  settings = config.ALIGNMENT
  cycles_per_frame = settings.FRACTION
  options = {
    "stochastic_matching": settings.STOCHASTIC_MATCHING,
    "normalize_embeddings": False,
    "loss_type": settings.LOSS_TYPE,
    "similarity_type": settings.SIMILARITY_TYPE,
    "cycle_length": settings.CYCLE_LENGTH,
    "temperature": settings.SOFTMAX_TEMPERATURE,
    "label_smoothing": settings.LABEL_SMOOTHING,
    "variance_lambda": settings.VARIANCE_LAMBDA,
    "huber_delta": settings.HUBER_DELTA,
    "normalize_indices": settings.NORMALIZE_INDICES,
  }

  def loss(
    embs: tf.Tensor, steps: tf.Tensor, seq_lens: tf.Tensor, seed: tf.Tensor
  ) -> tf.Tensor:
    num_frames = tf.cast(tf.size(steps), tf.float32)
    num_cycles = tf.cast(num_frames * cycles_per_frame, tf.int32)
    return compute_alignment_loss(
      embs,
      embs.shape[0] or tf.shape(embs)[0],
      steps=steps,
      seq_lens=seq_lens,
      num_cycles=tf.maximum(num_cycles, 1),
      seed=seed,
      **options,
    )

  return loss
