"""Evaluates the checkpoints of a run, as they appear.

Usage: python evaluate.py --logdir /tmp/my_run
"""

import quiet_tensorflow  # noqa: F401

import math
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags, logging
from easydict import EasyDict

import checkpoints
import config as configuration
import datasets
import errors
import files
import inference
import metrics
from algos.algorithm import Algorithm
from errors import UserError
from evaluation import TASKS, Result

FLAGS = flags.FLAGS

_POLL_SECONDS = 5


def evaluate(
  config: EasyDict,
  continuous_eval: bool = True,
  max_embs: int = 0,
  visualize: bool = False,
) -> None:
  """Evaluates checkpoints; logs to TensorBoard and to `metrics.jsonl`.

  Args:
    config: The configuration of the run.
    continuous_eval: Evaluate every checkpoint that has no line in
      `metrics.jsonl` yet and wait for more, until that of TRAIN.MAX_ITERS was
      evaluated; otherwise evaluate the last checkpoint and return.
    max_embs: Videos of a split to embed at most; 0 = all.
    visualize: Whether to log the images that tasks make.

  Raises:
    UserError: There is no checkpoint, no data set, or an unknown task.
  """
  tasks = _build_tasks(config)
  checkpoints.latest_checkpoint(config.LOGDIR)
  folder = files.make_folder(os.path.join(config.LOGDIR, "eval_logs"))
  algo = checkpoints.build_to_restore(config)
  writer = tf.summary.create_file_writer(str(folder))
  found = _new_checkpoints(config) if continuous_eval else _last(config)
  for step, path in found:
    logging.info("Evaluating %s", path)
    checkpoints.restore_networks(algo, path)
    results = run_tasks(config, algo, tasks, max_embs)
    _log(config.LOGDIR, writer, step, results, visualize)
    print(metrics.table(config.LOGDIR), flush=True)
  writer.close()


def _build_tasks(config: EasyDict) -> dict[str, Any]:
  unknown = [name for name in config.EVAL.TASKS if name not in TASKS]
  if unknown:
    raise UserError(
      f"EVAL.TASKS: unknown task {unknown[0]!r}; expected some of"
      f" {', '.join(TASKS)}"
    )
  return {name: TASKS[name](config) for name in config.EVAL.TASKS}


def _last(config: EasyDict) -> list[tuple[int, str]]:
  return checkpoints.list_checkpoints(config.LOGDIR)[-1:]


def _new_checkpoints(config: EasyDict) -> Iterator[tuple[int, str]]:
  """Yields all checkpoints without metrics until the last step has some."""
  done = set(metrics.read(config.LOGDIR))
  while True:
    new = [
      (step, path)
      for step, path in checkpoints.list_checkpoints(config.LOGDIR)
      if step not in done
    ]
    for step, path in new:
      yield step, path
      done.add(step)
    if config.TRAIN.MAX_ITERS in done:
      return
    if not new:
      time.sleep(_POLL_SECONDS)


def run_tasks(
  config: EasyDict, algo: Algorithm, tasks: dict[str, Any], max_embs: int = 0
) -> dict[str, dict[str, Result]]:
  """Embeds each data set once and hands the embeddings to all tasks.

  Args:
    config: The configuration.
    algo: The algorithm, restored.
    tasks: Name -> task.
    max_embs: Videos of a split to embed at most; 0 = all.

  Returns:
    Data set -> task -> result.
  """
  results = {}
  for dataset in config.DATASETS:
    embs = {
      split: inference.embed_split(algo, config, dataset, split, max_embs)
      for split in ("train", "val")
    }
    results[dataset] = {}
    for name, task in tasks.items():
      with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        results[dataset][name] = _run_task(task, config, algo, dataset, embs)
      for message in dict.fromkeys(str(w.message) for w in caught):
        logging.warning("%s: %s", dataset, message)
  return results


def _run_task(
  task: Any,
  config: EasyDict,
  algo: Algorithm,
  dataset: str,
  embs: dict[str, dict[str, list[Any]]],
) -> Result:
  if hasattr(task, "evaluate_batches"):
    train, val = (
      datasets.eval_batches(config, dataset, split, algo.needs_positives)
      for split in ("train", "val")
    )
    return task.evaluate_batches(algo, train, val)
  return task.evaluate_embeddings(dataset, embs["train"], embs["val"])


def gather_scalars(
  results: dict[str, dict[str, Result]],
) -> dict[str, float]:
  """All scalars of an evaluation, headlines included.

  Args:
    results: Data set -> task -> result.

  Returns:
    Tag -> value; a tag that several data sets share is their mean. A task that
    could not run on a data set adds nothing.
  """
  values: dict[str, list[float]] = {}
  for dataset, of_task in results.items():
    for task, result in of_task.items():
      headlines = {
        f"metrics/{dataset}_{task}": result.value,
        f"metrics/all_{task}": result.value,
      }
      for tag, value in {**result.scalars, **headlines}.items():
        if result.scalars:
          values.setdefault(tag, []).append(value)
  return {tag: float(np.mean(numbers)) for tag, numbers in values.items()}


def _log(
  logdir: str,
  writer: tf.summary.SummaryWriter,
  step: int,
  results: dict[str, dict[str, Result]],
  visualize: bool,
) -> None:
  scalars = gather_scalars(results)
  with writer.as_default(step=step):
    for tag, value in scalars.items():
      if math.isfinite(value):
        tf.summary.scalar(tag, value)
    if visualize:
      for result in (
        r for of_task in results.values() for r in of_task.values()
      ):
        for tag, image in result.images.items():
          tf.summary.image(tag, image[None])
  writer.flush()
  metrics.append(logdir, step, scalars)


def main() -> None:
  """Reads the flags and evaluates."""
  evaluate(
    configuration.of_logdir(FLAGS.logdir),
    FLAGS.continuous_eval,
    FLAGS.max_embs,
    FLAGS.visualize,
  )


if __name__ == "__main__":
  flags.DEFINE_string(
    "logdir", "/tmp/alignment_logs", "Log directory of the training run."
  )
  flags.DEFINE_bool(
    "continuous_eval",
    True,
    "Evaluate every checkpoint, and wait for more until the last step was"
    " evaluated; otherwise evaluate the last checkpoint only.",
  )
  flags.DEFINE_integer(
    "max_embs",
    0,
    "Videos of a split to embed at most; 0 = all.",
    lower_bound=0,
  )
  flags.DEFINE_bool("visualize", False, "Log the images that tasks make.")
  errors.run(main)
