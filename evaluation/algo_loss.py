"""Loss of the training algorithm, in inference mode."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from easydict import EasyDict

from core.errors import UserError
from evaluation.frame_selection import warn
from evaluation.metric import Metric
from evaluation.result import Result
from evaluation.task import Batch, Batches

if TYPE_CHECKING:
  import tensorflow as tf

  from algos.algorithm import Algorithm


class AlgoLoss:
  """Mean loss over `EVAL.VAL_ITERS` batches of each split.

  Of an algorithm that needs labels it is the mean over the labeled frames of
  these batches. Headline: the validation loss.
  """

  def __init__(self, config: EasyDict) -> None:
    self._num_batches = config.EVAL.VAL_ITERS

  def evaluate_batches(
    self,
    algo: "Algorithm",
    train_batches: Batches,
    val_batches: Batches,
    *,
    dataset_name: str = "dataset",
  ) -> Result:
    """Compute the mean losses.

    Args:
      algo: A built algorithm.
      train_batches: Batches of training videos; those after the first
        `VAL_ITERS` are not touched.
      val_batches: Batches of validation videos, likewise.
      dataset_name: Name of the data set, for warnings and errors.

    Returns:
      Metrics `algo_loss/{train,val}_loss`; NaN, with a warning, for a split
      without batches, or without labels that the algorithm needs.

    Raises:
      UserError: A label is not among the phases of the algorithm's classifier.
    """
    metrics = []
    for split, batches in (("train", train_batches), ("val", val_batches)):
      loss = self._mean_loss(dataset_name, split, algo, batches)
      metrics.append(Metric("algo_loss", split, "", "loss", loss))
    return Result(loss, metrics)

  @functools.cached_property
  def _compute_loss(self) -> Callable[..., "tf.Tensor"]:
    """The loss, compiled once for all checkpoints of an algorithm."""
    import tensorflow as tf  # Here, for the tables of runs do without.

    def compute_loss(algo: "Algorithm", batch: Batch) -> "tf.Tensor":
      embs = algo(batch, training=False)
      return algo.compute_loss(embs, batch, training=False)

    return tf.function(compute_loss, autograph=False)

  def _mean_loss(
    self, dataset_name: str, split: str, algo: "Algorithm", batches: Batches
  ) -> float:
    losses, weights = [], []
    lacking = f"{split} batch"
    for batch in itertools.islice(batches, self._num_batches):
      weight = 1
      if algo.needs_labels:
        _check_labels(f"{dataset_name}_{split}", algo, batch)
        weight = int((batch["frame_labels"].numpy() >= 0).sum())
        lacking = f"label in the {split} batches, which {algo.name} needs"
      if weight:
        losses.append(float(self._compute_loss(algo, batch)))
        weights.append(weight)
    if not losses:
      problem = f"algo_loss has no {lacking}; its {split} loss is NaN"
      warn(f"{dataset_name}: {problem}")
      return math.nan
    return float(np.average(losses, weights=weights))


def _check_labels(name: str, algo: "Algorithm", batch: Batch) -> None:
  """Check that the classifier has an output for each label of a batch."""
  num_phases = algo.head.output_shape[-1]
  highest = batch["frame_labels"].numpy().max(axis=1)
  for video, phase in zip(batch["name"].numpy(), highest, strict=True):
    if phase >= num_phases:
      raise UserError(
        f"{name}: expected phases 0 to {num_phases - 1}, with which the network"
        f" was trained, received a frame of phase {phase} in video"
        f" {video.decode(errors='replace')!r}; convert its videos with the"
        " phases of the training videos, or train with --set"
        f" CLASSIFICATION.NUM_CLASSES={phase + 1}"
      )
