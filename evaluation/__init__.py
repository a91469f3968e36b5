"""Tasks that measure frozen embeddings; a new one is a file and a line here.

A task is built with the configuration and has one of two methods:

- `evaluate_embeddings(dataset_name, train, val)`: `train` and `val` are the
  dicts of lists that `embeddings.load` returns.
- `evaluate_batches(algo, train_batches, val_batches)`: for what needs the
  network itself; `dataset_name` may follow, for messages.

Both return a `Result`. Tasks neither read files nor write logs; what a user
should know about the data goes through Python's `warnings`.
"""

from evaluation.algo_loss import AlgoLoss
from evaluation.classification import Classification
from evaluation.cycle_consistency import CycleConsistency
from evaluation.event_completion import EventCompletion
from evaluation.few_shot_classification import FewShotClassification
from evaluation.kendalls_tau import KendallsTau
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

__all__ = ["TASKS", "Result"]
