import copy
import functools
import math
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import config as configuration
import evaluate
import models
import train
from algos import algorithm
from core import run_directory
from core.errors import UserError
from evaluation import metrics
from tests.helpers import record_files, tiny_run
from tests.helpers.errors import message_of
from tests.helpers.paths import ROOT
from training import checkpoints
from training import log as train_log


def weights(logdir):
  reader = tf.train.load_checkpoint(checkpoints.latest_checkpoint(logdir))
  return {
    key: reader.get_tensor(key)
    for key in reader.get_variable_to_shape_map()
    if reader.get_variable_to_dtype_map()[key] == tf.float32
  }


def saved_steps(logdir):
  return [step for step, _ in run_directory.list_checkpoints(logdir)]


@pytest.fixture
def copied(trained, tmp_path):
  """A copy of the run of four steps that a test may continue."""
  return shutil.copytree(trained.logdir, tmp_path / "copied")


@pytest.fixture
def small_step(monkeypatch):
  """Steps that change nothing, so that no network is traced; their losses."""
  losses = [1.0] * 4
  step = lambda batch: {"loss": tf.constant(losses.pop())}  # noqa: E731
  monkeypatch.setattr(train, "build_train_step", lambda *_: step)
  return losses


def test_training_writes_checkpoints_curves_and_configuration(
  tiny_records, trained
):
  assert saved_steps(trained.logdir) == [0, 2, 4]
  config = tiny_run.config(tiny_records, trained.logdir)
  assert configuration.load_run(trained.logdir) == config
  logged = tiny_run.curves(trained.logdir / "train_logs")
  tags = "loss reg_loss learning_rate timing/time_per_iter timing/input_wait"
  assert set(logged) == set(tags.split())
  assert set(logged["loss"]) == {0, 2, 3}
  assert all(math.isfinite(v) for v in logged["loss"].values())


def test_the_speed_is_that_after_the_first_step(trained):
  """The first traces, and says nothing of how long the others take."""
  first, *others = [x for x in trained.messages if x.startswith("step ")]
  assert re.fullmatch(r"step 1/4  loss \d+\.\d{4}", first)
  assert len(others) == 2
  for line in others:
    assert re.search(r"  [\d.]+ steps/s  0:00:\d\d left$", line)
  logged = tiny_run.curves(trained.logdir / "train_logs")
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


FROZEN = (
  *("MODEL.TRAIN_BASE=frozen", "AUGMENTATION.CACHED_VIEWS=2"),
  "AUGMENTATION.RANDOM_CROP=true",
)


def test_training_on_cached_views_computes_no_features(
  tiny_records, tmp_path, monkeypatch
):
  """A second run finds them and learns the same."""
  runs = [tmp_path / name for name in ("first", "second")]
  settings = (*FROZEN, f"DATA.CACHE_DIR={tmp_path}/cache")
  train.train(tiny_run.config(tiny_records, runs[0], *settings))
  assert len([*(tmp_path / "cache").rglob("*-1")]) == 4
  monkeypatch.setattr(algorithm.Algorithm, "features", None)
  train.train(tiny_run.config(tiny_records, runs[1], *settings))
  expected = weights(runs[0])
  for key, value in weights(runs[1]).items():
    np.testing.assert_array_equal(value, expected[key])


@pytest.mark.parametrize(
  ("setting", "visualize"),
  [
    ("MODEL.TRAIN_BASE=only_bn", False),
    ("DATA.CACHE_MAX_GB=0", False),
    ("MODEL.TRAIN_BASE=frozen", True),
  ],
)
def test_cached_views_need_features_that_stay(
  tiny_records, tmp_path, setting, visualize
):
  config = tiny_run.config(tiny_records, tmp_path / "new", *FROZEN, setting)
  assert message_of(train.train, config, visualize=visualize) == (
    "AUGMENTATION.CACHED_VIEWS: expected 0 unless MODEL.TRAIN_BASE is frozen,"
    " DATA.CACHE_MAX_GB allows a cache and --visualize is off, received 2; set"
    " it to 0"
  )
  assert not (tmp_path / "new").exists()


