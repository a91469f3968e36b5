"""Save and restore what a training run has learned."""

import contextlib
import copy
import json
import os
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from easydict import EasyDict

import config as configuration
import models
from algos import ALGOS
from algos.algorithm import Algorithm
from core import run_directory
from core.errors import UserError, first_line
from core.settings import check_name

_PATHS_KEY = "trainable_paths/.ATTRIBUTES/VARIABLE_VALUE"


# What TensorFlow raises, beside its own errors, about a checkpoint that is
# damaged or belongs to another network.
_DAMAGE = AssertionError, IndexError, RuntimeError, ValueError


class CheckpointError(UserError):
  """A checkpoint is damaged or belongs to another network."""


def trainable_variables(algo: Algorithm) -> list[tf.Variable]:
  """List the variables that training changes, always in the same order.

  An optimizer keeps its slots by position, so every optimizer must be built on
  this list.

  Raises:
    UserError: There are none.
  """
  networks = _networks(algo).values()
  variables = [v for network in networks for v in network.trainable_variables]
  if not variables:
    raise UserError(
      "MODEL.TRAIN_EMBEDDING: expected something to train, received false with"
      " MODEL.TRAIN_BASE=frozen; set MODEL.TRAIN_EMBEDDING=true or"
      " MODEL.TRAIN_BASE=only_bn"
    )
  return variables


class Saver:
  """Writes the checkpoints of a run and continues from the last one.

  A checkpoint holds `cnn`, `emb`, the algorithm's `head`, `optimizer`, `step`
  and the state of the random numbers of dropout and losses.

  Args:
    algo: The algorithm, built.
    optimizer: Its optimizer, built on `trainable_variables(algo)`.
    logdir: Log directory of the run.
    max_to_keep: How many of the last checkpoints are kept; one an hour is kept
      for good.
  """

  def __init__(
    self,
    algo: Algorithm,
    optimizer: keras.optimizers.Optimizer,
    logdir: str,
    max_to_keep: int = 10,
  ) -> None:
    self._algo = algo
    self._paths = tf.Variable(_trainable_paths(algo), trainable=False)
    self._step = tf.Variable(0, trainable=False, dtype=tf.int64)
    self._checkpoint = tf.train.Checkpoint(
      optimizer=optimizer,
      step=self._step,
      trainable_paths=self._paths,
      random_states=_random_states(algo),
      **_networks(algo),
    )
    self._manager = tf.train.CheckpointManager(
      self._checkpoint,
      logdir,
      max_to_keep=max_to_keep,
      keep_checkpoint_every_n_hours=1,
      checkpoint_name=run_directory.CHECKPOINT_NAME,
    )

  @property
  def step(self) -> int:
    """Step of the last checkpoint saved or restored; 0 before."""
    return int(self._step.numpy())

  def restore_latest(self) -> int:
    """Restore the last checkpoint of the log directory, if there is one.

    Returns:
      The number of steps it was trained for; 0 without a checkpoint.

    Raises:
      UserError: The checkpoint has other trainable variables, belongs to
        another network or is damaged.
    """
    # Without the manager's list, which a copy may lack, this finds it as well.
    found = run_directory.list_checkpoints(self._manager.directory)
    path = self._manager.latest_checkpoint or (found[-1][1] if found else None)
    if not path:
      return 0
    with _damage_explained(path):
      saved = tf.train.load_checkpoint(path)
      paths = saved.has_tensor(_PATHS_KEY) and saved.get_tensor(_PATHS_KEY)
      if paths != self._paths.numpy():
        raise UserError(
          f"{path}: expected the trainable variables of this configuration,"
          " received others; continue with the MODEL settings of its config.yml"
          " or choose another --logdir"
        )
      self._checkpoint.restore(path).assert_consumed()
    logging.info("Continuing from %s", path)
    return self.step

  def save(self, step: int) -> str:
    """Save a checkpoint.

    Args:
      step: Steps taken so far; names the checkpoint.

    Returns:
      Its path.

    Raises:
      UserError: A variable is not finite, or the disk refuses.
    """
    networks = _networks(self._algo).values()
    for variable in (v for network in networks for v in network.weights):
      if not np.isfinite(variable.numpy()).all():
        raise UserError(
          f"step {step}: expected finite weights, received {variable.path} with"
          " NaN or infinity, so no checkpoint was written and that of step"
          f" {self.step} is good; lower OPTIMIZER.LR.INITIAL_LR and continue"
          " with --force_train"
        )
    self._step.assign(step)
    try:
      return self._manager.save(checkpoint_number=step)
    except (tf.errors.OpError, OSError) as error:
      raise UserError(
        f"{self._manager.directory}: expected room for the checkpoint of step"
        f" {step}, received {first_line(error)!r}; make room and continue with"
        " --force_train"
      ) from error


