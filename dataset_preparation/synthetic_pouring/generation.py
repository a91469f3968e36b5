"""Generates a synthetic data set of pouring videos, with annotations.

An arm reaches for a bottle, lifts and tilts it, pours into a cup, puts the
bottle back and lets go: the five phases of the Pouring data set. Speed,
shapes, colors, light and camera differ from video to video.
"""

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np

from core.errors import UserError
from core.files import atomic_write, make_folder
from dataset_preparation.synthetic_pouring import motion, scene
from media.video_writer import write_video

SPLITS = ("train", "val")
# The one annotator of labels.json: the program that made the videos.
ANNOTATOR = "synthetic"

# Number of a phase -> [start, end], in microseconds.
Phases = dict[str, list[int]]


def generate_video(path: str, seed: int, split: int, index: int) -> Phases:
  """Generate one video; the same arguments give the same one.

  Args:
    path: File to write, ending in `.mp4`.
    seed: The data set's seed, at least 0.
    split: Number of the split in `SPLITS`.
    index: Number of the video in its split.

  Returns:
    The phases: {number: [start, end]}, in microseconds.
  """
  cv2.setNumThreads(1)
  rng = np.random.default_rng(np.random.SeedSequence((seed, split, index)))
  script = motion.draw_script(rng)
  style = scene.draw_style(rng)
  seconds = (index / motion.FPS for index in range(sum(script.frames)))
  states = (motion.compute_state(script, second) for second in seconds)
  images = (scene.draw_scene(script, style, state) for state in states)
  write_video(path, images, motion.FPS)
  times = [round(second * 1e6) for second in script.boundaries()]
  bounds = zip(times, times[1:], strict=False)
  return {str(phase): list(pair) for phase, pair in enumerate(bounds)}


def generate_dataset(
  output_dir: str | os.PathLike, num_train: int, num_val: int, seed: int
) -> dict[str, dict[str, Phases]]:
  """Generate the data set: `train/*.mp4`, `val/*.mp4` and `labels.json`.

  Files of the same names are replaced, others stay. A video depends only on the
  seed, its split and its number, so a larger set starts with the videos of a
  smaller one.

  Args:
    output_dir: Folder to write to; made if missing.
    num_train: Number of training videos.
    num_val: Number of validation videos.
    seed: A number from 0; each gives another data set.

  Returns:
    The annotations as in `labels.json`: {video id: {annotator: {phase:
    [start, end]}}}, in microseconds, both splits together.

  Raises:
    UserError: A number is negative, or the folder can't be written to.
  """
  numbers = {"num_train": num_train, "num_val": num_val, "seed": seed}
  for name, number in numbers.items():
    if number < 0:
      raise UserError(
        f"--{name}: expected 0 or more, received {number}; give a larger number"
      )
  root = make_folder(output_dir)
  jobs = {}
  for split, count in enumerate((num_train, num_val)):
    folder = make_folder(root / SPLITS[split])
    for index in range(count):
      name = f"pouring_{SPLITS[split]}_{index:04d}"
      jobs[name] = (str(folder / f"{name}.mp4"), seed, split, index)
  phases = [{ANNOTATOR: x} for x in _generate_videos(list(jobs.values()))]
  labels = dict(zip(jobs, phases, strict=True))
  with atomic_write(root / "labels.json") as temporary:
    temporary.write_text(json.dumps(labels, indent=1) + "\n")
  return labels


def _generate_videos(jobs: list[tuple[str, int, int, int]]) -> list[Phases]:
  """Generate all videos on one process per core, in order."""
  workers = min(os.cpu_count() or 1, len(jobs))
  if workers < 2:
    return [generate_video(*job) for job in jobs]
  # A forked process could inherit a lock of the caller's TensorFlow.
  context = multiprocessing.get_context("spawn")
  with ProcessPoolExecutor(workers, context) as pool:
    return list(pool.map(generate_video, *zip(*jobs, strict=True)))