def test_interrupted_run_continues_exactly(tiny_records, trained, copied):
  for file in [*copied.glob("ckpt-4.*"), copied / "checkpoint"]:
    file.unlink()
  train.train(tiny_run.config(tiny_records, copied), force_train=True)
  expected = weights(trained.logdir)
  for key, value in weights(copied).items():
    if key.startswith(("cnn", "emb")):
      np.testing.assert_allclose(
        value, expected[key], rtol=1e-4, atol=1e-6, err_msg=key
      )


@pytest.mark.parametrize(
  "name", ["train_logs/events", "checkpoint", "ckpt-3.index"]
)
def test_what_training_wrote_is_not_written_over(tiny_records, tmp_path, name):
  (tmp_path / "train_logs").mkdir()
  (tmp_path / name).touch()
  config = tiny_run.config(tiny_records, tmp_path)
  assert message_of(train.train, config) == (
    f"{tmp_path}: expected a new log directory, received one with training"
    " logs; continue that run with --force_train or choose another --logdir"
  )


def test_continuing_with_fewer_steps_takes_none(tiny_records, copied):
  config = tiny_run.config(tiny_records, copied, "TRAIN.MAX_ITERS=1")
  assert train.train(config, force_train=True) == 0
  assert saved_steps(copied) == [0, 2, 4]


@pytest.mark.parametrize("number", [0, signal.SIGINT, signal.SIGTERM])
def test_the_last_checkpoint_is_saved_before_batches_are_torn_down(
  tiny_records, tmp_path, monkeypatch, small_step, number
):
  """Which waits for their threads, and could wait for long."""
  saved_at_end = []

  def endless_batches(*_):
    try:
      for step in range(100):
        if step == 1 and number:
          signal.raise_signal(number)
        yield {}
    finally:
      saved_at_end.append(saved_steps(tmp_path))

  monkeypatch.setattr(train, "distribute", endless_batches)
  config = tiny_run.config(tiny_records, tmp_path, "TRAIN.MAX_ITERS=3")
  assert train.train(config) == number
  assert saved_at_end == [[0, 2] if number else [0, 2, 3]]


def test_a_second_signal_has_its_usual_effect(
  tiny_records, tmp_path, monkeypatch, small_step
):
  def batches(*_):
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    yield {}

  monkeypatch.setattr(train, "distribute", batches)
  with pytest.raises(KeyboardInterrupt):
    train.train(tiny_run.config(tiny_records, tmp_path))


def test_the_number_of_checkpoints_is_a_setting(
  tiny_records, tmp_path, small_step
):
  every = ("CHECKPOINT.SAVE_INTERVAL=1", "CHECKPOINT.MAX_TO_KEEP=3")
  train.train(tiny_run.config(tiny_records, tmp_path, *every))
  assert saved_steps(tmp_path) == [2, 3, 4]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_good_checkpoint(
  tiny_records, tmp_path, small_step, loss
):
  small_step[:] = [loss, 1.0, 1.0, 1.0]
  assert message_of(train.train, tiny_run.config(tiny_records, tmp_path)) == (
    f"step 3: expected a finite loss, received {loss}; lower"
    " OPTIMIZER.LR.INITIAL_LR or check the videos, then continue with"
    f" --force_train: the last checkpoint in {tmp_path} (step 2) is good"
  )
  assert saved_steps(tmp_path) == [0, 2]


def test_init_from_has_no_effect_on_a_run_that_continues(
  tiny_records, trained, copied, tmp_path, caplog
):
  settings = ("TRAIN.MAX_ITERS=0", "SEED=1")
  other = tiny_run.config(tiny_records, tmp_path / "other", *settings)
  train.train(other)
  options = {"force_train": True, "init_from": other.LOGDIR}
  with caplog.at_level("WARNING"):
    train.train(tiny_run.config(tiny_records, copied), **options)
  assert (
    f"--init_from {other.LOGDIR} has no effect: this run continues from its own"
    " step 4"
  ) in caplog.messages
  expected = weights(trained.logdir)
  for key, value in weights(copied).items():
    np.testing.assert_array_equal(value, expected[key])


