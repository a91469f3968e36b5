import math

import numpy as np
import pytest
import tensorflow as tf

from evaluation import TASKS
from tests.helpers import tiny
from tests.helpers.errors import message_of


class QuadraticLoss:
  """An algorithm whose loss can be computed in the head."""

  needs_labels = False
  num_traces = 0

  def __call__(self, batch, training):
    assert training is False
    self.num_traces += 1
    return 2 * batch["frames"]

  def compute_loss(self, embs, batch, training):
    assert training is False
    return tf.reduce_mean(embs * batch["frames"])


def batches(*values):
  return ({"frames": tf.constant([value, value])} for value in values)


@pytest.fixture
def task(config):
  config.EVAL.VAL_ITERS = 2
  return TASKS["algo_loss"](config)


def test_is_the_mean_of_val_iters_batches(task):
  train = batches(1.0, 2.0, 3.0)
  result = task.evaluate_batches(QuadraticLoss(), train, batches(3.0))
  assert result.scalars == {"algo_loss/train_loss": 5, "algo_loss/val_loss": 18}
  assert result.value == 18
  # No batch is taken that is not used.
  assert next(train)["frames"].numpy().tolist() == [3, 3]


def test_is_compiled_once(task):
  algo = QuadraticLoss()
  for first in (1.0, 2.0):
    result = task.evaluate_batches(algo, batches(first, 3.0), batches(first))
    assert result.value == 2 * first**2
  assert algo.num_traces == 1


def test_without_batches_or_with_nan_it_is_nan(task):
  arguments = (QuadraticLoss(), batches(1.0, math.nan), [])
  with pytest.warns(UserWarning, match="toy: algo_loss has no val batch; its"):
    result = task.evaluate_batches(*arguments, dataset_name="toy")
  assert math.isnan(result.value)
  assert all(math.isnan(loss) for loss in result.scalars.values())


@pytest.fixture(scope="module")
def classifier():
  classes = "CLASSIFICATION.NUM_CLASSES=3"
  return tiny.algorithm("TRAINING_ALGO=classification", classes)


def labeled_batch(labels, seed):
  batch = tiny.batch(seed=seed)
  return {**batch, "frame_labels": tf.constant(labels, tf.int64)}


def test_of_a_classifier_it_is_the_mean_over_labeled_frames(config, classifier):
  none = [-1, -1, -1]
  labels = [[0, -1, -1], none], [none, none], [[0, 1, 2], [2, 2, -1]]
  val = [labeled_batch(x, seed) for seed, x in enumerate(labels)]
  losses = []
  for batch in val:
    logits = classifier.head(tf.reshape(classifier(batch), [6, -1])).numpy()
    for row, label in zip(logits, np.ravel(batch["frame_labels"]), strict=True):
      if label >= 0:
        losses.append(np.log(np.exp(row).sum()) - row[label])
  assert len(losses) == 6
  result = TASKS["algo_loss"](config).evaluate_batches(classifier, val[:1], val)
  assert result.value == pytest.approx(np.mean(losses), rel=1e-5)
  first = pytest.approx(losses[0], rel=1e-5)
  assert result.scalars["algo_loss/train_loss"] == first


def test_of_a_classifier_without_labels_it_is_nan(task, classifier):
  labeled = labeled_batch(np.ones([2, 3]), 0)
  unlabeled = labeled_batch(np.full([2, 3], -1), 1)
  with pytest.warns(UserWarning) as caught:
    result = task.evaluate_batches(classifier, [labeled], [unlabeled])
  assert [str(warning.message) for warning in caught] == [
    "dataset: algo_loss has no label in the val batches, which classification"
    " needs; its val loss is NaN"
  ]
  assert math.isnan(result.value)
  assert math.isfinite(result.scalars["algo_loss/train_loss"])


def test_a_label_that_the_classifier_does_not_know(task, classifier):
  good = labeled_batch(np.full([2, 3], 2), 0)
  bad = labeled_batch([[0, 1, -1], [2, 3, 2]], 0)
  batches = (classifier, [good], [good, bad])
  message = message_of(task.evaluate_batches, *batches, dataset_name="toy")
  assert message.startswith(
    "toy_val: expected phases 0 to 2, with which the network was trained,"
    " received a frame of phase 3 in video 'video1'; convert"
  )
  assert "--set CLASSIFICATION.NUM_CLASSES=4" in message
