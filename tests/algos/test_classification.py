import keras
import numpy as np
import pytest
import tensorflow as tf

import datasets
from algos.alignment import Alignment
from algos.classification import Classification, ClassificationLoss
from core.errors import UserError
from tests.helpers import record_files, tiny
from tests.helpers.errors import message_of


def built_loss(*settings):
  keras.utils.set_random_seed(0)
  config = tiny.config("CLASSIFICATION.NUM_CLASSES=3", *settings)
  loss = ClassificationLoss(config)
  loss.build(6)
  return loss


def test_loss_is_the_mean_cross_entropy_of_labeled_frames():
  loss = built_loss("CLASSIFICATION.LABEL_SMOOTHING=0.3")
  embs = tiny.frames(2, 3, 6).numpy()
  labels = np.array([[0, -1, 2], [1, 2, -1]])
  kernel, bias = loss.head.get_weights()
  losses = []
  for i, t in zip(*np.nonzero(labels >= 0), strict=True):
    logits = embs[i, t] @ kernel + bias
    log_p = logits - np.log(np.exp(logits).sum())
    target = np.full(3, 0.1) + 0.7 * np.eye(3)[labels[i, t]]
    losses.append(-target @ log_p)
  batch = {"frame_labels": tf.constant(labels)}
  received = loss(tf.constant(embs), batch, seed=None, training=True)
  np.testing.assert_allclose(received, np.mean(losses), rtol=1e-5)


def test_frames_without_label_have_no_gradient():
  loss, embs = built_loss(), tiny.frames(1, 3, 6)
  batch = {"frame_labels": tf.constant([[0, -1, 1]])}
  with tf.GradientTape() as tape:
    tape.watch(embs)
    value = loss(embs, batch, seed=None, training=True)
  lengths = tf.norm(tape.gradient(value, embs), axis=-1)
  np.testing.assert_array_equal(lengths > 0, [[True, False, True]])


def test_dropout_is_before_the_classifier():
  head = built_loss("CLASSIFICATION.DROPOUT_RATE=0.5").head
  kinds = [type(layer) for layer in head.layers[1:]]
  assert kinds == [keras.layers.Dropout, keras.layers.Dense]
  x = tiny.frames(4, 6)
  assert not np.array_equal(head(x, training=True), head(x))


def test_classes_are_resolved_before_the_network_is_built(toy_config):
  config = toy_config("TRAINING_ALGO=classification")
  assert message_of(ClassificationLoss, config) == (
    "CLASSIFICATION.NUM_CLASSES: expected the number of phases, received 0; set"
    " it, or count them with Classification.resolve(config,"
    " datasets.count_phases)"
  )
  resolved = Classification.resolve(config, datasets.count_phases)
  longest = max(
    int(video["frame_labels"].max())
    for video in datasets.iterate_videos(config, "toy", "train")
  )
  assert resolved.CLASSIFICATION.NUM_CLASSES == longest + 1
  assert config.CLASSIFICATION.NUM_CLASSES == 0
  assert Alignment.resolve(config, count_phases=None) is config
  loss = ClassificationLoss(resolved)
  loss.build(5)
  assert loss.head.output_shape == (None, longest + 1)


def test_given_number_of_classes_holds_if_it_suffices(toy_config):
  def settings(number):
    return toy_config(f"CLASSIFICATION.NUM_CLASSES={number}")

  needed = datasets.count_phases(settings(0))
  assert datasets.count_phases(settings(needed)) == needed
  assert datasets.count_phases(settings(needed + 3)) == needed + 3
  assert message_of(datasets.count_phases, settings(needed - 1)) == (
    f"CLASSIFICATION.NUM_CLASSES: expected at least {needed}, as the training"
    f" videos of toy have labels from 0 to {needed - 1}, received {needed - 1};"
    " raise it, or set 0, which counts them"
  )


def test_two_data_sets_and_labels_that_are_off_are_refused(toy_config):
  config = toy_config("DATASETS=[toy, pouring]")
  assert message_of(datasets.count_phases, config) == (
    "DATASETS: expected one data set for classification, as the phases of"
    " several differ, received toy, pouring; name one"
  )
  with pytest.raises(UserError, match=r"DATA\.FRAME_LABELS: expected true"):
    datasets.count_phases(toy_config("DATA.FRAME_LABELS=false"))


def test_records_without_labels_are_refused(tmp_path):
  videos = [record_files.serialized(i, 6) for i in range(2)]
  record_files.write(tmp_path, [videos], "bare")
  config = tiny.config("DATASETS=[bare]", f"PATH_TO_TFRECORDS={tmp_path}")
  assert message_of(datasets.count_phases, config) == (
    f"{tmp_path}/bare_train-0-of-1.tfrecord: expected labels of frames for"
    " classification, received none in the first 2 of 2 training videos of"
    " bare; convert the videos with --label_file, raise"
    " DATA.PER_DATASET_FRACTION, or choose another TRAINING_ALGO"
  )


def test_labels_outside_the_part_that_is_used_do_not_count(tmp_path):
  labels = (None, [-1] * 6, [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1])
  videos = [
    record_files.serialized(i, 6, frame_labels=of_video)
    for i, of_video in enumerate(labels)
  ]
  record_files.write(tmp_path, [videos[:3], videos[3:]], "late")

  config = tiny.config("DATASETS=[late]", f"PATH_TO_TFRECORDS={tmp_path}")
  config.DATA.PER_DATASET_FRACTION = 0.5
  with pytest.raises(UserError, match="first 2 of 4 training videos of late"):
    datasets.count_phases(config)
  config.DATA.PER_DATASET_FRACTION = 0.75
  assert datasets.count_phases(config) == 2
