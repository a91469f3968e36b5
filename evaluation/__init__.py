"""Tasks that measure frozen embeddings; a new one is a file and a line here.

`evaluation.task` says what a task has to be.
"""

from evaluation.algo_loss import AlgoLoss
from evaluation.classification import Classification
from evaluation.cycle_consistency import CycleConsistency
from evaluation.event_completion import EventCompletion
from evaluation.few_shot_classification import FewShotClassification
from evaluation.kendalls_tau import KendallsTau
from evaluation.metric import Metric
from evaluation.result import Result
from evaluation.retrieval import Retrieval

TASKS = {
  "algo_loss": AlgoLoss,
  "classification": Classification,
  "cycle_consistency": CycleConsistency,
  "event_completion": EventCompletion,
  "few_shot_classification": FewShotClassification,
  "kendalls_tau": KendallsTau,
  "retrieval": Retrieval,
}

__all__ = ["TASKS", "Metric", "Result"]
