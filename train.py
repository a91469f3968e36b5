"""Trains a network on videos.

python train.py --logdir /tmp/my_run --config configs/demo.yml
"""

import core.quiet_tensorflow  # noqa: F401

import contextlib
import copy
import itertools
import math
import signal
import sys
from collections.abc import Callable, Iterable, Iterator

import keras
import tensorflow as tf
from absl import flags, logging
from easydict import EasyDict

import config as configuration
import datasets
import models
from algos import ALGOS
from algos.algorithm import Algorithm
from core import command_line, files, run_directory
from core.errors import UserError
from training import checkpoints
from training.log import TrainLog
from training.optimizers import build_optimizer

FLAGS = flags.FLAGS


def train(
  config: EasyDict,
  force_train: bool = False,
  debug: bool = False,
  visualize: bool = False,
  init_from: str | None = None,
) -> int:
  """Trains until TRAIN.MAX_ITERS, an interrupt, or a loss that is not finite.

  Args:
    config: The configuration.
    force_train: Whether to continue in a directory that has training logs.
    debug: Whether to log gradient norms and histograms of variables.
    visualize: Whether to log batches as images.
    init_from: Log directory of another run, whose network a new run starts
      from. A run that continues does not look at it.

  Returns:
    The signal that stopped training early, or 0.

  Raises:
    UserError: The user made a mistake, or the loss is not finite.
  """
  records = [  # Fails early and clean.
    record
    for dataset in config.DATASETS
    for record in datasets.list_training_records(config, dataset)
  ]
  if init_from:
    checkpoints.latest_checkpoint(init_from)  # Likewise.
  _warn_of_unused(config)
  config = _settled(config)
  if not force_train:
    _refuse_used(config.LOGDIR)
  keras.utils.set_random_seed(config.SEED)  # First weights and dropout.
  strategy = tf.distribute.MirroredStrategy()
  with strategy.scope():
    # Where a checkpoint gives the weights, those of ImageNet need not be there.
    restores = init_from or run_directory.list_checkpoints(config.LOGDIR)
    build = (
      checkpoints.build_to_restore if restores else ALGOS[config.TRAINING_ALGO]
    )
    algo = build(config)
    variables = checkpoints.trainable_variables(algo)
    if not variables:
      raise UserError(
        "MODEL.TRAIN_BASE and MODEL.TRAIN_EMBEDDING leave nothing to train;"
        " set MODEL.TRAIN_EMBEDDING=true or MODEL.TRAIN_BASE=only_bn"
      )
    optimizer = build_optimizer(config)
    optimizer.build(variables)
  logging.info("Training on %s", ", ".join(strategy.extended.worker_devices))
  # Not before: a network that can't be built leaves no directory behind.
  files.make_folder(config.LOGDIR)
  saver = checkpoints.Saver(algo, optimizer, config.LOGDIR)
  start_step = saver.restore_latest()
  if init_from and start_step:
    logging.warning(
      "--init_from %s has no effect: this run continues from its own step %d",
      init_from,
      start_step,
    )
  elif init_from:
    checkpoints.init_from(algo, init_from)
  batches = distribute(
    strategy,
    datasets.train_batches(
      config,
      config.TRAIN.BATCH_SIZE * strategy.num_replicas_in_sync,
      start_step,
      algo.sampler,
    ),
  )
  # First: an evaluator that finds a checkpoint asks what it belongs to.
  configuration.save(config, config.LOGDIR)
  if start_step == 0:
    saver.save(0)
  train_step = build_train_step(strategy, algo, optimizer, debug)
  with TrainLog(config, variables if debug else [], visualize) as log:
    return _loop(
      config,
      datasets.checked_batches(batches, records),
      train_step,
      saver,
      log,
      start_step,
    )


def _warn_of_unused(config: EasyDict) -> None:
  unused = configuration.unused_settings(config)
  if unused:
    logging.warning(
      "No effect has %s: MODEL.EMBEDDER_TYPE is %s",
      ", ".join(unused),
      config.MODEL.EMBEDDER_TYPE,
    )


def _settled(config: EasyDict) -> EasyDict:
  """Settles what machine or videos decide: the run is restored without them."""
  config = copy.deepcopy(config)
  config.PRECISION = models.resolve_precision(config.PRECISION)
  if ALGOS[config.TRAINING_ALGO].needs_labels:
    config.CLASSIFICATION.NUM_CLASSES = datasets.count_phases(config)
  return config


def _refuse_used(logdir: str) -> None:
  """Raises a UserError if training has written to a directory before."""
  if run_directory.has_training(logdir):
    raise UserError(
      f"{logdir}: already has training logs; continue that run with"
      " --force_train or choose another --logdir"
    )


