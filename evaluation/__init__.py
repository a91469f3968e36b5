"""Tasks that measure frozen embeddings; a new one is a file and a line here.

`evaluation.task` says what a task has to be.
"""

import importlib
from collections.abc import Iterator, Mapping

from evaluation.metric import Metric
from evaluation.result import Result


class _Tasks(Mapping[str, type]):
  """Name -> class, imported when it is looked up: what it needs takes time.

  Args:
    **classes: Name of a file -> name of its class.
  """

  def __init__(self, **classes: str) -> None:
    self._classes = classes

  def __getitem__(self, name: str) -> type:
    """Import a task."""
    class_name = self._classes[name]
    return getattr(importlib.import_module(f"evaluation.{name}"), class_name)

  def __iter__(self) -> Iterator[str]:
    """Iterate over the names."""
    return iter(self._classes)

  def __len__(self) -> int:
    """Count the tasks."""
    return len(self._classes)


TASKS = _Tasks(
  algo_loss="AlgoLoss",
  classification="Classification",
  cycle_consistency="CycleConsistency",
  event_completion="EventCompletion",
  few_shot_classification="FewShotClassification",
  kendalls_tau="KendallsTau",
  retrieval="Retrieval",
)

__all__ = ["TASKS", "Metric", "Result"]
