"""Loss of the training algorithm, in inference mode."""

import itertools
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from easydict import EasyDict

from evaluation.result import Result

if TYPE_CHECKING:
  import keras
  import tensorflow as tf


class AlgoLoss:
  """Mean loss over `EVAL.VAL_ITERS` batches of each split.

  Headline: the validation loss.
  """

  def __init__(self, config: EasyDict) -> None:
    """Takes `EVAL.VAL_ITERS` from the configuration."""
    self._num_batches = config.EVAL.VAL_ITERS

  def evaluate_batches(
    self,
    algo: "keras.Model",
    train_batches: Iterable[Mapping[str, "tf.Tensor"]],
    val_batches: Iterable[Mapping[str, "tf.Tensor"]],
  ) -> Result:
    """Computes the mean losses.

    Args:
      algo: A built algorithm.
      train_batches: Batches of training videos; those after the first
        `VAL_ITERS` are not touched.
      val_batches: Batches of validation videos, likewise.

    Returns:
      Scalars `algo_loss/{train,val}_loss`; NaN, with a warning, for a split
      without batches.
    """
    splits = {"train": train_batches, "val": val_batches}
    losses = {
      split: self._mean_loss(algo, split, batches)
      for split, batches in splits.items()
    }
    return Result(
      value=losses["val"],
      scalars={
        f"algo_loss/{split}_loss": loss for split, loss in losses.items()
      },
    )

  def _mean_loss(
    self,
    algo: "keras.Model",
    split: str,
    batches: Iterable[Mapping[str, "tf.Tensor"]],
  ) -> float:
    losses = []
    for batch in itertools.islice(batches, self._num_batches):
      embs = algo(batch, training=False)
      losses.append(float(algo.compute_loss(embs, batch, training=False)))
    if not losses:
      warnings.warn(
        f"algo_loss: no {split} batch, its loss is NaN", stacklevel=2
      )
      return math.nan
    return float(np.mean(losses))
