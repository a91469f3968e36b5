"""Train a network on videos.

python train.py --logdir /tmp/my_run --config configs/demo.yml
"""

import core.quiet_tensorflow  # noqa: F401

import contextlib
import copy
import itertools
import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import keras
import tensorflow as tf
from absl import flags, logging
from easydict import EasyDict

import config as configuration
import datasets
import models
from algos import ALGOS
from algos.algorithm import Algorithm, Batch
from core import run_directory
from core.command_line import define_path, run
from core.errors import UserError
from core.settings import check_name
from data.feature_cache import FeatureCache, View
from evaluation import TASKS
from training import checkpoints
from training.frame_features import FrameFeatures, build_cache, keeps_features
from training.log import TrainLog
from training.optimizers import build_optimizer
from training.step import build_train_step, distribute

FLAGS = flags.FLAGS


def train(
  config: EasyDict,
  force_train: bool = False,
  debug: bool = False,
  visualize: bool = False,
  init_from: str | None = None,
  strategy: tf.distribute.Strategy | None = None,
) -> int:
  """Train until TRAIN.MAX_ITERS, a signal, or a loss that is not finite.

  Args:
    config: The configuration.
    force_train: Whether to continue in a directory that has training logs.
    debug: Whether to log gradient norms and histograms of variables.
    visualize: Whether to log batches as images.
    init_from: Log directory of another run, whose network a new run starts
      from. A run that continues ignores it.
    strategy: Distributes the steps; None = `tf.distribute.get_strategy()`.

  Returns:
    The signal that stopped training early, or 0.

  Raises:
    UserError: The user made a mistake, or the loss is not finite.
  """
  _check_start(config, force_train, init_from, visualize)
  for dataset in config.DATASETS:  # Fails early and clean, too.
    datasets.list_training_records(config, dataset)
  # What depends on machine or videos is settled: the run is restored without.
  config = copy.deepcopy(config)
  config.PRECISION = models.resolve_precision(config.PRECISION)
  build = ALGOS[config.TRAINING_ALGO]
  config = build.resolve(config, datasets.count_phases)
  strategy = strategy or tf.distribute.get_strategy()
  keras.utils.set_random_seed(config.SEED)  # First weights and dropout.
  # Where a checkpoint gives the weights, those of ImageNet need not be there.
  restores = init_from or run_directory.list_checkpoints(config.LOGDIR)
  with strategy.scope():
    algo = (checkpoints.build_to_restore if restores else build)(config)
    variables = checkpoints.trainable_variables(algo)
    optimizer = build_optimizer(config)
    optimizer.build(variables)
  max_to_keep = config.CHECKPOINT.MAX_TO_KEEP
  saver = checkpoints.Saver(algo, optimizer, config.LOGDIR, max_to_keep)
  step = saver.restore_latest()
  if init_from and step == 0:
    checkpoints.init_from(algo, init_from)
  batch_size = config.TRAIN.BATCH_SIZE * strategy.num_replicas_in_sync
  # First: an evaluator that finds a checkpoint asks what it belongs to.
  configuration.save(config, config.LOGDIR)
  source = config, batch_size, step, algo.sampler, _cache_views(algo, config)
  # Its threads prepare the first batch while the first checkpoint is saved.
  batches = iter(distribute(strategy, datasets.train_batches(*source)))
  if step == 0:
    saver.save(0)
  train_step = build_train_step(strategy, algo, optimizer, debug)
  with TrainLog(config, variables if debug else [], visualize) as log:
    return _take_steps(config, batches, train_step, saver, log)


