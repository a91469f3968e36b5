"""The videos of a folder: which can be read, how long and how fast they are."""

import itertools
import os
import pathlib
import time
from typing import NamedTuple

import av
import numpy as np

from core.errors import UserError
from core.progress import progress
from dataset_preparation.videos_to_tfrecords import find_videos, list_files
from media.video_reader import VideoReader

# Frames at the start of a video that tell its rate.
_FRAMES = 16


class ReadableVideo(NamedTuple):
  """What is known of a video before it is converted.

  Attributes:
    path: Its file.
    seconds: Length that its file states; 0 = none.
    fps: Frames per second at its start.
    read_seconds: Time that it takes to decode a frame.
  """

  path: pathlib.Path
  seconds: float
  fps: float
  read_seconds: float


def inspect_folder(
  folder: str | os.PathLike,
) -> tuple[dict[str, ReadableVideo], dict[str, str]]:
  """Find the videos of a folder and read the first frames of each.

  Args:
    folder: The folder; those in it are searched too.

  Returns:
    The videos by name, in natural order; and the reason why each other file is
    left out.

  Raises:
    UserError: There is no video, or two have the same name.
  """
  paths = find_videos(folder)
  chosen = {path.relative_to(folder).as_posix() for path in paths.values()}
  left_out = {
    name: "it is no video, by the ending of its name"
    for name in list_files(folder)
    if name not in chosen
  }
  videos = {}
  for name, path in progress(paths.items(), "Looking", unit="video"):
    try:
      videos[name] = inspect_video(path)
    except UserError as error:
      left_out[path.relative_to(folder).as_posix()] = str(error)
  return videos, left_out


def inspect_video(path: pathlib.Path) -> ReadableVideo:
  """Read the first frames of a video.

  Args:
    path: Its file.

  Returns:
    What they tell.

  Raises:
    UserError: It can't be read, or is a single picture.
  """
  start = time.perf_counter()
  frames = itertools.islice(VideoReader(path), _FRAMES)
  times = [frame.time for frame in frames]
  seconds = time.perf_counter() - start
  if len(times) < 2:
    raise UserError(
      f"{path}: expected a video, received a single picture; leave it out"
    )
  with av.open(f"file:{path}") as container:
    length = container.duration or 0
  return ReadableVideo(
    path,
    seconds=length / av.time_base,
    fps=float(1 / np.median(np.diff(times))),
    read_seconds=seconds / len(times),
  )
