import os
import re

import numpy as np
import pytest
import tensorflow as tf

import config
import datasets
from core.errors import UserError
from data.batches import Batches
from data.sampling import FrameSampler, PositivePairSampler
from tests.helpers import record_files
from tests.helpers.processes import run_python
from tests.helpers.record_files import TOY_LENGTHS


def batches_of(configuration, batch_size=3, **keywords):
  return as_numpy(datasets.train_batches(configuration, batch_size, **keywords))


def as_numpy(batches):
  return [{key: x.numpy() for key, x in batch.items()} for batch in batches]


def load(folder, *settings):
  """A configuration for the records of a folder: small, two steps."""
  small = ["IMAGE_SIZE=16", "TRAIN.NUM_FRAMES=2", "TRAIN.MAX_ITERS=2"]
  data = ["DATASETS=[toy]", f"PATH_TO_TFRECORDS={folder}"]
  return config.load(settings=[*data, *small, *settings])


def names(batch):
  return [int(name.split()[-1]) for name in batch["name"]]


def assert_same(batches, others):
  assert len(batches) == len(others) > 0
  for batch, other in zip(batches, others, strict=True):
    for key in batch:
      np.testing.assert_array_equal(batch[key], other[key], strict=True)


def test_batch_has_the_keys_shapes_and_types_of_the_contract(toy_config):
  settings = toy_config("DATA.NUM_STEPS=3", "TRAIN.MAX_ITERS=1")
  sampler = PositivePairSampler(settings.DATA, settings.TCN.POSITIVE_WINDOW)
  data = datasets.train_batches(settings, 3, sampler=sampler)
  expected = {
    **{"frames": ((3, 16, 3, 16, 16, 3), "float32"), "name": ((3,), "string")},
    **dict.fromkeys(("seq_lens", "seq_labels"), ((3,), "int64")),
    **dict.fromkeys(("steps", "frame_labels"), ((3, 16), "int64")),
  }
  [batch] = data
  for found in (data.dataset.element_spec, batch):
    shapes = {key: (tuple(x.shape), x.dtype.name) for key, x in found.items()}
    assert shapes == expected


