import copy
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import (
  EventAccumulator,
)

import config as configuration
import evaluate
import models
import train
from algos.alignment import Alignment
from core import run_directory
from core.errors import UserError
from evaluation import metrics
from tests.helpers import tiny_run
from training import checkpoints
from training import log as train_log

pytestmark = pytest.mark.usefixtures("one_replica")


def weights(config):
  path = checkpoints.latest_checkpoint(config.LOGDIR)
  reader = tf.train.load_checkpoint(path)
  return {
    key: reader.get_tensor(key)
    for key in reader.get_variable_to_shape_map()
    if reader.get_variable_to_dtype_map()[key] == tf.float32
  }


def test_training_writes_checkpoints_curves_and_configuration(
  tiny_records, tmp_path
):
  config = tiny_run.config(tiny_records, tmp_path)
  assert train.train(config) == 0
  saved = run_directory.list_checkpoints(tmp_path)
  assert [step for step, _ in saved] == [0, 2, 4]
  assert configuration.of_logdir(tmp_path) == config
  logged = tiny_run.curves(tmp_path / "train_logs")
  assert set(logged) == {
    "loss",
    "reg_loss",
    "learning_rate",
    "timing/time_per_iter",
  }
  assert set(logged["loss"]) == {0, 2, 3}
  assert all(math.isfinite(v) for v in logged["loss"].values())


def test_interrupted_run_continues_exactly(tiny_records, tmp_path):
  whole = tiny_run.config(tiny_records, tmp_path / "whole")
  train.train(whole)
  parts = tiny_run.config(tiny_records, tmp_path / "parts", "TRAIN.MAX_ITERS=2")
  train.train(parts)
  parts.TRAIN.MAX_ITERS = 4
  with pytest.raises(UserError, match="already has training logs; .*--force"):
    train.train(parts)
  train.train(parts, force_train=True)
  expected = weights(whole)
  for key, value in weights(parts).items():
    if key.startswith(("cnn", "emb")):
      np.testing.assert_allclose(
        value, expected[key], rtol=1e-4, atol=1e-6, err_msg=key
      )


@pytest.mark.parametrize("name", ["train_logs", "checkpoint", "ckpt-3.index"])
def test_what_training_wrote_is_not_written_over(tiny_records, tmp_path, name):
  (tmp_path / name).touch()
  config = tiny_run.config(tiny_records, tmp_path)
  with pytest.raises(UserError, match="already has training logs; .*--force"):
    train.train(config)


def test_the_speed_is_that_after_the_first_step(
  tiny_records, tmp_path, monkeypatch
):
  """The first traces, and says nothing of how long the others take."""
  told = []
  monkeypatch.setattr(
    "absl.logging.info", lambda text, *args: told.append(text % args)
  )
  config = tiny_run.config(tiny_records, tmp_path)
  train.train(config)
  first, *others = [line for line in told if line.startswith("step ")]
  assert re.fullmatch(r"step 1/4  loss \d+\.\d{4}", first)
  assert len(others) == 2
  for line in others:
    assert re.search(r"  [\d.]+ steps/s  0:00:\d\d left$", line)
  logged = tiny_run.curves(tmp_path / "train_logs")
  assert set(logged["timing/time_per_iter"]) == {2, 3}


def test_the_clock_starts_after_a_first_step_that_is_not_reported(
  tmp_path, monkeypatch
):
  config = configuration.load([], [f"LOGDIR={tmp_path}"])
  config.LOGGING.REPORT_INTERVAL = 4
  clock = types.SimpleNamespace(monotonic=iter([100, 101, 104]).__next__)
  monkeypatch.setattr(train_log, "time", clock)
  with train_log.TrainLog(config) as log:
    for step in (2, 3, 4):
      log.step(step, {"loss": tf.constant(1.0)}, {})
  logged = tiny_run.curves(tmp_path / "train_logs")
  assert logged["timing/time_per_iter"] == {4: 2.0}


def test_continuing_with_fewer_steps_takes_none(tiny_records, tmp_path):
  config = tiny_run.config(tiny_records, tmp_path, "TRAIN.MAX_ITERS=2")
  train.train(config)
  config.TRAIN.MAX_ITERS = 1
  assert train.train(config, force_train=True) == 0
  assert [s for s, _ in run_directory.list_checkpoints(tmp_path)] == [0, 2]


