"""Temporal cycle-consistency (paper, section 3)."""

import tensorflow as tf
from easydict import EasyDict

from algos.algorithm import Algorithm
from errors import UserError
from tcc.alignment import compute_alignment_loss


class Alignment(Algorithm):
  """Trains by cycles between the videos of a batch."""

  def __init__(self, config: EasyDict) -> None:
    """Builds the network; see `Algorithm`."""
    settings = config.ALIGNMENT
    needed = settings.CYCLE_LENGTH if settings.STOCHASTIC_MATCHING else 2
    for section in ("TRAIN", "EVAL"):
      if config[section].BATCH_SIZE < needed:
        raise UserError(
          f"{section}.BATCH_SIZE: alignment needs at least {needed} videos to"
          f" cycle through; received {config[section].BATCH_SIZE}"
        )
    super().__init__(config)
    self._cycles_per_frame = settings.FRACTION
    self._loss_options = {
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

  def compute_losses(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool
  ) -> dict[str, tf.Tensor]:
    """The cycle-consistency loss that the ALIGNMENT section describes."""
    num_frames = tf.cast(tf.size(embs[..., 0]), tf.float32)
    loss = compute_alignment_loss(
      embs,
      embs.shape[0] or tf.shape(embs)[0],
      steps=batch["steps"],
      seq_lens=batch["seq_lens"],
      num_cycles=tf.cast(num_frames * self._cycles_per_frame, tf.int32),
      **self._loss_options,
    )
    return {"loss": loss}
