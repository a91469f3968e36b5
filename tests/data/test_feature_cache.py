import contextlib
import multiprocessing
import os
import signal
import threading

import numpy as np
import pytest
import tensorflow as tf

import config as configuration
from core.errors import UserError
from data import feature_cache, tfrecords
from data.feature_cache import FeatureCache, NoRoomError, View
from tests.helpers import record_files
from tests.helpers.errors import message_of

SHAPE = (2, 2, 3)
BFLOAT16 = np.dtype(tf.bfloat16.as_numpy_dtype)
JPEGS = [record_files.jpeg(0, number) for number in range(5)]


def write_records(folder, *lengths):
  contents = [record_files.bare(JPEGS[:length]) for length in lengths]
  return tfrecords.list_records(record_files.write(folder, [contents]))


@pytest.fixture
def records(tmp_path):
  return write_records(tmp_path, 5, 3)


def build(folder, *settings, facts=(), shape=SHAPE, dtype=BFLOAT16):
  settings = [f"DATA.CACHE_DIR={folder}/cache", *settings]
  config = configuration.load([], settings)
  return FeatureCache(config, dict(facts), shape, dtype)


def rows(view, length, shape=SHAPE):
  """Features that tell record, view and frame."""
  base = 1000 * view.record.offset + 100 * view.number
  values = base + np.arange(length * np.prod(shape))
  return values.reshape(length, *shape).astype(BFLOAT16)


def compute_rows(views):
  """Yields rows of several views at a time, as the network's batches do."""
  computed = np.concatenate([rows(view, length_of(view)) for view in views])
  yield from np.array_split(computed, 3)


def length_of(view):
  return 5 if view.record.offset < 100 else 3


def fill(cache, views, compute=compute_rows):
  cache.fill(views, compute)


def assert_holds(cache, views):
  for view in views:
    assert cache.holds(view)
    frames = np.array([2, 0, 0])
    found = cache.open(view)[frames]
    assert found.dtype == cache.dtype
    np.testing.assert_array_equal(found, rows(view, length_of(view))[frames])


def refuse(views):
  raise AssertionError(f"computed {views} again")
  yield


def list_files(folder):
  return [p for p in (folder / "cache").rglob("*") if p.is_file()]


def test_what_was_computed_once_is_read(tmp_path, records):
  cache = build(tmp_path)
  plain = [View(record) for record in records]
  augmented = [View(record, number) for record in records for number in (0, 1)]
  fill(cache, plain)
  fill(cache, augmented + plain)
  assert_holds(cache, plain + augmented)
  fill(build(tmp_path), plain + augmented, refuse)
  names = {path.name for path in list_files(tmp_path)}
  assert "about.json" in names and len(names) == 7


@pytest.mark.parametrize(
  "options",
  [
    {"facts": {"weights": "others"}},
    {"facts": {"image_size": 64}},
    {"shape": (2, 3, 2)},
    {"dtype": np.dtype(np.float32)},
  ],
)
def test_other_features_are_others(tmp_path, records, options):
  view = View(records[0])
  fill(build(tmp_path), [view])
  assert not build(tmp_path, **options).holds(view)


@pytest.mark.parametrize(
  "setting", ["SEED=1", "AUGMENTATION.HUE=true", "AUGMENTATION.RANDOM_FLIP=no"]
)
def test_views_depend_on_augmentation_and_seed(tmp_path, records, setting):
  view, plain = View(records[0], 0), View(records[0])
  fill(build(tmp_path), [view, plain])
  other = build(tmp_path, setting)
  assert not other.holds(view) and other.holds(plain)
  assert build(tmp_path, "AUGMENTATION.CACHED_VIEWS=3").holds(view)
  seeds = {
    build(tmp_path).make_seed(View(x, n)) for x in records for n in (0, 1)
  }
  assert len(seeds) == 4


def test_a_record_replaced_under_the_cache_is_computed_anew(tmp_path, records):
  cache, view = build(tmp_path), View(records[0])
  fill(cache, [view])
  contents = [record_files.bare(JPEGS[::-1]), record_files.bare(JPEGS[:3])]
  [path] = record_files.write(tmp_path, [contents])
  replaced = View(tfrecords.list_records([path])[0])
  assert replaced == view and not cache.holds(replaced)


