"""Temporal cycle-consistency (paper, section 3)."""

import fractions
from collections.abc import Callable

import tensorflow as tf
from easydict import EasyDict

from algos.algorithm import Algorithm
from core.errors import UserError
from tcc.alignment import compute_alignment_loss


class Alignment(Algorithm):
  """Trains by cycles between the videos of a batch."""

  def __init__(self, config: EasyDict) -> None:
    """Builds the network; see `Algorithm`."""
    check_settings(config)
    super().__init__(config)
    self._loss = build_loss(config)

  def compute_losses(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool
  ) -> dict[str, tf.Tensor]:
    """The cycle-consistency loss that the ALIGNMENT section describes."""
    seed = self.seed(batch, training)
    return {"loss": self._loss(embs, batch["steps"], batch["seq_lens"], seed)}


def check_settings(config: EasyDict) -> None:
  """Checks the lengths of cycles.

  Args:
    config: The configuration.

  Raises:
    UserError: Cycles are long without being drawn at random, or a batch has too
      few videos for one.
  """
  settings = config.ALIGNMENT
  needed = settings.CYCLE_LENGTH
  if needed != 2 and not settings.STOCHASTIC_MATCHING:
    raise UserError(
      "ALIGNMENT.CYCLE_LENGTH: without stochastic matching all pairs of videos"
      f" are aligned, by cycles of 2; received {needed}, set it to 2 or"
      " ALIGNMENT.STOCHASTIC_MATCHING=true"
    )
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
    return compute_alignment_loss(
      embs,
      embs.shape[0] or tf.shape(embs)[0],
      steps=steps,
      seq_lens=seq_lens,
      num_cycles=count_cycles(tf.size(steps, tf.int64), settings.FRACTION),
      seed=seed,
      **options,
    )

  return loss


def count_cycles(num_frames: int | tf.Tensor, fraction: float) -> tf.Tensor:
  """How many cycles to draw: `floor(num_frames * fraction)`, at least 1."""
  # Exact, unlike floating-point numbers: 53 of 100 are 0.53, not 52.
  share = fractions.Fraction(fraction).limit_denominator(10**6)
  return tf.maximum(num_frames * share.numerator // share.denominator, 1)
