"""Evaluate the checkpoints of a run, as they appear, or files of embeddings.

Usage: python evaluate.py --logdir /tmp/my_run
       python evaluate.py --train_embs A --val_embs B --dataset pouring
"""

import core.quiet_tensorflow  # noqa: F401

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable

from absl import flags, logging
from easydict import EasyDict

import config as configuration
import datasets
import embeddings
from core import run_directory
from core.command_line import define_path, run
from core.errors import UserError
from data import dataset_info
from embeddings import extraction
from evaluation import checkpoint_polling, metrics, runner
from evaluation.task import EmbeddingTask, Task
from training import checkpoints

FLAGS = flags.FLAGS


def evaluate(
  config: EasyDict,
  continuous_eval: bool = True,
  max_embs: int = 0,
  visualize: bool = False,
  timeout_minutes: float = 0,
) -> None:
  """Evaluate checkpoints; log to TensorBoard and to `metrics.jsonl`.

  Args:
    config: The configuration of the run.
    continuous_eval: Evaluate every checkpoint that has no line in
      `metrics.jsonl` yet and wait for more, until that of TRAIN.MAX_ITERS was
      evaluated; otherwise evaluate the last checkpoint and return.
    max_embs: Videos of a split to embed at most; 0 = all. A line of fewer
      videos than are asked for now counts as none.
    visualize: Whether to log images, and embeddings to the projector.
    timeout_minutes: How long to wait for a training that writes nothing;
      0 = for ever.

  Raises:
    UserError: There is no checkpoint, no data set, a `dataset.json` or a
      record that can't be read, a checkpoint that can't be evaluated, another
      evaluator at work, or training seems dead.
  """
  tasks = runner.build_tasks(config)
  for dataset in config.DATASETS:  # Fails early and clean.
    dataset_info.load_class_names(config.PATH_TO_TFRECORDS, dataset)
  checkpoints.latest_checkpoint(config.LOGDIR)  # Likewise.
  with checkpoint_polling.evaluator_lock(config.LOGDIR):
    if continuous_eval:
      done = metrics.read(config.LOGDIR, max_embs)
      found = checkpoint_polling.poll_checkpoints(config, done, timeout_minutes)
    else:
      found = run_directory.list_checkpoints(config.LOGDIR)[-1:]
    evaluate_checkpoint = _build_evaluator(config, tasks, max_embs, visualize)
    failed, evaluated = {}, False
    for step, path in found:
      try:
        evaluate_checkpoint(step, path)
        evaluated = True
      except checkpoints.CheckpointError as error:
        # Training deletes the index first.
        if pathlib.Path(f"{path}.index").exists():
          failed[step] = error
          logging.warning("Step %d is not evaluated: %s", step, error)
        else:
          checkpoint_polling.warn_of_deleted(config.LOGDIR, [step])
  if failed:
    raise UserError(
      f"{config.LOGDIR}: could not evaluate step"
      f" {', '.join(map(str, failed))}: {next(iter(failed.values()))}"
    )
  if not evaluated:
    print(metrics.table(config.LOGDIR), flush=True)


def _build_evaluator(
  config: EasyDict, tasks: dict[str, Task], max_embs: int, visualize: bool
) -> Callable[[int, str], None]:
  """Build the network once; return what evaluates a step's checkpoint."""
  algo = checkpoints.build_to_restore(config)
  embedder = extraction.VideoEmbedder(algo, config)
  maker = datasets.ExampleMaker(config, algo.sampler)
  writer = runner.open_writer(config.LOGDIR)
  details = {"max_embs": max_embs} if max_embs else {}

  def evaluate_checkpoint(step: int, path: str) -> None:
    logging.info("Evaluating step %d", step)
    checkpoints.restore_networks(algo, path)
    options = (max_embs, visualize)
    results = runner.run_tasks(config, embedder, maker, tasks, *options)
    runner.log_results(config.LOGDIR, writer, step, results, visualize, details)
    print(metrics.table(config.LOGDIR), flush=True)

  return evaluate_checkpoint


