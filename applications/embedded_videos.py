"""Embedded videos for the applications: loaded, checked, found by name."""

import collections
import difflib
import os
from collections.abc import Sequence

import numpy as np

import embeddings
from core.errors import UserError
from embeddings.types import EmbeddedSplit, EmbeddedVideo

# Titles of what `describe_frame` returns.
FRAME_COLUMNS = ("video", "frame", "time")


def load_videos(embs_path: str | os.PathLike) -> Sequence[EmbeddedVideo]:
  """Load videos that can be compared.

  Args:
    embs_path: An embeddings file, or a pattern for several.

  Returns:
    Two or more videos with names of their own and finite embeddings.

  Raises:
    UserError: There are no such videos.
  """
  videos = EmbeddedSplit.from_lists(embeddings.load_many(embs_path)).videos
  if len(videos) < 2:
    raise UserError(
      f"{embs_path}: expected two or more videos, received one; extract more or"
      " use a pattern that matches several files"
    )
  (name, count), *_ = collections.Counter(v.name for v in videos).most_common()
  if count > 1:
    raise UserError(
      f"{embs_path}: expected a name of its own for each video, received"
      f" {name!r} {count} times; rename the videos or narrow the pattern"
    )
  for video in videos:
    if not len(video.embs):
      raise UserError(
        f"{embs_path}: expected frames in every video, received none in"
        f" {video.name}; extract the embeddings without this video"
      )
    if not video.finite.all():
      raise UserError(
        f"{embs_path}: expected finite embeddings, received NaN or infinity in"
        f" {video.name}; extract them with an earlier checkpoint"
      )
  return videos


def find_video(videos: Sequence[EmbeddedVideo], name: str, flag: str) -> int:
  """Find a video by its name, or else by its index.

  Args:
    videos: The videos.
    name: The name, or the index from 0 as text.
    flag: The flag that gives it, for messages.

  Returns:
    Its index.

  Raises:
    UserError: There is no such video.
  """
  names = [video.name for video in videos]
  if name in names:
    return names.index(name)
  if name.isdecimal() and int(name) < len(names):
    return int(name)
  near = difflib.get_close_matches(name, names, 1)
  hint = f"did you mean {near[0]!r}?" if near else "choose one of them"
  raise UserError(
    f"--{flag}: expected the name of a video or its index, 0 to"
    f" {len(names) - 1}, received {name!r}; {hint}"
  )


def known_times(video: EmbeddedVideo) -> np.ndarray | None:
  """Return the [L] seconds of a video's frames, None if not all are known."""
  is_known = video.times is not None and np.isfinite(video.times).all()
  return video.times if is_known else None


def describe_frame(
  video: EmbeddedVideo, row: int
) -> tuple[str, int, float | str]:
  """Describe a frame in a table.

  Args:
    video: The video.
    row: Which of its embedded frames.

  Returns:
    Name of the video, index of the frame in it, and seconds from its first
    frame, to the microsecond; empty if not known.
  """
  times = known_times(video)
  time = "" if times is None else round(float(times[row]), 6)
  return video.name, int(video.steps[row]), time