def test_loss_that_is_not_finite_stops_and_keeps_the_good_checkpoint(
  tiny_records, tmp_path
):
  config = tiny_run.config(
    tiny_records, tmp_path, "OPTIMIZER.LR.INITIAL_LR=1e30", "TRAIN.MAX_ITERS=50"
  )
  with pytest.raises(
    UserError, match=r"^step \d+: (the loss is (nan|inf); |\S+ is not finite, )"
  ):
    train.train(config)
  for _, path in run_directory.list_checkpoints(tmp_path):
    reader = tf.train.load_checkpoint(path)
    for key in reader.get_variable_to_shape_map():
      if key.startswith(("cnn", "emb")) and "_CHECKPOINT" not in key:
        assert np.isfinite(reader.get_tensor(key)).all()


def test_a_batch_that_is_not_finite_is_named_and_the_checkpoint_untouched(
  tiny_records, tmp_path, monkeypatch
):
  step_of_nan = 3
  config = tiny_run.config(tiny_records, tmp_path)
  sound_batches = train.datasets.train_batches

  def batches(*arguments):
    def damage(step, batch):
      frames = batch["frames"]
      damaged = tf.where(step == step_of_nan, np.nan, frames)
      return {**batch, "frames": damaged}

    return sound_batches(*arguments).enumerate().map(damage)

  compute_losses = Alignment.compute_losses

  def of_a_network_without_relu(self, embs, batch, training):
    # A ReLU or a pooling layer may take NaN for 0.
    embs += 0.0 * tf.reduce_mean(batch["frames"])
    return compute_losses(self, embs, batch, training)

  saved = {}
  save = checkpoints.Saver.save

  def save_and_remember(self, step):
    path = save(self, step)
    saved.clear()
    files = tmp_path.glob(f"ckpt-{step}.*")
    saved.update({file: file.read_bytes() for file in files})
    return path

  monkeypatch.setattr(train.datasets, "train_batches", batches)
  monkeypatch.setattr(Alignment, "compute_losses", of_a_network_without_relu)
  monkeypatch.setattr(checkpoints.Saver, "save", save_and_remember)
  with pytest.raises(UserError) as caught:
    train.train(config)
  assert str(caught.value).startswith(
    f"step {step_of_nan}: the loss is nan; stopped before any harm, the last"
    f" checkpoint in {tmp_path} (step 2) is good: "
  )
  assert [s for s, _ in run_directory.list_checkpoints(tmp_path)] == [0, 2]
  assert len(saved) == 2
  for file, content in saved.items():
    assert file.name.startswith("ckpt-2.")
    assert file.read_bytes() == content


def test_init_from_has_no_effect_on_a_run_that_continues(
  tiny_records, tmp_path, caplog
):
  first, second = (
    tiny_run.config(tiny_records, tmp_path / name, "TRAIN.MAX_ITERS=1", seed)
    for name, seed in (("first", "SEED=1"), ("second", "SEED=2"))
  )
  train.train(first)
  train.train(second)
  expected = weights(second)
  with caplog.at_level("WARNING"):
    train.train(second, force_train=True, init_from=first.LOGDIR)
  assert caplog.messages == [
    f"--init_from {first.LOGDIR} has no effect: this run continues from its own"
    " step 1"
  ]
  for key, value in weights(second).items():
    np.testing.assert_array_equal(value, expected[key])


def test_settings_of_an_embedder_that_is_not_used_are_named(
  tiny_records, tmp_path, caplog
):
  config = tiny_run.config(
    tiny_records,
    tmp_path,
    "MODEL.CONVGRU_EMBEDDER_MODEL.DROPOUT_RATE=0.2",
    "MODEL.CONVGRU_EMBEDDER_MODEL.GRU_LAYERS=[8]",
    "TRAIN.MAX_ITERS=0",
  )
  with caplog.at_level("WARNING"):
    train.train(config)
  assert caplog.messages == [
    "No effect has MODEL.CONVGRU_EMBEDDER_MODEL.GRU_LAYERS,"
    " MODEL.CONVGRU_EMBEDDER_MODEL.DROPOUT_RATE: MODEL.EMBEDDER_TYPE is conv"
  ]


def test_debug_and_visualize_log_more(tiny_records, tmp_path):
  config = tiny_run.config(tiny_records, tmp_path, "TRAIN.MAX_ITERS=1")
  train.train(config, debug=True, visualize=True)
  events = EventAccumulator(str(tmp_path / "train_logs")).Reload()
  tags = events.Tags()["tensors"]
  assert "batch" in tags
  assert any(tag.startswith("gradient_norm/") for tag in tags)
  assert any("kernel" in tag and "norm" not in tag for tag in tags)


