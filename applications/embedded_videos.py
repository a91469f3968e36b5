"""What the applications share: videos, frames in tables, flags."""

import collections
import math
import os
from collections.abc import Callable

import numpy as np
from absl import flags

from core import command_line
from core.errors import UserError
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from visualization.matching import load_comparable

# --help lists them under the command that is run.
flags.disclaim_key_flags()

# Frames before and after a frame that count when it is compared.
_CONTEXT = 6
# Titles of what `describe_frame` returns.
FRAME_COLUMNS = ("video", "frame", "time")


def run(application: Callable[..., object]) -> None:
  """Run a command that calls a function with one flag for each parameter.

  Args:
    application: The function. The flags of its first two parameters,
      `embs_path` and `output_dir`, are defined here.
  """
  command_line.define_path(
    "embs_path",
    None,
    "Embeddings, from extract_embeddings.py; may be a pattern in quotes, such"
    " as '/tmp/embs_*.npy'.",
    required=True,
  )
  command_line.define_path(
    "output_dir", None, "Folder of what is written.", required=True
  )
  command_line.run(lambda: command_line.call_with_flags(application))


def load_videos(embs_path: str | os.PathLike) -> EmbeddedSplit:
  """Load videos that can be compared.

  Args:
    embs_path: An embeddings file, or a pattern for several.

  Returns:
    Two or more videos with names of their own and finite embeddings.

  Raises:
    UserError: There are no such videos.
  """
  split = load_comparable(embs_path)
  names = collections.Counter(video.name for video in split.videos)
  [(name, count)] = names.most_common(1)
  if count > 1:
    raise UserError(
      f"{embs_path}: expected a name of its own for each video, received"
      f" {name!r} {count} times; rename the videos or narrow the pattern"
    )
  return split


def stack_context(video: EmbeddedVideo) -> np.ndarray:
  """Join the embedding of each frame with those of the frames around it.

  Single frames of different moments may look alike; what leads to them and
  follows does not.

  Args:
    video: A video of L frames.

  Returns:
    [L, 13 D], each frame after the 6 before and before the 6 after it; the
    first and the last frame of the video are repeated. Euclidean distances are
    the root mean square of those of the frames.
  """
  padded = np.pad(video.embs, ((_CONTEXT, _CONTEXT), (0, 0)), mode="edge")
  window = 2 * _CONTEXT + 1
  parts = [padded[i : i + len(video.embs)] for i in range(window)]
  return np.concatenate(parts, axis=1) / math.sqrt(window)


def describe_frame(
  video: EmbeddedVideo, row: int
) -> tuple[str, int, float | str]:
  """Return the cells of an embedded frame under `FRAME_COLUMNS`."""
  time = math.nan if video.times is None else float(video.times[row])
  shown = "" if math.isnan(time) else round(time, 6)
  return video.name, int(video.steps[row]), shown
