"""Runs the tasks on every data set and logs what they find."""

import dataclasses
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from easydict import EasyDict

import datasets
from algos.algorithm import Algorithm
from core import files, run_directory
from core.settings import check_name
from embeddings import extraction
from embeddings.types import AnyVideos, EmbeddedSplit
from evaluation import TASKS, metrics
from evaluation.metric import Metric
from evaluation.result import Result
from evaluation.task import BatchTask, EmbeddingTask, Task

# Data set -> task -> what it found.
Results = dict[str, dict[str, Result]]


def build_tasks(config: EasyDict) -> dict[str, Task]:
  """Build the tasks of EVAL.TASKS by name, or raise a UserError."""
  check_name("EVAL.TASKS", config.EVAL.TASKS, TASKS)
  return {name: TASKS[name](config) for name in config.EVAL.TASKS}


def run_tasks(
  config: EasyDict,
  embedder: extraction.VideoEmbedder,
  maker: datasets.ExampleMaker,
  tasks: Mapping[str, Task],
  max_embs: int = 0,
  visualize: bool = False,
) -> Results:
  """Embed each data set once and hand the embeddings to all tasks.

  What no task asks for, embeddings or batches, is not made.

  Args:
    config: The configuration.
    embedder: Of the algorithm, restored.
    maker: Makes the examples of batches, with the algorithm's sampler.
    tasks: Name -> task.
    max_embs: Videos of a split to embed at most; 0 = all.
    visualize: Whether to show the embeddings too, see `show_embeddings`.

  Returns:
    Data set -> task -> result.
  """
  results, algo = {}, embedder.algo
  needs_embs, needs_batches = (
    any(isinstance(task, kind) for task in tasks.values())
    for kind in (EmbeddingTask, BatchTask)
  )
  for dataset in config.DATASETS:
    embs, batches = {}, {}
    for split in ("train", "val"):
      source = (config, dataset, split)
      if needs_embs:
        embs[split] = extraction.embed_split(embedder, *source, max_embs)
      if needs_batches:
        cache, stride = None, config.DATA.SAMPLE_ALL_STRIDE
        # Worth its time where all frames of all videos are embedded anyway.
        if needs_embs and stride == 1 and not max_embs:
          records = datasets.list_split_records(*source)
          cache = embedder.cache_features(records)
        batches[split] = datasets.eval_batches(*source, maker, cache)
    results[dataset] = run_on_embeddings(tasks, dataset, embs, algo, batches)
    if visualize and embs:
      val = extraction.attach_frames(config, dataset, "val", embs["val"])
      shown = show_embeddings(config, config.LOGDIR, dataset, val)
      results[dataset]["neighbors"] = shown
  return results


def run_on_embeddings(
  tasks: Mapping[str, Task],
  dataset: str,
  embs: Mapping[str, AnyVideos],
  algo: Algorithm | None = None,
  batches: Mapping[str, Iterable[Any]] | None = None,
) -> dict[str, Result]:
  """Run the tasks on one data set; what they warn of is logged once.

  Args:
    tasks: Name -> task.
    dataset: Name of the data set.
    embs: `train` and `val` -> their embedded videos; empty if no task asks.
    algo: The algorithm, restored; None leaves out the tasks that need one.
    batches: `train` and `val` -> batches for these tasks.

  Returns:
    Task -> result.
  """
  results, told = {}, set()
  for name, task in tasks.items():
    with warnings.catch_warnings(record=True) as caught:
      warnings.simplefilter("always", UserWarning)
      if isinstance(task, EmbeddingTask):
        result = task.evaluate_embeddings(dataset, embs["train"], embs["val"])
      elif batches is not None:
        result = task.evaluate_batches(
          algo, batches["train"], batches["val"], dataset_name=dataset
        )
      else:
        result = Result.empty()
    results[name] = result
    # Tasks that look at the same frames find the same fault: once is enough.
    for message in (str(w.message) for w in caught):
      if message not in told:
        logging.warning("%s: %s", name, message)
      told.add(message)
  return results


def show_embeddings(
  config: EasyDict, logdir: str, dataset: str, val: EmbeddedSplit
) -> Result:
  """Write the validation videos to TensorBoard's projector.

  Args:
    config: The configuration.
    logdir: The log directory.
    dataset: Name of the data set.
    val: Its validation videos, with frames as far as there are any.

  Returns:
    No metrics; images of nearest neighbors.
  """
  # Most evaluations show nothing.
  from evaluation.neighbor_strips import show_neighbors
  from evaluation.projector import write_projector

  write_projector(run_directory.eval_logs(logdir), f"{dataset}_val", val)
  return show_neighbors(dataset, val, config.EVAL.KENDALLS_TAU_DISTANCE)


def gather_metrics(results: Results) -> list[Metric]:
  """Gather all metrics of an evaluation, headlines included.

  Args:
    results: Data set -> task -> result.

  Returns:
    A metric a tag; one that several data sets share, `metrics/all_{task}` for
    one, is the mean of those that gave a number, NaN only if none did. A task
    that could not run on a data set adds nothing.
  """
  by_tag: dict[str, list[Metric]] = {}
  for dataset, by_task in results.items():
    for task, result in by_task.items():
      if result.metrics:
        names = (dataset, "all")
        headlines = (Metric.headline(x, task, result.value) for x in names)
        for metric in (*result.metrics, *headlines):
          by_tag.setdefault(metric.tag, []).append(metric)
  gathered = []
  for shared in by_tag.values():
    defined = [m.value for m in shared if not math.isnan(m.value)]
    mean = float(np.mean(defined)) if defined else math.nan
    gathered.append(dataclasses.replace(shared[0], value=mean))
  return gathered


def open_writer(logdir: str) -> tf.summary.SummaryWriter:
  """Open the TensorBoard log of evaluations."""
  # One for all checkpoints: TensorBoard reads slowly from many small files.
  folder = files.make_folder(run_directory.eval_logs(logdir))
  return tf.summary.create_file_writer(str(folder))


def log_results(
  logdir: str,
  writer: tf.summary.SummaryWriter,
  step: int,
  results: Results,
  visualize: bool,
  details: Mapping[str, Any],
) -> None:
  """Write an evaluation to TensorBoard and `metrics.jsonl`.

  Args:
    logdir: The log directory.
    writer: As `open_writer` gives it.
    step: Steps of training of the checkpoint.
    results: Data set -> task -> result.
    visualize: Whether to draw and write the images.
    details: Written to `metrics.jsonl` beside those of the tasks.
  """
  found, details = gather_metrics(results), dict(details)
  with writer.as_default(step=step):
    for metric in found:
      if math.isfinite(metric.value):
        tf.summary.scalar(metric.tag, metric.value)
    for result in (r for by_task in results.values() for r in by_task.values()):
      details |= result.details
      for tag, image in result.images.items() if visualize else ():
        tf.summary.image(tag, image[None])
  writer.flush()
  if titles := {metric.tag: metric.title for metric in found if metric.title}:
    details["titles"] = titles
  metrics.append(logdir, step, {m.tag: m.value for m in found}, details)
