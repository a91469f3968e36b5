"""Saving and restoring what a training run has learned."""

import contextlib
import copy
import json
import os
from collections.abc import Iterator

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

_MAX_TO_KEEP = 10
_KEEP_EVERY_N_HOURS = 1
_PATHS_KEY = "trainable_paths/.ATTRIBUTES/VARIABLE_VALUE"


class CheckpointError(UserError):
  """A checkpoint that can't be read, or belongs to another network."""


def trainable_variables(algo: Algorithm) -> list[tf.Variable]:
  """The variables training changes, always in the same order.

  An optimizer keeps its slots by position, so that every place that builds one
  must take the variables from here.
  """
  networks = [algo.cnn, algo.emb, algo.head]
  return [v for net in networks if net for v in net.trainable_variables]


class Saver:
  """Writes the checkpoints of a run and continues from the last one.

  A checkpoint holds `cnn`, `emb`, the algorithm's `head`, `optimizer`, `step`
  and where dropout's random numbers stand. Ten are kept, and one an hour for
  good.
  """

  def __init__(self, algo: Algorithm, optimizer, logdir: str) -> None:
    """Prepares to save.

    Args:
      algo: The algorithm, built.
      optimizer: Its optimizer, built on `trainable_variables(algo)`.
      logdir: Where the checkpoints go.
    """
    self._algo = algo
    self._paths = tf.Variable(
      _trainable_paths(algo), trainable=False, dtype=tf.string
    )
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
      max_to_keep=_MAX_TO_KEEP,
      keep_checkpoint_every_n_hours=_KEEP_EVERY_N_HOURS,
      checkpoint_name=run_directory.CHECKPOINT_NAME,
    )

  def restore_latest(self) -> int:
    """Restores the last checkpoint of the log directory, if there is one.

    Returns:
      The number of steps it was trained for; 0 without a checkpoint.

    Raises:
      UserError: The checkpoint was made with other trainable variables or
        can't be read.
    """
    path = self._manager.latest_checkpoint
    found = run_directory.list_checkpoints(self._manager.directory)
    if not path and found:  # Copied without the list of TensorFlow's manager.
      _, path = found[-1]
    if not path:
      return 0
    with _explained(path):
      saved = tf.train.load_checkpoint(path)
      if (
        not saved.has_tensor(_PATHS_KEY)
        or saved.get_tensor(_PATHS_KEY) != self._paths.numpy()
      ):
        raise UserError(
          f"{path}: was trained with other variables; continue with the MODEL"
          " settings of its config.yml or choose another --logdir"
        )
      self._checkpoint.restore(path).assert_consumed()
    logging.info("Continuing from %s", path)
    return int(self._step.numpy())

  def save(self, step: int) -> str:
    """Saves a checkpoint.

    Args:
      step: Steps taken so far; names the checkpoint.

    Returns:
      Its path.

    Raises:
      UserError: A variable is not finite, or the disk refuses.
    """
    broken = [
      v.path
      for network in _networks(self._algo).values()
      for v in network.weights
      if not np.isfinite(v.numpy()).all()
    ]
    if broken:
      raise UserError(
        f"step {step}: {broken[0]} is not finite, so no checkpoint was written"
        " and the last one is good; lower OPTIMIZER.LR.INITIAL_LR and continue"
        " with --force_train"
      )
    self._step.assign(step)
    try:
      return self._manager.save(checkpoint_number=step)
    except (tf.errors.OpError, OSError) as error:
      raise UserError(
        f"{self._manager.directory}: can't write the checkpoint of step {step}"
        f" ({error}); make room and continue with --force_train"
      ) from error


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
  """Turns what TensorFlow raises about a checkpoint into a user's error."""
  try:
    yield
  except (
    AssertionError,
    IndexError,
    RuntimeError,
    ValueError,
    tf.errors.OpError,
  ) as error:
    raise CheckpointError(
      f"{path}: does not fit the network of its config.yml or is damaged"
      f" ({first_line(error)}); restore that config.yml or take another"
      " checkpoint"
    ) from error