def distribute(
  strategy: tf.distribute.Strategy, batches: tf.data.Dataset
) -> tf.distribute.DistributedDataset:
  """Splits each batch among the replicas of a strategy."""
  # The batches are drawn by number, so there are no files to shard by.
  options = tf.data.Options()
  options.experimental_distribute.auto_shard_policy = (
    tf.data.experimental.AutoShardPolicy.DATA
  )
  return strategy.experimental_distribute_dataset(batches.with_options(options))


def build_train_step(
  strategy: tf.distribute.Strategy,
  algo: Algorithm,
  optimizer: keras.optimizers.Optimizer,
  debug: bool = False,
) -> Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]:
  """Compiles one training step.

  Args:
    strategy: Its replicas each take a part of the batch.
    algo: The algorithm, built in the strategy's scope.
    optimizer: Built on `checkpoints.trainable_variables(algo)`.
    debug: Whether the norm of each gradient is returned, too.

  Returns:
    A function of a batch that updates the variables and returns scalars to log:
    `loss` (penalties included), `reg_loss` and the algorithm's parts.
  """
  variables = checkpoints.trainable_variables(algo)
  num_replicas = strategy.num_replicas_in_sync

  def replica_step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    with tf.GradientTape() as tape:
      embs = algo(batch, training=True)
      scalars = algo.compute_losses(embs, batch, training=True)
      scalars["reg_loss"] = algo.regularization_loss()
      scalars["loss"] += scalars["reg_loss"]
      # Gradients are summed over replicas.
      loss = scalars["loss"] / num_replicas
    gradients = tape.gradient(loss, variables)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    if debug:
      for variable, gradient in zip(variables, gradients, strict=True):
        scalars[f"gradient_norm/{variable.path}"] = tf.norm(gradient)
    return scalars

  @tf.function
  def train_step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    scalars = strategy.run(replica_step, args=(batch,))
    return {
      tag: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
      for tag, value in scalars.items()
    }

  return train_step


def _loop(
  config: EasyDict,
  batches: Iterable[dict[str, tf.Tensor]],
  train_step: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
  saver: checkpoints.Saver,
  log: TrainLog,
  step: int,
) -> int:
  """Takes the steps from `step` on; returns what `train` returns."""
  saved = step
  with _caught_signals() as caught:
    # Never asks for a batch beyond the last, which would wait for nothing. A
    # run that continues with fewer steps than it has taken has none to take.
    steps_left = max(0, config.TRAIN.MAX_ITERS - step)
    for batch in itertools.islice(batches, steps_left):
      scalars = train_step(batch)
      loss = float(scalars["loss"])
      if not math.isfinite(loss):
        raise UserError(
          f"step {step}: the loss is {loss}; stopped before any harm, the last"
          f" checkpoint in {config.LOGDIR} (step {saved}) is good: lower"
          " OPTIMIZER.LR.INITIAL_LR or check the videos, then continue with"
          " --force_train"
        )
      log.step(step, scalars, batch)
      step += 1
      if step % config.CHECKPOINT.SAVE_INTERVAL == 0 or caught:
        saver.save(step)
        saved = step
      if caught:
        logging.info("Stopped by a signal; saved step %d", step)
        return caught[0]
  if saved != step:
    saver.save(step)
  logging.info("Trained %d steps; checkpoints in %s", step, config.LOGDIR)
  return 0


@contextlib.contextmanager
def _caught_signals() -> Iterator[list[int]]:
  """Collects the first Ctrl-C or SIGTERM; a second one has its usual effect."""
  caught: list[int] = []
  signals = (signal.SIGINT, signal.SIGTERM)

  def catch(number: int, _: object) -> None:
    caught.append(number)
    restore()

  def restore() -> None:
    for number, handler in handlers.items():
      signal.signal(number, handler)

  handlers = {number: signal.signal(number, catch) for number in signals}
  try:
    yield caught
  finally:
    restore()


def main() -> None:
  """Reads the flags, trains, and ends with the status of a caught signal."""
  config = configuration.for_run(FLAGS.logdir, FLAGS.config, FLAGS.set)
  stopped_by = train(
    config, FLAGS.force_train, FLAGS.debug, FLAGS.visualize, FLAGS.init_from
  )
  if stopped_by:
    sys.exit(128 + stopped_by)


if __name__ == "__main__":
  command_line.define_path(
    "logdir", None, "Log directory of the run (default: LOGDIR, see config.py)."
  )
  command_line.define_path(
    "config", None, "YAML file with the settings that differ from config.py."
  )
  flags.DEFINE_multi_string(
    "set", [], "One setting, such as TRAIN.MAX_ITERS=100; may be repeated."
  )
  flags.DEFINE_bool(
    "force_train", False, "Continue in a directory that has training logs."
  )
  flags.DEFINE_bool(
    "debug", False, "Log norms of gradients and histograms of variables."
  )
  flags.DEFINE_bool("visualize", False, "Log batches as images.")
  command_line.define_path(
    "init_from",
    None,
    "Log directory of another run whose network a new run starts from; the"
    " classifier is taken over if algorithm and sizes are the same.",
  )
  command_line.run(main)