def test_a_file_cut_anywhere_is_made_anew_or_refused(tmp_path, records):
  cache, view = build(tmp_path), View(records[0])
  fill(cache, [view])
  [path] = [p for p in list_files(tmp_path) if p.name != "about.json"]
  whole, opened = path.read_bytes(), cache.open(view)
  for size in range(0, len(whole)):
    path.write_bytes(whole[:size])
    assert not cache.holds(view)
    # One that is in use already.
    with contextlib.suppress(UserError):
      np.testing.assert_array_equal(opened[np.arange(5)], rows(view, 5))
    fill(cache, [view])
    assert_holds(cache, [view])


def test_changed_bytes_are_told(tmp_path, records):
  cache, view = build(tmp_path), View(records[0])
  fill(cache, [view])
  [path] = [p for p in list_files(tmp_path) if p.name != "about.json"]
  record_files.flip_bit(path, 30)
  assert cache.open(view)[np.array([0])].shape == (1, *SHAPE)
  assert message_of(cache.open(view).__getitem__, np.array([1])) == (
    f"{path}: expected the features of frame 1, received others; remove the"
    " file, which is made again"
  )


def test_it_says_how_much_it_takes_before_it_starts(
  tmp_path, records, monkeypatch
):
  told = []
  monkeypatch.setattr(
    feature_cache.logging, "info", lambda text, *args: told.append(text % args)
  )
  monkeypatch.setattr(feature_cache, "_GB", 1e2)
  cache = build(tmp_path, "DATA.CACHE_MAX_GB=3")
  fill(cache, [View(records[0])])
  assert len(told) == 1
  assert told[0].startswith("Caching the features of 1 videos or views in /")
  assert told[0].endswith(": they take 1.40 GB, there is room for 3.00 GB")
  message = message_of(fill, cache, [View(record, 1) for record in records])
  assert message.startswith(
    "DATA.CACHE_DIR: expected room for 2.24 GB of features in"
  )
  with pytest.raises(NoRoomError):
    fill(cache, [View(record, 1) for record in records], refuse)


def test_a_full_disk_leaves_nothing_half_written(tmp_path, records):
  def compute(views):
    yield rows(views[0], 5)
    raise OSError(28, "No space left on device")

  cache = build(tmp_path)
  views = [View(record) for record in records]
  message = message_of(fill, cache, views, compute)
  assert "received an error (No space left on device)" in message
  assert cache.holds(views[0]) and not cache.holds(views[1])
  assert len(list_files(tmp_path)) == 2  # With about.json.


def _fill_and_die(folder, records, is_writing):
  def compute(views):
    yield rows(views[0], 5)
    yield rows(views[1], 1)
    is_writing.set()
    threading.Event().wait()

  build(folder).fill([View(record) for record in records], compute)


def test_a_killed_process_leaves_nothing_that_is_read(tmp_path, records):
  context = multiprocessing.get_context("fork")
  is_writing = context.Event()
  arguments = (tmp_path, records, is_writing)
  process = context.Process(target=_fill_and_die, args=arguments)
  process.start()
  assert is_writing.wait(60)
  os.kill(process.pid, signal.SIGKILL)
  process.join()
  cache, views = build(tmp_path), [View(record) for record in records]
  assert cache.holds(views[0]) and not cache.holds(views[1])
  fill(cache, views)
  assert_holds(cache, views)
  assert len(list_files(tmp_path)) == 3  # Without remains.


def test_a_second_process_waits_and_reads(tmp_path, records):
  views = [View(record) for record in records]
  is_computing, may_go_on, done = (threading.Event() for _ in range(3))

  def compute_slowly(views):
    is_computing.set()
    may_go_on.wait()
    yield from compute_rows(views)

  first = threading.Thread(
    target=lambda: build(tmp_path).fill(views, compute_slowly)
  )
  second = threading.Thread(
    target=lambda: (build(tmp_path).fill(views, refuse), done.set())
  )
  first.start()
  is_computing.wait()
  second.start()
  may_go_on.set()
  first.join()
  second.join()
  assert done.is_set()
