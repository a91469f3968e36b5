import contextlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

import config as configuration
from core import run_directory
from core.errors import UserError
from tests.helpers import tiny
from tests.helpers.errors import message_of
from training import checkpoints
from training.checkpoints import CheckpointError
from training.optimizers import build_optimizer


def run(logdir, *settings, seed=0):
  """What a training process builds: algorithm, optimizer and saver."""
  algo = tiny.algorithm(*settings, seed=seed)
  optimizer = build_optimizer(tiny.config(*settings))
  optimizer.build(checkpoints.trainable_variables(algo))
  return algo, optimizer, checkpoints.Saver(algo, optimizer, str(logdir))


def values(algo, optimizer):
  return [v.numpy() for v in [*algo.weights, *optimizer.variables]]


def assert_same(expected, received):
  for a, b in zip(expected, received, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run of one step, saved; its folder is only read."""
  logdir = tmp_path_factory.mktemp("trained")
  algo, optimizer, saver = run(logdir)
  tiny.take_step(algo, optimizer, tiny.batch())
  saver.save(1)
  configuration.save(tiny.config(), logdir)
  return logdir, algo, optimizer


@pytest.fixture
def copied(trained, tmp_path):
  """A copy of the saved run that a test may damage."""
  shutil.copytree(trained[0], tmp_path / "run")
  return tmp_path / "run"


def test_a_fresh_network_gives_the_same_embeddings(trained):
  logdir, algo, _ = trained
  fresh = tiny.algorithm(seed=5)
  data = tiny.batch(seed=9)
  assert not np.array_equal(fresh(data), algo(data))
  checkpoints.restore_networks(fresh, checkpoints.latest_checkpoint(logdir))
  np.testing.assert_array_equal(fresh(data), algo(data))


@pytest.mark.parametrize("kind", ["AdamOptimizer", "MomentumOptimizer"])
def test_continuing_equals_never_having_stopped(tmp_path, kind):
  """Bitwise, dropout included: its seeds are part of the checkpoint."""
  settings = (
    *(f"OPTIMIZER.TYPE={kind}", "OPTIMIZER.LR.INITIAL_LR=0.01"),
    *("OPTIMIZER.LR.DECAY_TYPE=exp_decay", "OPTIMIZER.LR.EXP_DECAY_STEPS=1"),
    "MODEL.CONV_EMBEDDER_MODEL.FC_DROPOUT_RATE=0.5",
    "MODEL.TRAIN_BASE=train_all",
  )
  algo, optimizer, saver = run(tmp_path, *settings)
  tiny.take_step(algo, optimizer, tiny.batch())
  saver.save(1)
  one_step = values(algo, optimizer)
  tiny.take_step(algo, optimizer, tiny.batch(seed=1))
  two_steps = values(algo, optimizer)
  with contextlib.suppress(AssertionError):
    assert_same(one_step, two_steps)
    pytest.fail("the second step changed nothing")

  algo, optimizer, saver = run(tmp_path, *settings, seed=5)
  assert saver.restore_latest() == 1
  assert_same(one_step, values(algo, optimizer))
  tiny.take_step(algo, optimizer, tiny.batch(seed=1))
  assert_same(two_steps, values(algo, optimizer))


def test_a_new_directory_starts_from_step_0(tmp_path):
  algo, optimizer, saver = run(tmp_path)
  before = values(algo, optimizer)
  assert saver.restore_latest() == 0
  assert_same(before, values(algo, optimizer))


@pytest.mark.parametrize(
  "setting", ["MODEL.TRAIN_BASE=train_all", "MODEL.TRAIN_EMBEDDING=false"]
)
def test_other_trainable_variables_are_refused(copied, setting):
  algo, optimizer, saver = run(copied, setting, seed=5)
  before = values(algo, optimizer)
  assert message_of(saver.restore_latest) == (
    f"{copied}/ckpt-1: expected the trainable variables of this configuration,"
    " received others; continue with the MODEL settings of its config.yml or"
    " choose another --logdir"
  )
  assert_same(before, values(algo, optimizer))


def assert_refused(logdir, *settings):
  algo, _, saver = run(logdir, *settings)
  path = f"{logdir}/ckpt-1"
  message = (
    f"^{path}: expected a sound checkpoint of the network in its config.yml,"
    " received .*; restore that file or take another checkpoint$"
  )
  with pytest.raises(CheckpointError, match=message):
    saver.restore_latest()
  with pytest.raises(CheckpointError, match=message):
    checkpoints.restore_networks(algo, path)


def test_a_network_of_another_size_is_refused(copied):
  assert_refused(copied, "MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE=7")


@pytest.mark.parametrize("part", ["ckpt-1.index", "ckpt-1.data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_checkpoint_is_refused(copied, part, damage):
  file = copied / part
  if damage == "cut":
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
  else:
    file.unlink()
  assert_refused(copied)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["trained", "moving statistics"])
def test_what_is_not_finite_is_not_saved(trained, copied, value, kind):
  algo, _, saver = run(copied)
  assert saver.restore_latest() == 1
  variable = {
    "trained": algo.emb.trainable_variables[-1],
    "moving statistics": algo.emb.non_trainable_variables[0],
  }[kind]
  variable.assign(tf.fill(variable.shape, value))
  assert message_of(saver.save, 2) == (
    f"step 2: expected finite weights, received {variable.path} with NaN or"
    " infinity, so no checkpoint was written and that of step 1 is good; lower"
    " OPTIMIZER.LR.INITIAL_LR and continue with --force_train"
  )
  assert run_directory.list_checkpoints(copied) == [(1, f"{copied}/ckpt-1")]
  checkpoints.restore_networks(algo, checkpoints.latest_checkpoint(copied))
  data = tiny.batch()
  np.testing.assert_array_equal(algo(data), trained[1](data))


def test_some_checkpoints_are_kept(tmp_path):
  algo, optimizer, _ = run(tmp_path)
  saver = checkpoints.Saver(algo, optimizer, str(tmp_path), max_to_keep=3)
  saved = [(n, saver.save(n)) for n in range(0, 600, 100)]
  assert saved == [(n, f"{tmp_path}/ckpt-{n}") for n in range(0, 600, 100)]
  assert run_directory.list_checkpoints(tmp_path) == saved[3:]
  assert checkpoints.latest_checkpoint(tmp_path) == f"{tmp_path}/ckpt-500"
  # A process that continues counts the older ones as well.
  saver = checkpoints.Saver(algo, optimizer, str(tmp_path), max_to_keep=3)
  assert saver.restore_latest() == 500
  saver.save(600)
  found = run_directory.list_checkpoints(tmp_path)
  assert [step for step, _ in found] == [400, 500, 600]


SAL = ("TRAINING_ALGO=sal", "TRAIN.NUM_FRAMES=5")
SUM = ("TRAINING_ALGO=alignment_sal_tcn", "TRAIN.NUM_FRAMES=5")
SUM += ("ALIGNMENT_SAL_TCN.ALIGNMENT_LOSS_WEIGHT=0.5",)
CLASSES = ("TRAINING_ALGO=classification", "CLASSIFICATION.NUM_CLASSES=2")
SUM_WITH_SAL = (*SUM, "ALIGNMENT_SAL_TCN.SAL_LOSS_WEIGHT=0.5")
SUM_WITHOUT_SAL = (*SUM, "ALIGNMENT_SAL_TCN.SAL_LOSS_WEIGHT=0")


@pytest.mark.parametrize(
  ("other_settings", "settings", "taken_over"),
  [
    (SAL, SAL, True),
    (SAL, (*SAL, "SAL.FC_LAYERS=[[9, true], [2, false]]"), False),
    (SAL, CLASSES, False),
    (SUM_WITHOUT_SAL, SUM_WITH_SAL, False),
    (SUM_WITH_SAL, SUM_WITHOUT_SAL, None),
  ],
  ids=["same sizes", "other sizes", "other algorithm", "it lacks", "we lack"],
)
def test_init_from_takes_a_head_over_only_if_it_fits(
  tmp_path, other_settings, settings, taken_over, caplog
):
  other, _, saver = run(tmp_path, *other_settings, seed=3)
  saver.save(1)
  configuration.save(tiny.config(*other_settings), tmp_path)
  algo = tiny.algorithm(*settings)
  before = algo.head and algo.head.get_weights()
  with caplog.at_level("INFO"):
    checkpoints.init_from(algo, tmp_path)
  assert_same(other.cnn.get_weights(), algo.cnn.get_weights())
  assert_same(other.emb.get_weights(), algo.emb.get_weights())
  if algo.head is not None:
    expected = other.head.get_weights() if taken_over else before
    assert_same(expected, algo.head.get_weights())
  anew = "It has no classifier of the same kind: that starts anew"
  assert (anew in caplog.messages) == (taken_over is False)


def test_init_from_another_network_is_refused(trained):
  logdir = trained[0]
  algo = tiny.algorithm("MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE=5")
  assert message_of(checkpoints.init_from, algo, logdir).startswith(
    f"--init_from {logdir}/ckpt-1: expected a checkpoint of this run's network,"
    " received another; train both with the same MODEL, IMAGE_SIZE and"
    " DATA.NUM_STEPS ("
  )


@pytest.mark.parametrize("exists", [True, False])
def test_a_directory_without_checkpoints(tmp_path, exists):
  logdir = tmp_path if exists else tmp_path / "none"
  assert run_directory.list_checkpoints(logdir) == []
  assert message_of(checkpoints.latest_checkpoint, logdir) == (
    f"{logdir}: expected checkpoints ckpt-*.index, received none; train first"
    f" with `python train.py --logdir {logdir}`"
  )


def test_only_complete_checkpoints_are_listed_in_order_of_steps(tmp_path):
  complete = ("ckpt-10.index", "ckpt-9.index")
  others = ("ckpt-11.data-00000-of-00001", "ckpt-12_temp", "other-13.index")
  for name in (*complete, *others, "ckpt-x.index"):
    (tmp_path / name).touch()
  assert run_directory.list_checkpoints(tmp_path) == [
    (9, f"{tmp_path}/ckpt-9"),
    (10, f"{tmp_path}/ckpt-10"),
  ]


@pytest.mark.parametrize("lacks_list", [False, True])
def test_a_moved_directory_continues(trained, copied, lacks_list):
  if lacks_list:  # Of TensorFlow's manager.
    (copied / "checkpoint").unlink()
  algo, optimizer, saver = run(copied.rename(f"{copied}_moved"), seed=5)
  assert saver.restore_latest() == 1
  assert_same(values(trained[1], trained[2]), values(algo, optimizer))


def test_a_full_disk_is_told_in_one_line(tmp_path):
  _, _, saver = run(tmp_path / "run")
  # Stands where the manager would write.
  (tmp_path / "run").write_text("no folder")
  message = message_of(saver.save, 3)
  assert message.startswith(
    f"{tmp_path}/run: expected room for the checkpoint of step 3, received "
  )
  assert message.endswith("; make room and continue with --force_train")


def test_pretrained_weights_need_not_be_there_to_restore(tmp_path):
  config = tiny.config(
    "MODEL.BASE_MODEL.NETWORK=Resnet50_pretrained",
    "MODEL.BASE_MODEL.LAYER=conv2_block1_out",
    f"MODEL.RESNET_PRETRAINED_WEIGHTS={tmp_path}/none.h5",
  )
  with pytest.raises(UserError, match="expected a file of ImageNet weights"):
    tiny.ALGOS["alignment"](config)
  assert checkpoints.build_to_restore(config).cnn.output_shape[-1] == 256
  assert config.MODEL.BASE_MODEL.NETWORK == "Resnet50_pretrained"