def test_a_run_starts_from_the_network_of_another(tiny_records, tmp_path):
  first = tiny_run.config(tiny_records, tmp_path / "first", "TRAIN.MAX_ITERS=2")
  train.train(first)
  second = tiny_run.config(
    tiny_records,
    tmp_path / "second",
    "TRAINING_ALGO=classification",
    "TRAIN.MAX_ITERS=1",
    "DATA.PER_DATASET_FRACTION=0.25",
  )
  train.train(second, init_from=first.LOGDIR)
  networks = []
  for config, step in ((first, 2), (second, 0)):
    algo = checkpoints.build_to_restore(configuration.of_logdir(config.LOGDIR))
    path = dict(run_directory.list_checkpoints(config.LOGDIR))[step]
    checkpoints.restore_networks(algo, path)
    networks.append([*algo.cnn.get_weights(), *algo.emb.get_weights()])
  for old, new in zip(*networks, strict=True):
    np.testing.assert_array_equal(old, new)
  saved = configuration.of_logdir(second.LOGDIR)
  assert saved.CLASSIFICATION.NUM_CLASSES == 3
  evaluate.evaluate(saved)
  assert set(metrics.read(second.LOGDIR)) == {0, 1}


def test_a_checkpoint_makes_pretrained_weights_unnecessary(
  tiny_records, tmp_path
):
  """Of the run itself, or of the one it starts from."""
  layer = "MODEL.BASE_MODEL.LAYER=conv2_block1_out"
  config = tiny_run.config(
    tiny_records,
    tmp_path / "run",
    "MODEL.BASE_MODEL.NETWORK=Resnet50",
    layer,
    "TRAIN.MAX_ITERS=1",
  )
  train.train(config)
  missing = (
    "MODEL.BASE_MODEL.NETWORK=Resnet50_pretrained",
    f"MODEL.RESNET_PRETRAINED_WEIGHTS={tmp_path}/none.h5",
    layer,
    "TRAIN.MAX_ITERS=2",
  )
  fresh = tiny_run.config(tiny_records, tmp_path / "new", *missing)
  with pytest.raises(UserError, match="expected a file of ImageNet weights"):
    train.train(fresh)
  same = tiny_run.config(tiny_records, config.LOGDIR, *missing)
  assert train.train(same, force_train=True) == 0
  other = tiny_run.config(tiny_records, tmp_path / "other", *missing)
  assert train.train(other, init_from=config.LOGDIR) == 0
  for run, steps in ((config, [0, 1, 2]), (other, [0, 2])):
    saved = run_directory.list_checkpoints(run.LOGDIR)
    assert [step for step, _ in saved] == steps


def test_a_configuration_is_left_as_it_was(tiny_records, tmp_path):
  """What training settles stands in the run's config.yml."""
  config = tiny_run.config(
    tiny_records,
    tmp_path,
    "TRAINING_ALGO=classification",
    "PRECISION=auto",
    "TRAIN.MAX_ITERS=1",
  )
  before = copy.deepcopy(config)
  train.train(config)
  assert config == before
  saved = configuration.of_logdir(tmp_path)
  assert saved.CLASSIFICATION.NUM_CLASSES == 3
  assert saved.PRECISION == models.resolve_precision("auto")


def test_a_network_that_cannot_be_built_leaves_no_directory(
  tiny_records, tmp_path
):
  for setting, message in (
    ("MODEL.BASE_MODEL.LAYER=none", "expected a layer of VGGM"),
    ("TRAIN.BATCH_SIZE=1", "expected at least 2 videos"),
  ):
    config = tiny_run.config(tiny_records, tmp_path / "new", setting)
    with pytest.raises(UserError, match=message):
      train.train(config)
  assert not (tmp_path / "new").exists()


def test_init_from_a_directory_without_checkpoint(tiny_records, tmp_path):
  config = tiny_run.config(tiny_records, tmp_path / "new")
  with pytest.raises(UserError, match="nowhere: holds no checkpoint"):
    train.train(config, init_from=str(tmp_path / "nowhere"))
  assert not (tmp_path / "new").exists()


