"""Embedded videos for the tasks, and what a task says of them."""

import csv
import warnings

import numpy as np

import embeddings
from embeddings.types import EmbeddedSplit
from evaluation import TASKS


def made_videos(num_videos, seed, lengths=(25, 40), num_phases=4):
  """Videos that run along one curve, at different speeds, with some noise."""
  random = np.random.default_rng(seed)
  videos = {"embs": [], "labels": []}
  for _ in range(num_videos):
    times = np.linspace(0, 1, random.integers(*lengths))
    times **= random.uniform(0.7, 1.4)
    curve = np.stack([np.cos(3 * times), np.sin(3 * times), times], axis=1)
    embs = curve + 0.05 * random.normal(size=curve.shape)
    videos["embs"].append(embs.astype(np.float32))
    phases = np.minimum(times * num_phases, num_phases - 1)
    videos["labels"].append(phases.astype(np.int64))
  return videos


def evaluate(task, config, train, val):
  return TASKS[task](config).evaluate_embeddings("toy", train, val)


def listen(task, config, train, val):
  """The result and the texts of all warnings."""
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    result = evaluate(task, config, train, val)
  return result, [str(warning.message) for warning in caught]


def timed_videos(num_videos, seed, fps=10, **options):
  """`made_videos` at a known rate, with the names `video 0`, `video 1`, ..."""
  lists = made_videos(num_videos, seed, **options)
  lists["times"] = [np.arange(len(embs)) / fps for embs in lists["embs"]]
  return list(EmbeddedSplit.from_lists(lists).videos)


def write(path, videos, class_names=()):
  """Writes an embeddings file; returns its path."""
  embeddings.save(path, EmbeddedSplit(videos, class_names))
  return str(path)


def read_table(path):
  """The rows of a CSV file, as dicts of texts."""
  with open(path, encoding="utf-8", newline="") as file:
    return list(csv.DictReader(file))
