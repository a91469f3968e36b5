"""Phase classification: how well a frame's embedding tells its phase."""

import functools

import numpy as np
from easydict import EasyDict
from scipy.stats.contingency import crosstab

from data.subsets import first_fraction
from embeddings.types import AnyVideos, as_split
from evaluation import frame_selection, plots
from evaluation.metric import Metric
from evaluation.result import Result
from evaluation.svm import PhaseClassifier, majority_accuracy


class Classification:
  """Accuracy of a support vector machine on single frames, paper section 4.1.

  It is fitted to the first part of the labeled training videos, for each of
  `EVAL.CLASSIFICATION_FRACTIONS`, and scored on the frames it was fitted to
  and on all validation frames. Headline: validation at the last fraction.
  """

  def __init__(self, config: EasyDict) -> None:
    self._fractions = [float(f) for f in config.EVAL.CLASSIFICATION_FRACTIONS]

  def evaluate_embeddings(
    self, dataset_name: str, train: AnyVideos, val: AnyVideos
  ) -> Result:
    """Compute the accuracies.

    Args:
      dataset_name: Name of the data set, for tags and warnings.
      train: Training videos.
      val: Validation videos; `class_names`, if there, names the phases in the
        plot and the table.

    Returns:
      Metrics `classification/{train,val}_{d}_{f}_accuracy`, in [0, 1]; of the
      last fraction also `classification/val_{d}_phase_{p}_accuracy`, and
      `classification/val_{d}_majority_accuracy`, what always naming the most
      frequent phase of training would give. Details: the videos and frames
      used for each fraction, and the confusion matrix. Images of that matrix
      and of accuracy over fraction. Empty, with a warning, when a split has no
      labels.
    """
    splits = frame_selection.labeled_videos(dataset_name, train=train, val=val)
    if splits is None:
      return Result.empty()
    class_names = dict(enumerate(as_split(val).class_names))
    metric = functools.partial(Metric, "classification", dataset=dataset_name)
    val_frames, val_labels = frame_selection.frames_and_labels(splits["val"])
    metrics, details, accuracies = [], {}, []
    for fraction in self._fractions:
      used = first_fraction(splits["train"], fraction)
      frames, labels = frame_selection.frames_and_labels(used)
      classifier = PhaseClassifier().fit(frames, labels)
      predictions = classifier.predict(val_frames)
      accuracy = float((predictions == val_labels).mean())
      accuracies.append([classifier.train_accuracy, accuracy])
      for split, value in zip(("train", "val"), accuracies[-1], strict=True):
        metrics.append(metric(split, name=f"{fraction}_accuracy", value=value))
      frames_used = frame_selection.count_frames(train=used, val=splits["val"])
      details[f"classification/{dataset_name}_{fraction}_used"] = frames_used
    majority = majority_accuracy(labels, val_labels)
    metrics.append(metric("val", name="majority_accuracy", value=majority))
    phases = np.union1d(val_labels, predictions).tolist()
    pair = val_labels, predictions
    counts = crosstab(*pair, levels=(phases, phases)).count
    names = [class_names.get(phase, "") for phase in phases]
    for i, phase in enumerate(phases):
      if total := counts[i].sum():  # Not if it is only predicted.
        name = f"phase_{phase}_accuracy"
        recall = float(counts[i, i] / total)
        metrics.append(metric("val", name=name, value=recall, title=names[i]))
    tag = f"classification/val_{dataset_name}_confusion"
    details[tag] = {"phases": phases, "names": names, "frames": counts.tolist()}
    amount = "fraction of labeled videos"
    curve = (accuracies, self._fractions, amount, majority)
    draw_curve = functools.partial(plots.draw_accuracy_curve, *curve)
    images = {
      tag: lambda: plots.draw_confusion_matrix(counts, phases, names),
      f"classification/{dataset_name}_accuracy": draw_curve,
    }
    return Result(accuracy, metrics, details, images)