def test_nothing_to_train_and_too_small_batches_are_refused(
  tiny_records, tmp_path
):
  frozen = tiny_run.config(
    tiny_records,
    tmp_path / "a",
    "MODEL.TRAIN_BASE=frozen",
    "MODEL.TRAIN_EMBEDDING=false",
  )
  with pytest.raises(UserError, match="leave nothing to train"):
    train.train(frozen)
  single = tiny_run.config(tiny_records, tmp_path / "b", "TRAIN.BATCH_SIZE=1")
  with pytest.raises(UserError, match="TRAIN.BATCH_SIZE: expected at least 2"):
    train.train(single)
  long_cycles = tiny_run.config(
    tiny_records,
    tmp_path / "c",
    "ALIGNMENT.STOCHASTIC_MATCHING=true",
    "ALIGNMENT.CYCLE_LENGTH=3",
  )
  with pytest.raises(UserError) as caught:
    train.train(long_cycles)
  assert str(caught.value) == (
    "TRAIN.BATCH_SIZE: expected at least 3 videos to cycle through, received 2;"
    " raise it"
  )
  not_drawn = tiny_run.config(
    tiny_records, tmp_path / "d", "ALIGNMENT.CYCLE_LENGTH=3"
  )
  with pytest.raises(UserError) as caught:
    train.train(not_drawn)
  assert str(caught.value) == (
    "ALIGNMENT.CYCLE_LENGTH: expected 2 without stochastic matching, which"
    " aligns all pairs of videos, received 3; set it to 2 or"
    " ALIGNMENT.STOCHASTIC_MATCHING=true"
  )
  without_batch_norm = tiny_run.config(
    tiny_records,
    tmp_path / "e",
    "MODEL.VGGM.USE_BN=false",
    "MODEL.TRAIN_BASE=only_bn",
  )
  with pytest.raises(UserError) as caught:
    train.train(without_batch_norm)
  assert str(caught.value) == (
    "MODEL.TRAIN_BASE: expected a backbone with batch norm for only_bn,"
    " received VGGM up to conv2, which has none; choose train_all or frozen"
  )


def test_damaged_record_is_named(tiny_records, tmp_path):
  damaged = tmp_path / "tiny_train-0-of-1.tfrecord"
  with tf.io.TFRecordWriter(str(damaged)) as writer:
    example = tf.train.SequenceExample.FromString(
      tiny_run.square_video("broken", np.random.default_rng(1))
    )
    frame = example.feature_lists.feature_list["video"].feature[5]
    frame.bytes_list.value[0] = b"no image"
    writer.write(example.SerializeToString())
  config = tiny_run.config(
    tmp_path, tmp_path / "logs", "TRAIN.NUM_FRAMES=14", "DATA.RANDOM_OFFSET=0"
  )
  with pytest.raises(UserError) as error:
    train.train(config)
  assert "tiny_train-0-of-1.tfrecord" in str(error.value)
  assert "'broken': frame 5 is no sound JPEG" in str(error.value)


def test_a_record_whose_bytes_changed_is_told_in_one_line(
  tiny_records, tmp_path
):
  [source] = tiny_records.glob("tiny_train-*")
  content = bytearray(source.read_bytes())
  content[-20] ^= 1
  (tmp_path / source.name).write_bytes(content)
  command = [sys.executable, "train.py", f"--logdir={tmp_path / 'logs'}"]
  settings = (*tiny_run.SETTINGS, f"PATH_TO_TFRECORDS={tmp_path}")
  done = subprocess.run(
    [*command, *(f"--set={setting}" for setting in settings)],
    capture_output=True,
    text=True,
    cwd=pathlib.Path(train.__file__).parent,
  )
  assert done.returncode == 1
  assert "Traceback" not in done.stderr
  assert re.fullmatch(
    rf"error: {tmp_path}/{source.name}: record at byte \d+ is damaged, it does"
    " not fit its checksum; copy the file again or convert the videos again",
    done.stderr.splitlines()[-1],
  )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_with_a_checkpoint(tiny_records, tmp_path, number):
  command = [sys.executable, "train.py", f"--logdir={tmp_path}"]
  settings = (
    *tiny_run.SETTINGS,
    f"PATH_TO_TFRECORDS={tiny_records}",
    "TRAIN.MAX_ITERS=1000000",
  )
  command += [f"--set={setting}" for setting in settings]
  command += ["--set=CHECKPOINT.SAVE_INTERVAL=1000000"]
  process = subprocess.Popen(
    command,
    stderr=subprocess.PIPE,
    text=True,
    cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
  )
  for line in process.stderr:
    if "step 5/" in line:
      process.send_signal(number)
      break
  rest = process.stderr.read()
  deadline = time.monotonic() + 30
  assert process.wait(timeout=deadline - time.monotonic()) == 128 + number
  steps = [step for step, _ in run_directory.list_checkpoints(tmp_path)]
  assert len(steps) == 2 and steps[0] == 0 and steps[1] >= 5
  assert f"saved step {steps[1]}" in rest
