"""Phase classification: how well a frame's embedding tells its phase."""

import functools
from collections.abc import Mapping

import numpy as np
from easydict import EasyDict

from data.subsets import first_fraction
from evaluation import plots
from evaluation.result import LazyImages, Result
from evaluation.svm import PhaseClassifier, majority_accuracy
from evaluation.usable_frames import (
  counts,
  frames_and_labels,
  labeled_splits,
)


class Classification:
  """Accuracy of a support vector machine on single frames, paper section 4.1.

  It is fitted to the first part of the labeled training videos, for each of
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
      val: Validation videos, likewise; `class_names`, if there, names the
        phases in the plot and the table.

    Returns:
      Scalars `classification/{train,val}_{d}_{f}_accuracy`, in [0, 1]; of the
      last fraction also `classification/val_{d}_phase_{p}_accuracy`, and
      `classification/val_{d}_majority_accuracy`, what always naming the most
      frequent phase of training would give. Details: the videos and frames
      used for each fraction, and the confusion matrix. Images of that matrix
      and of accuracy over fraction. Empty, with a warning, when a split has no
      labels.
    """
    splits = labeled_splits(dataset_name, train=train, val=val)
    if splits is None:
      return Result.empty()
    val_frames, val_labels = frames_and_labels(splits["val"])
    scalars, details = {}, {}
    accuracies = {"train": [], "val": []}
    for fraction in self._fractions:
      used = first_fraction(splits["train"], fraction)
      frames, labels = frames_and_labels(used)
      classifier = PhaseClassifier(frames, labels)
      predictions = classifier.predict(val_frames)
      accuracies["train"].append(classifier.train_accuracy)
      accuracies["val"].append(float((predictions == val_labels).mean()))
      for split, values in accuracies.items():
        name = f"{split}_{dataset_name}_{float(fraction)}"
        scalars[f"classification/{name}_accuracy"] = values[-1]
      details[f"classification/{dataset_name}_{float(fraction)}_used"] = counts(
        {"train": used, "val": splits["val"]}
      )
    prefix = f"classification/val_{dataset_name}"
    majority = majority_accuracy(labels, val_labels)
    scalars[f"{prefix}_majority_accuracy"] = majority
    phases, confusions = confusion(val_labels, predictions)
    names = dict(enumerate(val.get("class_names", ())))
    details[f"{prefix}_titles"] = titles = {}
    for phase, row, right in zip(
      phases.tolist(), confusions, confusions.diagonal(), strict=True
    ):
      tag = f"{prefix}_phase_{phase}_accuracy"
      if row.any():
        scalars[tag] = float(right / row.sum())
      if phase in names:
        titles[tag] = names[phase]
    details[f"{prefix}_confusion"] = {
      "phases": phases.tolist(),
      "frames": confusions.tolist(),
    }
    images = {
      f"{prefix}_confusion": functools.partial(
        plots.confusion_matrix, confusions, phases.tolist(), names
      ),
      f"classification/{dataset_name}_accuracy": functools.partial(
        plots.accuracy_curve,
        accuracies,
        self._fractions,
        "fraction of labeled videos",
        majority,
      ),
    }
    return Result(accuracies["val"][-1], scalars, details, LazyImages(images))


def confusion(
  labels: np.ndarray, predictions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Counts which phase is taken for which.

  Args:
    labels: [F] true phases.
    predictions: [F] predicted phases.

  Returns:
    [P] phases that occur in either, and [P, P] frames: a row for each true
    phase, a column for each predicted one.
  """
  both = np.concatenate([labels, predictions])
  phases, index = np.unique(both, return_inverse=True)
  counted = np.zeros((len(phases), len(phases)), np.int64)
  np.add.at(counted, (index[: len(labels)], index[len(labels) :]), 1)
  return phases, counted
