"""Files written before the modules moved into rooms are still read.

Everything in `golden/previous` was written by the commands of commit 018c89c:
two training videos and one validation video of a bright square that crosses a
32-pixel frame, a run of two steps on them (`alignment_sal_tcn`, Adam), both of
its evaluations, and the embeddings of the validation video at step 2.
"""

import json
import math
import shutil

import numpy as np
import pytest

import config as configuration
import datasets
import embeddings
import extract_embeddings
import train
from core import run_directory
from evaluation import metrics
from tests.helpers import tiny_run
from tests.helpers.paths import GOLDEN_DIR

PREVIOUS = GOLDEN_DIR / "previous"
LENGTHS = {"a": 12, "b": 10, "c": 9}


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
  """A copy of the log directory, to continue the run in."""
  folder = tmp_path_factory.mktemp("previous") / "logs"
  return shutil.copytree(PREVIOUS / "logs", folder)


def load_config(logdir, *settings):
  settings = [f"PATH_TO_TFRECORDS={PREVIOUS / 'records'}", *settings]
  config = configuration.load([run_directory.config_file(logdir)], settings)
  config.LOGDIR = str(logdir)
  return config


@pytest.mark.parametrize("split, names", [("train", "ab"), ("val", "c")])
def test_records_have_their_frames_and_labels(logdir, split, names):
  config = load_config(logdir, f"EVAL.BATCH_SIZE={len(names)}")
  [batch] = datasets.eval_batches(config, "tiny", split)
  assert sorted(batch["name"].numpy().tolist()) == [n.encode() for n in names]
  keys = ("name", "seq_lens", "steps", "frame_labels", "frames")
  columns = (batch[key].numpy() for key in keys)
  for name, length, steps, labels, frames in zip(*columns, strict=True):
    assert length == LENGTHS[name.decode()]
    np.testing.assert_array_equal(labels, 3 * steps // length)
    # Columns of the rows in which the square is; the last context frame.
    columns = frames[:, -1, 8:20].mean((1, 3)) > 0.2
    np.testing.assert_array_equal(columns.argmax(1), steps * 24 // (length - 1))


def test_embeddings_file_has_its_arrays():
  stored = np.load(PREVIOUS / "embeddings.npy")
  loaded = embeddings.load(PREVIOUS / "embeddings.npy")
  assert loaded.keys() == set(stored) - {"offsets"}
  assert (loaded["names"], loaded["seq_lens"]) == (["c"], [9])
  for key, [value] in loaded.items():
    expected = stored[key] if len(stored[key]) == 9 else stored[key][0]
    np.testing.assert_array_equal(value, expected)


def test_checkpoint_embeds_as_before(logdir, tmp_path):
  config, path = load_config(logdir), tmp_path / "embeddings.npy"
  extract_embeddings.extract(config, "tiny", "val", path, keep_data=True)
  found = embeddings.load(path)
  expected = embeddings.load(PREVIOUS / "embeddings.npy")
  names = found.pop("names")
  assert names == expected.pop("names")
  # `dataset.json` states the rate and the files.
  assert found.pop("sources") == [f"{name}.mp4" for name in names]
  for times, steps in zip(found.pop("times"), found["steps"], strict=True):
    np.testing.assert_allclose(times, steps / 10)
  assert found.keys() == expected.keys()
  for key, values in found.items():
    np.testing.assert_allclose(values, expected[key], rtol=1e-4, atol=1e-5)


def test_training_continues_as_before(logdir):
  """Also the state of the optimizer and of dropout: losses are the same."""
  assert train.train(load_config(logdir, "TRAIN.MAX_ITERS=5"), True) == 0
  losses = tiny_run.curves(run_directory.train_logs(logdir))["loss"]
  expected = {2: 1.93238854, 3: 1.46250653, 4: 1.49804819}
  assert losses == pytest.approx(expected, rel=1e-3)


def test_metrics_have_their_values_and_table(logdir):
  lines = run_directory.metrics_file(logdir).read_text().splitlines()
  for step, line in zip((0, 2), lines, strict=True):
    stored = json.loads(line)
    assert stored.pop("step") == step
    del stored["details"]
    expected = {k: math.nan if v is None else v for k, v in stored.items()}
    values = metrics.read(logdir)[step]
    assert values == pytest.approx(expected, rel=1e-12, nan_ok=True)
  assert metrics.table(logdir) == (PREVIOUS / "table.txt").read_text().strip()
