"""Tasks that measure frozen embeddings; a new one is a file and a line here.

`evaluation.task` says what a task has to be.
"""

import collections
import importlib

from evaluation.metric import Metric
from evaluation.result import Result


class _Tasks(collections.UserDict[str, type]):
  """Classes by name, imported when one is looked up: what they need is slow.

  The name of a task is that of its file.
  """

  def __getitem__(self, name: str) -> type:
    """Import a task."""
    class_name = self.data[name]
    return getattr(importlib.import_module(f"evaluation.{name}"), class_name)


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