def test_settings_of_an_embedder_that_is_not_used_are_named(
  tiny_records, tmp_path, caplog
):
  unused = "MODEL.CONVGRU_EMBEDDER_MODEL."
  settings = (f"{unused}DROPOUT_RATE=0.2", f"{unused}GRU_LAYERS=[8]")
  settings += ("TRAIN.MAX_ITERS=0",)
  with caplog.at_level("WARNING"):
    train.train(tiny_run.config(tiny_records, tmp_path, *settings))
  assert (
    f"{unused}GRU_LAYERS, {unused}DROPOUT_RATE: no effect with"
    " MODEL.EMBEDDER_TYPE=conv"
  ) in caplog.messages


def test_debug_and_visualize_log_more(tiny_records, tmp_path):
  config = tiny_run.config(tiny_records, tmp_path, "TRAIN.MAX_ITERS=1")
  strategy = tf.distribute.OneDeviceStrategy("CPU:1")
  train.train(config, debug=True, visualize=True, strategy=strategy)
  tags = tiny_run.events(tmp_path / "train_logs")
  assert "batch" in tags
  assert any(tag.startswith("gradient_norm/") for tag in tags)
  assert any("kernel" in tag and "norm" not in tag for tag in tags)


def test_a_run_starts_from_the_network_of_another(
  tiny_records, tmp_path, trained
):
  settings = ("TRAINING_ALGO=classification", "EVAL.TASKS=[algo_loss]")
  settings += ("TRAIN.MAX_ITERS=0", "DATA.PER_DATASET_FRACTION=0.25")
  config = tiny_run.config(tiny_records, tmp_path, *settings)
  train.train(config, init_from=str(trained.logdir))
  networks = []
  for logdir in (trained.logdir, tmp_path):
    algo = checkpoints.build_to_restore(configuration.load_run(logdir))
    checkpoints.restore_networks(algo, checkpoints.latest_checkpoint(logdir))
    networks.append([*algo.cnn.get_weights(), *algo.emb.get_weights()])
  for old, new in zip(*networks, strict=True):
    np.testing.assert_array_equal(old, new)
  saved = configuration.load_run(tmp_path)
  assert saved.CLASSIFICATION.NUM_CLASSES == 3
  evaluate.evaluate(saved)
  assert set(metrics.read(tmp_path)) == {0}


def test_a_checkpoint_makes_pretrained_weights_unnecessary(
  tiny_records, tmp_path
):
  """Of the run itself, or of the one it starts from."""
  settings = (
    "MODEL.BASE_MODEL.LAYER=conv2_block1_out",
    f"MODEL.RESNET_PRETRAINED_WEIGHTS={tmp_path}/none.h5",
    "TRAIN.MAX_ITERS=0",
  )

  def config(name, network="Resnet50_pretrained"):
    network = f"MODEL.BASE_MODEL.NETWORK={network}"
    return tiny_run.config(tiny_records, tmp_path / name, network, *settings)

  train.train(config("run", "Resnet50"))
  with pytest.raises(UserError, match="expected a file of ImageNet weights"):
    train.train(config("new"))
  assert train.train(config("run"), force_train=True) == 0
  assert train.train(config("other"), init_from=f"{tmp_path}/run") == 0
  assert saved_steps(tmp_path / "other") == [0]