def _check_start(
  config: EasyDict, force_train: bool, init_from: str | None, visualize: bool
) -> None:
  """Find the user's mistakes before anything is built or written."""
  check_name("TRAINING_ALGO", config.TRAINING_ALGO, ALGOS)
  models.check_names(config)
  # Or a mistyped task would be found out after days.
  check_name("EVAL.TASKS", config.EVAL.TASKS, TASKS)
  if not force_train and run_directory.has_training(config.LOGDIR):
    raise UserError(
      f"{config.LOGDIR}: expected a new log directory, received one with"
      " training logs; continue that run with --force_train or choose another"
      " --logdir"
    )
  views = config.AUGMENTATION.CACHED_VIEWS
  if views and (visualize or not keeps_features(config)):
    raise UserError(
      "AUGMENTATION.CACHED_VIEWS: expected 0 unless MODEL.TRAIN_BASE is frozen,"
      " DATA.CACHE_MAX_GB allows a cache and --visualize is off, received"
      f" {views}; set it to 0"
    )
  if init_from:
    checkpoints.latest_checkpoint(init_from)
    own = run_directory.list_checkpoints(config.LOGDIR)
    if own and own[-1][0] > 0:
      logging.warning(
        "--init_from %s has no effect: this run continues from its own step %d",
        *(init_from, own[-1][0]),
      )
  if unused := configuration.unused_settings(config):
    logging.warning(
      "%s: no effect with MODEL.EMBEDDER_TYPE=%s",
      *(", ".join(unused), config.MODEL.EMBEDDER_TYPE),
    )


def _cache_views(algo: Algorithm, config: EasyDict) -> FeatureCache | None:
  """Compute the features of AUGMENTATION.CACHED_VIEWS, if there are any."""
  if not config.AUGMENTATION.CACHED_VIEWS:
    return None
  cache = build_cache(algo, config)
  records = [datasets.list_training_records(config, x) for x in config.DATASETS]
  numbers = range(config.AUGMENTATION.CACHED_VIEWS)
  views = itertools.product(itertools.chain(*records), numbers)
  features = FrameFeatures(algo, config, augment=True)
  features.fill_cache(cache, list(itertools.starmap(View, views)))
  return cache


def _take_steps(
  config: EasyDict,
  batches: Iterable[Batch],
  train_step: Callable[[Batch], dict[str, tf.Tensor]],
  saver: checkpoints.Saver,
  log: TrainLog,
) -> int:
  """Train from the saver's step on; return what `train` returns."""
  step = saver.step
  # Held until the last checkpoint is saved: ending it waits for its threads.
  iterator = iter(batches)
  with _caught_signals() as caught:
    while step < config.TRAIN.MAX_ITERS and not caught:
      asked = time.monotonic()
      batch = next(iterator)
      waited = time.monotonic() - asked
      scalars = train_step(batch)
      loss = float(scalars["loss"])
      if not math.isfinite(loss):
        raise UserError(
          f"step {step}: expected a finite loss, received {loss}; lower"
          " OPTIMIZER.LR.INITIAL_LR or check the videos, then continue with"
          f" --force_train: the last checkpoint in {config.LOGDIR} (step"
          f" {saver.step}) is good"
        )
      log.step(step, scalars, batch, waited)
      step += 1
      if step % config.CHECKPOINT.SAVE_INTERVAL == 0:
        saver.save(step)
    if saver.step != step:
      saver.save(step)
  if caught:
    logging.info("Stopped by a signal; saved step %d", step)
    return caught[0]
  logging.info("Trained %d steps; checkpoints in %s", step, config.LOGDIR)
  return 0


@contextlib.contextmanager
def _caught_signals() -> Iterator[list[int]]:
  """Collect the first Ctrl-C or SIGTERM; a second one has its usual effect."""
  caught: list[int] = []
  with contextlib.ExitStack() as handlers:

    def catch(number: int, _: object) -> None:
      caught.append(number)
      handlers.close()  # Puts the handlers back that were there before.

    for number in (signal.SIGINT, signal.SIGTERM):
      before = signal.signal(number, catch)
      handlers.callback(signal.signal, number, before)
    yield caught


def main() -> None:
  """Read the flags, train, and end with the status of a caught signal."""
  config = configuration.merge_run(FLAGS.logdir, FLAGS.config, FLAGS.set)
  strategy = tf.distribute.MirroredStrategy()
  logging.info("Devices: %s", ", ".join(strategy.extended.worker_devices))
  options = FLAGS.force_train, FLAGS.debug, FLAGS.visualize, FLAGS.init_from
  if stopped_by := train(config, *options, strategy):
    sys.exit(128 + stopped_by)


if __name__ == "__main__":
  define_path(
    "logdir", None, "Log directory of the run (default: LOGDIR, see config.py)."
  )
  define_path(
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
  define_path(
    "init_from",
    None,
    "Log directory of another run whose network a new run starts from; the"
    " classifier is taken over if algorithm and sizes are the same.",
  )
  run(main)
