"""The two protocols of evaluation tasks.

A task is built with the configuration. It neither reads files nor writes logs;
what a user should know about the data goes through Python's `warnings`.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from embeddings.types import AnyVideos
from evaluation.result import Result

if TYPE_CHECKING:
  import tensorflow as tf

  from algos.algorithm import Algorithm


Batch = Mapping[str, "tf.Tensor"]
Batches = Iterable[Batch]


@runtime_checkable
class EmbeddingTask(Protocol):
  """A task that measures embedded videos."""

  def evaluate_embeddings(
    self, dataset_name: str, train: AnyVideos, val: AnyVideos
  ) -> Result:
    """Measure the embeddings of one data set.

    Args:
      dataset_name: Name of the data set, for metrics and warnings.
      train: Training videos, a split or what `embeddings.load` returns.
      val: Validation videos, likewise.

    Returns:
      The metrics; `Result.empty()`, with a warning, if the data do not allow
      any.
    """
    ...


@runtime_checkable
class BatchTask(Protocol):
  """A task that runs the network on batches itself."""

  def evaluate_batches(
    self,
    algo: "Algorithm",
    train_batches: Batches,
    val_batches: Batches,
    *,
    dataset_name: str = "dataset",
  ) -> Result:
    """Measure the network on one data set.

    Args:
      algo: The algorithm, restored.
      train_batches: Batches of training videos; may be endless.
      val_batches: Batches of validation videos, likewise.
      dataset_name: Name of the data set, for warnings and errors.

    Returns:
      The metrics.
    """
    ...


Task = EmbeddingTask | BatchTask