def evaluate_files(
  config: EasyDict,
  dataset: str,
  train_embs: str,
  val_embs: str,
  logdir: str | None = None,
  visualize: bool = False,
) -> None:
  """Evaluate embeddings that any program made; print the table.

  Args:
    config: A configuration, for its EVAL section.
    dataset: Name of the data set, for the tags.
    train_embs: Embeddings file of the training videos; may be a pattern.
    val_embs: That of the validation videos.
    logdir: Where to log, as step 0; None logs nothing.
    visualize: Whether to log images, and embeddings to the projector.

  Raises:
    UserError: A file is missing or no embeddings file, the two don't go
      together, no task works on embeddings alone, or the log directory is a
      training run's.
  """
  tasks = runner.build_tasks(config)
  if not any(isinstance(task, EmbeddingTask) for task in tasks.values()):
    raise UserError(
      "EVAL.TASKS: expected a task on embeddings, received only"
      f" {', '.join(tasks)}, which needs the network; add one such as"
      " kendalls_tau"
    )
  if logdir and (
    run_directory.config_file(logdir).exists()
    or run_directory.list_checkpoints(logdir)
  ):
    raise UserError(
      f"{logdir}: expected no training run, received one, whose step 0 the"
      " files of embeddings would replace; choose another --logdir"
    )
  train, val = embeddings.load_many(train_embs), embeddings.load_many(val_embs)
  embeddings.check_same_size(train_embs, train, val_embs, val)
  names = dataset_info.load_class_names(config.PATH_TO_TFRECORDS, dataset)
  embs = {
    split: dataclasses.replace(part, class_names=part.class_names or names)
    for split, part in (("train", train), ("val", val))
  }
  with tempfile.TemporaryDirectory() as nowhere:
    logdir = logdir or nowhere
    with checkpoint_polling.evaluator_lock(logdir):
      results = {dataset: runner.run_on_embeddings(tasks, dataset, embs)}
      if visualize:
        shown = runner.show_embeddings(config, logdir, dataset, embs["val"])
        results[dataset]["neighbors"] = shown
      writer = runner.open_writer(logdir)
      runner.log_results(logdir, writer, 0, results, visualize, {})
      print(metrics.table(logdir), flush=True)


def main() -> None:
  """Read the flags and evaluate checkpoints or files of embeddings."""
  if FLAGS.train_embs or FLAGS.val_embs:
    _check_flags_of_files()
    config = configuration.load([], FLAGS.set)
    logdir = FLAGS.logdir if FLAGS["logdir"].present else None
    files = (FLAGS.dataset, FLAGS.train_embs, FLAGS.val_embs)
    evaluate_files(config, *files, logdir, FLAGS.visualize)
    return
  if FLAGS.set or FLAGS.dataset:
    raise UserError(
      "--set, --dataset: expected only with --train_embs and --val_embs; change"
      f" the settings of a training run in {FLAGS.logdir}/config.yml"
    )
  if FLAGS.continuous_eval:
    timeouts = (FLAGS.start_timeout_minutes, FLAGS.timeout_minutes)
    checkpoint_polling.wait_for_start(FLAGS.logdir, *timeouts)
  options = (FLAGS.max_embs, FLAGS.visualize, FLAGS.timeout_minutes)
  config = configuration.load_run(FLAGS.logdir)
  evaluate(config, FLAGS.continuous_eval, *options)


def _check_flags_of_files() -> None:
  """Raise a UserError if flags don't go with files of embeddings."""
  for name in ("train_embs", "val_embs", "dataset"):
    if not getattr(FLAGS, name):
      raise UserError(
        f"--{name}: expected with files of embeddings, received none; give"
        " --train_embs, --val_embs and --dataset together"
      )
  if FLAGS.max_embs:
    raise UserError(
      "--max_embs: expected only with checkpoints, received with files of"
      " embeddings; write fewer videos to the files"
    )


if __name__ == "__main__":
  define_path(
    "logdir",
    "/tmp/alignment_logs",
    "Log directory of the training run; with --train_embs, where to log"
    " (nowhere if it is not given).",
  )
  flags.DEFINE_bool(
    "continuous_eval",
    True,
    "Evaluate every checkpoint, and wait for the first and for more until the"
    " last step was evaluated; otherwise evaluate the last checkpoint only.",
  )
  flags.DEFINE_integer(
    "max_embs",
    0,
    "Videos of a split to embed at most; 0 = all. Such an evaluation does not"
    " replace one of all videos.",
    lower_bound=0,
  )
  flags.DEFINE_bool(
    "visualize",
    False,
    "Log images to TensorBoard, and the embeddings to its projector.",
  )
  flags.DEFINE_float(
    "start_timeout_minutes",
    1,
    "Minutes to wait at most for training to write config.yml; 0 = for ever.",
    lower_bound=0,
  )
  flags.DEFINE_float(
    "timeout_minutes",
    60,
    "Minutes that a training that has begun may write neither a checkpoint nor"
    " a log before this ends with an error; 0 = wait for ever.",
    lower_bound=0,
  )
  define_path(
    "train_embs",
    None,
    "Embeddings file of the training videos, by any program: evaluated instead"
    " of checkpoints. May be a pattern.",
  )
  define_path("val_embs", None, "Embeddings file of the validation videos.")
  flags.DEFINE_string("dataset", None, "Name of the data set of these files.")
  flags.DEFINE_multi_string(
    "set",
    [],
    "A setting for --train_embs, such as EVAL.TASKS=[retrieval]; repeatable.",
  )
  run(main)