def test_a_configuration_is_left_as_it_was(tiny_records, tmp_path):
  """What training resolves stands in the run's config.yml."""
  settings = ("TRAINING_ALGO=classification", "PRECISION=auto")
  settings += ("TRAIN.MAX_ITERS=0",)
  config = tiny_run.config(tiny_records, tmp_path, *settings)
  before = copy.deepcopy(config)
  train.train(config)
  assert config == before
  saved = configuration.load_run(tmp_path)
  assert saved.CLASSIFICATION.NUM_CLASSES == 3
  assert saved.PRECISION == models.resolve_precision("auto")


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    (["MODEL.BASE_MODEL.LAYER=none"], "MODEL.BASE_MODEL.LAYER: "),
    (
      ["MODEL.TRAIN_BASE=frozen", "MODEL.TRAIN_EMBEDDING=false"],
      "MODEL.TRAIN_EMBEDDING: expected something to train, received false with"
      " MODEL.TRAIN_BASE=frozen; set MODEL.TRAIN_EMBEDDING=true or",
    ),
    (["TRAIN.BATCH_SIZE=1"], "TRAIN.BATCH_SIZE: .* at least 2"),
    (
      ["ALIGNMENT.STOCHASTIC_MATCHING=true", "ALIGNMENT.CYCLE_LENGTH=3"],
      "TRAIN.BATCH_SIZE: .* at least 3",
    ),
    (["ALIGNMENT.CYCLE_LENGTH=3"], "ALIGNMENT.CYCLE_LENGTH: .*received 3"),
    (
      ["MODEL.VGGM.USE_BN=false", "MODEL.TRAIN_BASE=only_bn"],
      "MODEL.TRAIN_BASE: .*only_bn",
    ),
  ],
)
def test_a_network_that_cannot_be_trained_leaves_no_directory(
  tiny_records, tmp_path, settings, message
):
  config = tiny_run.config(tiny_records, tmp_path / "new", *settings)
  with pytest.raises(UserError, match=message):
    train.train(config)
  assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
  ("key", "value", "near"),
  [
    ("TRAINING_ALGO", "alignement", "alignment"),
    ("EVAL.TASKS", "kendal_tau", "kendalls_tau"),
    ("MODEL.EMBEDDER_TYPE", "convgro", "convgru"),
    ("MODEL.BASE_MODEL.NETWORK", "VGG-M", "VGGM"),
  ],
)
def test_a_mistyped_name_is_told_at_the_start(
  tiny_records, tmp_path, monkeypatch, key, value, near
):
  monkeypatch.setattr(train, "ALGOS", dict.fromkeys(train.ALGOS))
  config = tiny_run.config(tiny_records, tmp_path / "new")
  *sections, name = key.split(".")
  section = functools.reduce(dict.get, sections, config)
  section[name] = [value] if name == "TASKS" else value
  message = message_of(train.train, config)
  assert message.startswith(f"{key}: expected ")
  assert message.endswith(f", received '{value}'; did you mean {near}?")
  assert not (tmp_path / "new").exists()


def test_init_from_a_directory_without_checkpoint(tiny_records, tmp_path):
  config = tiny_run.config(tiny_records, tmp_path / "new")
  with pytest.raises(UserError, match="nowhere: expected checkpoints ckpt-"):
    train.train(config, init_from=str(tmp_path / "nowhere"))
  assert not (tmp_path / "new").exists()


def test_a_record_whose_bytes_changed_is_told_in_one_line(
  tiny_records, tmp_path, small_step
):
  [source] = tiny_records.glob("tiny_train-*")
  path = pathlib.Path(shutil.copy(source, tmp_path))
  record_files.flip_bit(path, -20)
  message = message_of(train.train, tiny_run.config(tmp_path, tmp_path / "L"))
  assert re.match(rf"{path}: .*record at byte \d+.*checksum", message)


def test_ctrl_c_ends_with_a_checkpoint(tiny_records, tmp_path):
  settings = [*tiny_run.SETTINGS, f"PATH_TO_TFRECORDS={tiny_records}"]
  settings += ["TRAIN.MAX_ITERS=1000000", "CHECKPOINT.SAVE_INTERVAL=1000000"]
  command = [sys.executable, "train.py", f"--logdir={tmp_path}"]
  command += [f"--set={setting}" for setting in settings]
  with subprocess.Popen(
    command, stderr=subprocess.PIPE, text=True, cwd=ROOT
  ) as process:
    # The first step is logged once the network is traced.
    assert any("step 1/" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
  assert process.returncode == 128 + signal.SIGINT
  first, last = saved_steps(tmp_path)
  assert first == 0 and last >= 1
  assert f"saved step {last}" in told