@pytest.mark.parametrize("kind", [FrameSampler, PositivePairSampler])
def test_pixels_are_those_of_the_frames_that_the_batch_names(toy_config, kind):
  settings = toy_config("DATA.NUM_STEPS=3", "DATA.FRAME_STRIDE=4")
  sampler = kind(settings.DATA, *[4] * (kind is PositivePairSampler))
  for batch in batches_of(settings, sampler=sampler):
    expected = np.maximum(batch["steps"][..., None] - np.array([8, 4, 0]), 0)
    found = record_files.frame_numbers(batch["frames"])
    np.testing.assert_array_equal(found, expected)
    videos = record_files.video_numbers(batch["frames"])
    for row, number in enumerate(names(batch)):
      assert (videos[row] == number).all()
      assert batch["seq_lens"][row] == TOY_LENGTHS[number]
      assert batch["seq_labels"][row] == number % 3
    np.testing.assert_array_equal(batch["frame_labels"], batch["steps"] // 10)


def test_frames_that_are_the_same_stay_the_same_when_augmented(toy_config):
  switches = ("RANDOM_FLIP", "RANDOM_CROP", "BRIGHTNESS", "CONTRAST")
  augmentation = [f"AUGMENTATION.{name}=true" for name in switches]
  settings = toy_config("DATA.PER_DATASET_FRACTION=0", *augmentation)
  seen = set()
  for batch in batches_of(settings):
    # The only video has one frame: each place of each batch has its own draw.
    for frames in batch["frames"]:
      assert (frames == frames[:1, :1]).all()
      seen.add(frames.tobytes())
  assert len(seen) > 30


def test_continuing_gives_the_batches_the_full_run_sees(toy_config):
  augmentation = ("RANDOM_FLIP=true", "BRIGHTNESS=true")
  settings = toy_config(*(f"AUGMENTATION.{x}" for x in augmentation))
  full = batches_of(settings)
  assert len(full) == 12
  for start in (1, 5, 11):
    assert_same(batches_of(settings, start_step=start), full[start:])
  for start in (12, 20):
    assert batches_of(settings, start_step=start) == []


def test_batches_follow_from_the_seed(toy_config):
  first = batches_of(toy_config("SEED=5"))
  assert_same(first, batches_of(toy_config("SEED=5")))
  other = batches_of(toy_config("SEED=6"))
  assert [names(b) for b in first] != [names(b) for b in other]
  assert (first[0]["steps"] != other[0]["steps"]).any()


def choices(num_videos, batch_size, num_steps, seed=0, block=0):
  """Video numbers [num_steps, batch_size] of a single data set."""
  choose, steps = datasets.choose_records, range(num_steps)
  return choose([num_videos], steps, batch_size, seed, block)


@pytest.mark.parametrize("num_videos, batch_size", [(8, 2), (7, 3), (4, 4)])
@pytest.mark.parametrize("block", [0, 1, 3])
def test_an_epoch_has_every_video_once(num_videos, batch_size, block):
  length = num_videos // batch_size
  rows = choices(num_videos, batch_size, 40 * length, block=block)
  for epoch in np.split(rows, 40):
    # What remains after the last whole batch waits for another epoch.
    assert len(set(epoch.flat)) == length * batch_size
  counts = np.bincount(rows.flat, minlength=num_videos)
  # Nobody always remains.
  assert counts.min() > 0.7 * counts.mean()


def test_epochs_are_shuffled_each_in_its_own_way():
  rows = choices(num_videos=6, batch_size=2, num_steps=3 * 50)
  assert len({tuple(epoch.flat) for epoch in np.split(rows, 50)}) > 40
  assert np.bincount(rows[::3, 0], minlength=6).min() > 0
  assert (choices(6, 2, 9, seed=1) != rows[:9]).any()


def test_too_few_videos_for_a_batch_are_spread_evenly():
  for row in choices(num_videos=3, batch_size=7, num_steps=20):
    assert sorted(np.bincount(row, minlength=3)) == [2, 2, 3]


def test_shuffle_queue_bounds_how_far_a_video_moves():
  rows = choices(num_videos=12, batch_size=4, num_steps=30, block=4)
  assert [set(row // 4) for row in rows] == [{0}, {1}, {2}] * 10
  assert len({tuple(row) for row in rows}) > 20
  in_order = choices(num_videos=5, batch_size=2, num_steps=5, block=1)
  assert in_order.tolist() == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]


def test_shuffle_queue_size_is_taken_from_the_configuration(toy_config):
  rows = [names(b) for b in batches_of(toy_config("DATA.SHUFFLE_QUEUE_SIZE=1"))]
  assert rows[:3] == [[0, 1, 2], [3, 4, 5], [6, 0, 1]]


def test_data_sets_take_turns_each_with_epochs_of_its_own():
  sizes, batch_size = [4, 9, 2], 2
  rows = datasets.choose_records(sizes, range(60), batch_size, 3, 0)
  numbers = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
  for dataset, videos in enumerate(numbers):
    mine = rows[dataset::3]
    length = len(videos) // batch_size
    for epoch in np.split(mine, range(length, len(mine), length)):
      assert len(set(epoch.flat)) == epoch.size
      assert set(epoch.flat) <= set(videos)
  # A run that continues goes on with the same choices.
  for start in (1, 31, 60, 70):
    rest = datasets.choose_records(sizes, range(start, 60), batch_size, 3, 0)
    np.testing.assert_array_equal(rest, rows[start:])


def test_batches_of_data_sets_that_take_turns(tmp_path):
  for index, name in enumerate(("run", "jump", "swim")):
    (tmp_path / name).mkdir()
    shard = [record_files.serialized(index, 12)] * 2
    record_files.write(tmp_path / name, [shard], dataset=name)
  settings = load(f"{tmp_path}/%s", "DATASETS=[run,jump,swim]")
  settings.TRAIN.MAX_ITERS = 7
  rows = [names(batch) for batch in batches_of(settings, 2)]
  assert rows == [[i % 3] * 2 for i in range(7)]


@pytest.mark.parametrize(
  "fraction, number", [(0, 1), (0.1, 1), (0.5, 3), (0.99, 6), (1, 7)]
)
def test_fraction_keeps_the_first_training_videos(toy_config, fraction, number):
  settings = toy_config(f"DATA.PER_DATASET_FRACTION={fraction}")
  kept = datasets.list_training_records(settings, "toy")
  # Evaluation sees all of them.
  full = datasets.list_split_records(settings, "toy", "train")
  assert len(full) == 7 and kept == full[:number]
  drawn = {names(batch)[0] for batch in batches_of(settings, 1)}
  assert drawn == set(range(number))


def test_per_class_reads_every_file_of_the_split(tmp_path):
  shard = [record_files.serialized(0, 2)]
  paths = [record_files.write(tmp_path, [shard], x) for x in ("cat", "dog")]
  settings = load(tmp_path, "DATA.PER_CLASS=true")
  records = datasets.list_split_records(settings, "any", "train")
  assert [[record.path] for record in records] == paths
  settings.DATA.PER_CLASS = False
  with pytest.raises(UserError, match=r"any_train-\*-of-\*.tfrecord: expected"):
    datasets.list_split_records(settings, "any", "train")


JPEG = record_files.jpeg(0, 0)


def test_a_record_that_ends_in_zero_bytes_is_read_whole(tmp_path):
  # The order of fields is free; here a label that is 0 comes last.
  record = record_files.bare([JPEG] * 2) + record_files.bare([], [2, 0])
  assert record.endswith(b"\0")
  record_files.write(tmp_path, [[record]])
  batch = batches_of(load(tmp_path, "DATA.RANDOM_OFFSET=0"), 1)[0]
  assert batch["frame_labels"].tolist() == [[2, 0]]


def test_evaluation_batches_are_the_same_each_time_and_not_augmented(
  toy_config,
):
  small = ("EVAL.VAL_ITERS=4", "EVAL.BATCH_SIZE=2", "EVAL.NUM_FRAMES=5")
  settings = toy_config("AUGMENTATION.BRIGHTNESS=true", *small)
  for split, numbers in (("train", set(range(7))), ("val", {8, 9})):
    data = datasets.eval_batches(settings, "toy", split)
    batches = as_numpy(data)
    assert len(batches) == 4
    assert_same(batches, as_numpy(data))
    for batch in batches:
      assert batch["frames"].shape == (2, 5, 2, 16, 16, 3)
      found = record_files.frame_numbers(batch["frames"][:, :, -1])
      np.testing.assert_array_equal(found, batch["steps"])
      assert set(names(batch)) <= numbers


def test_videos_come_in_order_with_encoded_frames(toy_config):
  videos = list(datasets.iterate_videos(toy_config(), "toy", "train"))
  assert [v["seq_len"] for v in videos] == list(TOY_LENGTHS)
  assert [v["name"] for v in videos] == [b"video %d" % i for i in range(7)]
  assert [v["seq_label"] for v in videos] == [i % 3 for i in range(7)]
  for number, video in enumerate(videos):
    length = TOY_LENGTHS[number]
    assert video["frame_labels"].tolist() == [t // 10 for t in range(length)]
    size = (24, 16) if number % 2 else (16, 16)
    assert video["jpegs"][-1] == record_files.jpeg(number, length - 1, size)


def assert_told(settings, message, split="train"):
  """Both ways to read records tell of the damage."""
  with pytest.raises(UserError, match=message):
    list(datasets.iterate_videos(settings, "toy", split))
  batches = datasets.eval_batches(settings, "toy", split)
  if split == "train":
    batches = datasets.train_batches(settings, 2)
  with pytest.raises(UserError, match=message):
    list(batches)


@pytest.mark.parametrize(
  "record, message",
  [
    (b"\xff\xff\xff", "expected a SequenceExample"),
    (record_files.bare([JPEG] * 2, [0, 1, 2]), "expected 2 frame_labels"),
    (record_files.bare([]), "expected frames under the key `video`"),
    # Whether the frame that is no JPEG is sampled or not.
    (
      record_files.bare([JPEG, b"no JPEG"]),
      "JPEG images, received other data as frame 1",
    ),
  ],
)
def test_a_damaged_record_among_the_videos_is_named(tmp_path, record, message):
  sound = record_files.bare([JPEG] * 2)
  [path] = record_files.write(tmp_path, [[sound, record]])
  assert_told(load(tmp_path), f"{re.escape(str(path))}.*{message}")


@pytest.mark.parametrize("split", ["train", "val"])
def test_bytes_that_changed_are_told_by_batches_and_videos(tmp_path, split):
  records = [record_files.bare([JPEG] * 2)] * 3
  [path] = record_files.write(tmp_path, [records], split=split)
  record_files.flip_bit(path, -20)
  message = rf"{re.escape(str(path))}: record at byte \d+: expected data that"
  assert_told(load(tmp_path), message, split)


def test_records_that_are_missing_stop_before_the_first_batch(tmp_path):
  with pytest.raises(UserError, match=r"toy_train-\*-of-\*.tfrecord: expected"):
    datasets.train_batches(load(tmp_path), 2)
  [path] = record_files.write(tmp_path, [[]])
  with pytest.raises(UserError, match=f"{path}: expected videos, received non"):
    datasets.train_batches(load(tmp_path), 2)


def test_labels_of_frames_can_be_left_out_even_if_they_are_wrong(tmp_path):
  record = record_files.sequence_example("clip", [JPEG] * 3, [0, 1], 7)
  record_files.write(tmp_path, [[record]])
  settings = load(tmp_path, "DATA.FRAME_LABELS=false")
  [video] = datasets.iterate_videos(settings, "toy", "train")
  assert video["frame_labels"].tolist() == [-1] * 3
  for batch in batches_of(settings, 1):
    assert (batch["frame_labels"] == -1).all()
    assert batch["seq_labels"].tolist() == [7]


def test_batches_leave_other_errors_alone():
  def other():
    yield "batch"
    raise tf.errors.InvalidArgumentError(None, None, "something else")

  batches = iter(Batches(other(), []))
  assert next(batches) == "batch"
  with pytest.raises(tf.errors.InvalidArgumentError, match="something else"):
    next(batches)


def test_the_tuner_does_not_delay_the_end(toy_config):
  """Its thread sleeps for up to a minute, and the end waits for it."""
  settings = toy_config("EVAL.VAL_ITERS=1")
  for batches in (
    datasets.train_batches(settings, 3),
    datasets.eval_batches(settings, "toy", "val"),
  ):
    assert batches.dataset.options().autotune.enabled is False


def test_a_script_may_leave_an_iterator_alive(toy_records):
  """Also while a slow disk is read for it."""
  code = (
    "import core.quiet_tensorflow\n"
    "import threading, time\n"
    "import config, datasets\n"
    "from data import encoded_frames\n"
    "reading, read_soon = threading.Event(), threading.Event()\n"
    "def read_slowly(*args):\n"
    "  if read_soon.is_set():\n"
    "    reading.set()\n"
    "    time.sleep(0.2)\n"
    "encoded_frames.EncodedFrames._check = read_slowly\n"
    "c = config.load(settings=['DATASETS=[toy]', 'IMAGE_SIZE=64',"
    f" 'PATH_TO_TFRECORDS={toy_records}'])\n"
    "batches = datasets.train_batches(c, 3)\n"
    "running = iter(batches)\n"
    "print(next(running)['frames'].shape[0])\n"
    "read_soon.set()\n"
    "while not reading.wait(0.1):\n"
    "  next(running)\n"
  )
  # Set by whoever imported TensorFlow quietly, it would keep others from that.
  env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
  done = run_python("-c", code, env=env, timeout=100)
  assert (done.returncode, done.stderr) == (0, "")
  assert done.stdout == "3\n"
