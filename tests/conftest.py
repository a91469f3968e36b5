import os
import signal

import pytest
import tensorflow as tf

import config
from tests.helpers import record_files, tiny_run

# A shell that starts the tests in the background makes them ignore Ctrl-C, and
# with them the processes that they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What AutoGraph can't convert is an error, not a warning.
os.environ["AUTOGRAPH_STRICT_CONVERSION"] = "1"

# Two replicas on one CPU; what names no device runs on the first.
tf.config.set_logical_device_configuration(
  tf.config.list_physical_devices("CPU")[0],
  [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(scope="session")
def toy_records(tmp_path_factory):
  """A folder with 7 train videos in 2 files and 2 val videos of a data set.

  Frame t of train video i has label t // 10, the video has label i % 3; odd
  videos have frames of another size. Val has no labels.
  """
  folder = tmp_path_factory.mktemp("toy")
  train = []
  for index, length in enumerate(record_files.TOY_LENGTHS):
    size = (24, 16) if index % 2 else (16, 16)
    labels = [frame // 10 for frame in range(length)]
    record = record_files.serialized(index, length, size, labels, index % 3)
    train.append(record)
  record_files.write(folder, [train[:3], train[3:]])
  val = [record_files.serialized(index, 20) for index in (8, 9)]
  record_files.write(folder, [val], split="val")
  return folder


@pytest.fixture
def toy_config(toy_records):
  """Makes configurations for the toy records: small, nothing augmented."""

  def make(*settings):
    augmentations = ("RANDOM_FLIP", "BRIGHTNESS", "CONTRAST")
    plain = [f"AUGMENTATION.{name}=false" for name in augmentations]
    small = ["IMAGE_SIZE=16", "TRAIN.NUM_FRAMES=8", "TRAIN.MAX_ITERS=12"]
    data = ["DATASETS=[toy]", f"PATH_TO_TFRECORDS={toy_records}"]
    return config.load(settings=[*data, *small, *plain, *settings])

  return make


@pytest.fixture(scope="session")
def tiny_records(tmp_path_factory):
  """A folder with 4 train and 3 val videos of the data set `tiny`."""
  folder = tmp_path_factory.mktemp("tiny_tfrecords")
  tiny_run.write_records(folder)
  return folder


@pytest.fixture(scope="session")
def trained(tiny_records, tmp_path_factory):
  """A run of 4 steps with checkpoints at 0, 2 and 4, to be read only."""
  logdir = tmp_path_factory.mktemp("trained")
  return tiny_run.train(tiny_run.config(tiny_records, logdir))
