"""Phase classification: how well a frame's embedding tells its phase."""

from collections.abc import Mapping

from easydict import EasyDict

from evaluation.result import Result
from evaluation.svm import PhaseClassifier
from evaluation.usable_frames import (
  first_fraction,
  frames_and_labels,
  labelled_splits,
)


class Classification:
  """Accuracy of a support vector machine on single frames, paper section 4.1.

  It is fitted to the first part of the labelled training videos, for each of
  `EVAL.CLASSIFICATION_FRACTIONS`, and scored on the frames it was fitted to
  and on all validation frames. Headline: validation at the last fraction.
  """

  def __init__(self, config: EasyDict) -> None:
    """Takes `EVAL.CLASSIFICATION_FRACTIONS` from the configuration."""
    self._fractions = config.EVAL.CLASSIFICATION_FRACTIONS

  def evaluate_embeddings(
    self, dataset_name: str, train: Mapping, val: Mapping
  ) -> Result:
    """Computes the accuracies.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos, as `embeddings.load` returns them.
      val: Validation videos, likewise.

    Returns:
      Scalars `classification/{train,val}_{d}_{f}_accuracy`, in [0, 1]; empty,
      with a warning, when a split has no labels.
    """
    splits = labelled_splits(dataset_name, train, val)
    if splits is None:
      return Result.empty()
    val_frames, val_labels = frames_and_labels(splits["val"])
    scalars = {}
    for fraction in self._fractions:
      frames, labels = frames_and_labels(
        first_fraction(splits["train"], fraction)
      )
      classifier = PhaseClassifier(frames, labels)
      accuracies = {
        "train": classifier.train_accuracy,
        "val": classifier.accuracy(val_frames, val_labels),
      }
      for split, accuracy in accuracies.items():
        tag = (
          f"classification/{split}_{dataset_name}_{float(fraction)}_accuracy"
        )
        scalars[tag] = accuracy
    return Result(value=accuracies["val"], scalars=scalars)
