"""Temporal cycle-consistency (paper, section 3)."""

import fractions

import tensorflow as tf
from easydict import EasyDict

from algos.algorithm import Algorithm, Batch, Loss
from core.errors import UserError
from tcc.alignment import compute_alignment_loss


class AlignmentLoss(Loss):
  """The cycle-consistency loss that the ALIGNMENT section describes.

  Args:
    config: The configuration.

  Raises:
    UserError: Cycles are long without being drawn at random, or a batch has too
      few videos for one.
  """

  def __init__(self, config: EasyDict) -> None:
    settings = config.ALIGNMENT
    needed = settings.CYCLE_LENGTH
    if needed != 2 and not settings.STOCHASTIC_MATCHING:
      raise UserError(
        "ALIGNMENT.CYCLE_LENGTH: expected 2 without stochastic matching,"
        f" received {needed}; set it to 2 or ALIGNMENT.STOCHASTIC_MATCHING=true"
      )
    for section in ("TRAIN", "EVAL"):
      received = config[section].BATCH_SIZE
      if received < needed:
        raise UserError(
          f"{section}.BATCH_SIZE: expected at least {needed} videos to cycle"
          f" through, received {received}; raise it"
        )
    # The other settings have the names of arguments of the loss.
    options = {key.lower(): value for key, value in settings.items()}
    options["temperature"] = options.pop("softmax_temperature")
    self._fraction = options.pop("fraction")
    self._options = options

  def __call__(
    self, embs: tf.Tensor, batch: Batch, seed: tf.Tensor, training: bool
  ) -> tf.Tensor:
    """Compute the loss; the seed decides the cycles of stochastic matching."""
    steps, batch_size = batch["steps"], embs.shape[0] or tf.shape(embs)[0]
    num_cycles = count_cycles(tf.size(steps, tf.int64), self._fraction)
    options = {"num_cycles": num_cycles, "seed": seed, **self._options}
    return compute_alignment_loss(
      embs, batch_size, steps, batch["seq_lens"], **options
    )


class Alignment(Algorithm):
  """Trains by cycles between the videos of a batch."""

  def __init__(self, config: EasyDict) -> None:
    super().__init__(config, AlignmentLoss(config))


def count_cycles(num_frames: int | tf.Tensor, fraction: float) -> tf.Tensor:
  """Count the cycles to draw: `floor(num_frames * fraction)`, at least 1."""
  # Exact, unlike floating-point numbers: 53 of 100 are 0.53, not 52.
  share = fractions.Fraction(fraction).limit_denominator(10**6)
  return tf.maximum(num_frames * share.numerator // share.denominator, 1)
