import keras
import numpy as np
import pytest
import tensorflow as tf

import datasets
from algos.classification import Classification
from core.errors import UserError
from tests.helpers import record_files, tiny


def classifier(*settings):
  return tiny.algorithm(
    "TRAINING_ALGO=classification", "CLASSIFICATION.NUM_CLASSES=3", *settings
  )


def test_loss_is_the_mean_cross_entropy_of_labeled_frames():
  algo = classifier("CLASSIFICATION.LABEL_SMOOTHING=0.3")
  embs = tiny.frames(2, 3, 6).numpy()
  labels = np.array([[0, -1, 2], [1, 2, -1]])
  kernel, bias = algo.head.get_weights()
  losses = []
  for i, t in zip(*np.nonzero(labels >= 0), strict=True):
    logits = embs[i, t] @ kernel + bias
    log_p = logits - np.log(np.exp(logits).sum())
    target = np.full(3, 0.1) + 0.7 * np.eye(3)[labels[i, t]]
    losses.append(-target @ log_p)
  loss = algo.compute_loss(
    tf.constant(embs), {"frame_labels": tf.constant(labels)}
  )
  np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)


def test_frames_without_label_have_no_gradient():
  algo = classifier()
  embs = tiny.frames(1, 3, 6)
  with tf.GradientTape() as tape:
    tape.watch(embs)
    loss = algo.compute_loss(embs, {"frame_labels": tf.constant([[0, -1, 1]])})
  lengths = tf.norm(tape.gradient(loss, embs), axis=-1)
  np.testing.assert_array_equal(lengths > 0, [[True, False, True]])


def test_dropout_is_before_the_classifier():
  algo = classifier("CLASSIFICATION.DROPOUT_RATE=0.5")
  kinds = [type(layer) for layer in algo.head.layers[1:]]
  assert kinds == [keras.layers.Dropout, keras.layers.Dense]
  x = tiny.frames(4, 6)
  assert not np.array_equal(algo.head(x, training=True), algo.head(x))


def test_classes_are_those_of_the_training_labels(toy_config):
  # Toy videos of up to 30 frames and more have a label every 10 frames.
  config = toy_config("TRAINING_ALGO=classification", *tiny.SETTINGS[3:])
  assert Classification(config).head.output_shape == (
    None,
    datasets.count_phases(config),
  )
  longest = max(
    int(video["frame_labels"].max())
    for video in datasets.iterate_videos(config, "toy", "train")
  )
  assert datasets.count_phases(config) == longest + 1


def test_given_number_of_classes_holds_if_it_suffices(toy_config):
  def settings(number):
    return toy_config(f"CLASSIFICATION.NUM_CLASSES={number}")

  needed = datasets.count_phases(settings(0))
  assert datasets.count_phases(settings(needed)) == needed
  assert datasets.count_phases(settings(needed + 3)) == needed + 3
  with pytest.raises(UserError) as caught:
    datasets.count_phases(settings(needed - 1))
  assert str(caught.value) == (
    f"CLASSIFICATION.NUM_CLASSES: expected at least {needed}, as the training"
    f" videos of toy have labels from 0 to {needed - 1}, received {needed - 1};"
    " raise it, or set 0, which counts them"
  )


def test_two_data_sets_and_labels_that_are_off_are_refused(toy_config):
  with pytest.raises(UserError) as caught:
    Classification(toy_config("DATASETS=[toy, pouring]"))
  assert str(caught.value) == (
    "DATASETS: expected one data set for classification, as the phases of"
    " several differ, received toy, pouring; name one"
  )
  with pytest.raises(UserError, match=r"DATA\.FRAME_LABELS: expected true"):
    Classification(toy_config("DATA.FRAME_LABELS=false"))


def test_records_without_labels_are_refused(tmp_path):
  videos = [record_files.serialized(i, 6) for i in range(2)]
  record_files.write(tmp_path, [videos], "bare")
  config = tiny.config(
    "DATASETS=[bare]",
    f"PATH_TO_TFRECORDS={tmp_path}",
    "TRAINING_ALGO=classification",
  )
  with pytest.raises(UserError) as caught:
    Classification(config)
  assert str(caught.value) == (
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

  def settings(fraction):
    return tiny.config(
      "DATASETS=[late]",
      f"PATH_TO_TFRECORDS={tmp_path}",
      f"DATA.PER_DATASET_FRACTION={fraction}",
    )

  with pytest.raises(UserError) as caught:
    Classification(settings(0.5))
  assert "none in the first 2 of 4 training videos of late" in str(caught.value)
  assert datasets.count_phases(settings(0.75)) == 2