@contextlib.contextmanager
def _damage_explained(path: str) -> Iterator[None]:
  """Turn what TensorFlow raises about a checkpoint into a CheckpointError."""
  try:
    yield
  except (*_DAMAGE, tf.errors.OpError) as error:
    raise CheckpointError(
      f"{path}: expected a sound checkpoint of the network in its config.yml,"
      f" received {first_line(error)!r}; restore that file or take another"
      " checkpoint"
    ) from error


def _random_states(algo: Algorithm) -> list[tf.Variable]:
  """List what dropout and losses draw by; networks don't save it themselves."""
  weights = {id(weight) for weight in algo.weights}
  return [v.value for v in algo.variables if id(v) not in weights]


def _trainable_paths(algo: Algorithm) -> str:
  """Name the trained variables by place: Keras counts its names up."""
  paths = [
    f"{name}/{index}/{v.name}"
    for name, network in _networks(algo).items()
    for index, v in enumerate(network.weights)
    if v.trainable
  ]
  return json.dumps(paths)


def _networks(algo: Algorithm) -> dict[str, keras.Model]:
  """Return the networks of an algorithm by their names in a checkpoint."""
  networks = {"cnn": algo.cnn, "emb": algo.emb, "head": algo.head}
  return {name: net for name, net in networks.items() if net is not None}


def build_to_restore(config: EasyDict) -> Algorithm:
  """Build an algorithm whose weights a checkpoint is going to give.

  Args:
    config: The configuration of the run.

  Returns:
    The algorithm, untrained; ImageNet weights need not be there.

  Raises:
    UserError: There is no such algorithm or network.
  """
  check_name("TRAINING_ALGO", config.TRAINING_ALGO, ALGOS)
  config = copy.deepcopy(config)
  base = config.MODEL.BASE_MODEL
  base.NETWORK = base.NETWORK.removesuffix(models.PRETRAINED)
  return ALGOS[config.TRAINING_ALGO](config)


def restore_networks(algo: Algorithm, path: str) -> None:
  """Restore the networks, not the optimizer, from a checkpoint.

  Args:
    algo: The algorithm, built with the configuration of the checkpoint.
    path: A checkpoint, as `run_directory.list_checkpoints` gives it.

  Raises:
    CheckpointError: It belongs to another network or is damaged.
  """
  _restore(_networks(algo), path)


def _restore(networks: dict[str, keras.Model], path: str) -> None:
  with _damage_explained(path):
    status = tf.train.Checkpoint(**networks).restore(path)
    status.assert_existing_objects_matched().expect_partial()


def init_from(algo: Algorithm, logdir: str) -> None:
  """Start a network from the last checkpoint of another run.

  Backbone and embedder are taken over; the head, too, if the other run trained
  one of the same sizes with the same algorithm. The optimizer is not.

  Args:
    algo: The algorithm, built.
    logdir: Log directory of the other run.

  Raises:
    UserError: There is no checkpoint, or its network is another one.
  """
  path, networks = latest_checkpoint(logdir), _networks(algo)
  if not _has_same_head(algo, configuration.load_run(logdir)):
    networks.pop("head", None)
  try:
    _restore(networks, path)
  except CheckpointError as error:
    raise UserError(
      f"--init_from {path}: expected a checkpoint of this run's network,"
      " received another; train both with the same MODEL, IMAGE_SIZE and"
      f" DATA.NUM_STEPS ({error})"
    ) from error
  logging.info("Starting from the network of %s", path)
  if algo.head is not None and "head" not in networks:
    logging.info("It has no classifier of the same kind: that starts anew")


def _has_same_head(algo: Algorithm, config: EasyDict) -> bool:
  """Return whether an algorithm can take over the head of a configuration."""
  if algo.head is None or config.TRAINING_ALGO != algo.name:
    return False
  other = build_to_restore(config).head
  shapes = [w.shape for w in algo.head.weights]
  return other is not None and [w.shape for w in other.weights] == shapes


def latest_checkpoint(logdir: str | os.PathLike) -> str:
  """Find the last checkpoint of a log directory.

  Args:
    logdir: The log directory.

  Returns:
    Its path.

  Raises:
    UserError: There is none.
  """
  found = run_directory.list_checkpoints(logdir)
  if not found:
    raise UserError(
      f"{logdir}: expected checkpoints {run_directory.CHECKPOINT_NAME}-*.index,"
      f" received none; train first with `python train.py --logdir {logdir}`"
    )
  return found[-1][1]