def _random_states(algo: Algorithm) -> list[tf.Variable]:
  """What dropout and losses draw by, which networks don't save themselves."""
  return [
    variable.value
    for variable in algo.variables
    if not any(variable is weight for weight in algo.weights)
  ]


def _trainable_paths(algo: Algorithm) -> str:
  """Names the trained variables by place: Keras counts its names up."""
  return json.dumps(
    [
      f"{name}/{index}/{v.name}"
      for name, network in _networks(algo).items()
      for index, v in enumerate(network.weights)
      if v.trainable
    ]
  )


def _networks(algo: Algorithm) -> dict[str, tf.Module]:
  networks = {"cnn": algo.cnn, "emb": algo.emb}
  if algo.head is not None:
    networks["head"] = algo.head
  return networks


def build_to_restore(config: EasyDict) -> Algorithm:
  """Builds an algorithm whose weights a checkpoint is going to give.

  Args:
    config: The configuration of the run.

  Returns:
    The algorithm, untrained; ImageNet weights need not be there.

  Raises:
    UserError: There is no such network.
  """
  config = copy.deepcopy(config)
  base = config.MODEL.BASE_MODEL
  base.NETWORK = base.NETWORK.removesuffix(models.PRETRAINED)
  return ALGOS[config.TRAINING_ALGO](config)


def restore_networks(algo: Algorithm, path: str) -> None:
  """Restores the networks, not the optimizer, from a checkpoint.

  Args:
    algo: The algorithm, built with the configuration of the checkpoint.
    path: A checkpoint, as `run_directory.list_checkpoints` gives it.

  Raises:
    UserError: The checkpoint does not fit the network or can't be read.
  """
  _restore(_networks(algo), path)


def _restore(networks: dict[str, tf.Module], path: str) -> None:
  with _explained(path):
    status = tf.train.Checkpoint(**networks).restore(path)
    status.assert_existing_objects_matched().expect_partial()


def init_from(algo: Algorithm, logdir: str) -> None:
  """Starts a network from the last checkpoint of another run.

  Backbone and embedder are taken over; the head, too, if the other run trained
  one of the same sizes with the same algorithm. The optimizer is not.

  Args:
    algo: The algorithm, built.
    logdir: Log directory of the other run.

  Raises:
    UserError: There is no checkpoint, or its network is another one.
  """
  path = latest_checkpoint(logdir)
  networks = _networks(algo)
  if not _has_head_of(algo, configuration.load_run(logdir)):
    networks.pop("head", None)
  try:
    _restore(networks, path)
  except UserError as error:
    raise UserError(
      f"--init_from {path}: does not fit this run's network; train both with"
      f" the same MODEL, IMAGE_SIZE and DATA.NUM_STEPS ({error})"
    ) from error
  logging.info("Starting from the network of %s", path)
  if algo.head is not None and "head" not in networks:
    logging.info("It has no classifier of the same kind: that starts anew")


def _has_head_of(algo: Algorithm, config: EasyDict) -> bool:
  """Whether a configuration leads to the head of an algorithm."""
  if algo.head is None or config.TRAINING_ALGO != algo.name:
    return False
  other = build_to_restore(config).head
  return other is not None and (
    [w.shape for w in other.weights] == [w.shape for w in algo.head.weights]
  )


def latest_checkpoint(logdir: str | os.PathLike) -> str:
  """Path of the last checkpoint of a log directory.

  Args:
    logdir: The log directory.

  Returns:
    The path.

  Raises:
    UserError: There is none.
  """
  found = run_directory.list_checkpoints(logdir)
  if not found:
    raise UserError(
      f"{logdir}: holds no checkpoint; expected"
      f" {run_directory.CHECKPOINT_NAME}-*.index, train first with"
      f" `python train.py --logdir {logdir}`"
    )
  return found[-1][1]
