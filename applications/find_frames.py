r"""Finds the frames of other videos that show the same moment as a frame.

    python -m applications.find_frames --embs_path /tmp/embeddings.npy \
      --query clip1:40 --output_dir /tmp/found

writes `frames.csv`, the frames with their distances, and `frames.png`, a sheet
of them, if the embeddings hold frames.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import flags, logging
from matplotlib.figure import Figure

from applications import embedded_videos
from applications.embedded_videos import FRAME_COLUMNS, describe_frame
from core.errors import UserError
from core.files import atomic_write
from dataset_preparation.labels.csv_tables import write_table
from embeddings.types import EmbeddedVideo
from evaluation.plots import make_figure
from visualization.dtw import squared_distances
from visualization.matching import find_video

# Frames of a video show the same if they are nearer to each other than this
# share of its length.
_APART = 0.1
_COLUMNS = 5
_LONGEST_NAME = 28


class FoundFrame(NamedTuple):
  """Index of a video, row of its embedded frame, distance to the query."""

  video: int
  row: int
  distance: float = 0.0


def find_frames(
  embs_path: str, output_dir: str, query: str, k: int = 10
) -> list[FoundFrame]:
  """Find the nearest frames of other videos; write a table and a sheet.

  The fine-grained retrieval of the paper.

  Args:
    embs_path: An embeddings file, or a pattern for several.
    output_dir: Folder of `frames.csv` and, if there are frames, `frames.png`.
    query: The frame, see `parse_query`.
    k: Frames to find, see `search`.

  Returns:
    The frames, the nearest first.

  Raises:
    UserError: The embeddings can't be compared, or there is no such frame.
  """
  videos = embedded_videos.load_videos(embs_path).videos
  source = parse_query(videos, query)
  found = search(videos, source, k)
  folder = pathlib.Path(output_dir)
  rows: list[tuple] = [("rank", *FRAME_COLUMNS, "distance", "phase")]
  for rank, one in enumerate([source, *found]):
    video = videos[one.video]
    phase = "" if video.labels is None else video.labels[one.row]
    place = describe_frame(video, one.row)
    rows.append((rank, *place, round(one.distance, 6), phase))
  write_table(folder / "frames.csv", rows)
  logging.info("Wrote %d frames to %s", len(found), folder / "frames.csv")
  if videos[0].frames is None:
    logging.info("No sheet: extract_embeddings.py --keep_data keeps frames")
    return found
  with atomic_write(folder / "frames.png") as path:
    _draw_sheet(videos, [source, *found]).savefig(path, dpi=150)
  return found


def parse_query(videos: Sequence[EmbeddedVideo], query: str) -> FoundFrame:
  """Find the frame that a text names.

  Args:
    videos: The videos.
    query: `VIDEO:FRAME` or `VIDEO:TIME`: name, which may have colons, or index
      of the video, and the frame's index in it, or its time, such as `2.5s`. It
      means the embedded frame that is nearest.

  Raises:
    UserError: There is no such video, frame or time.
  """
  match = re.fullmatch(r"(.+):(\d+|(\d+(?:\.\d+)?)s)", query, re.DOTALL)
  if not match:
    raise UserError(
      f"--query: expected VIDEO:FRAME or VIDEO:TIME, such as clip1:40 or"
      f" clip1:2.5s, received {query!r}; correct it"
    )
  video = videos[index := find_video(videos, match[1], "query")]
  places = video.known_times if match[3] else video.steps
  place = float(match[3] or match[2])
  # Of every n-th frame, the last one need not be that of the video.
  stretch = (video.seq_len - 1) / max(1, video.steps[-1])
  if places is None or place > places[-1] * stretch + 1e-6:
    raise UserError(
      f"--query: expected a frame of {video.name}, 0 to {video.seq_len - 1}, or"
      f" a time in it, if times are known, received {query!r}; correct it"
    )
  return FoundFrame(index, int(np.abs(places - place).argmin()))


def search(
  videos: Sequence[EmbeddedVideo], query: FoundFrame, k: int
) -> list[FoundFrame]:
  """Find the nearest frames of other videos, apart from each other.

  Frames are compared with those around them, see
  `embedded_videos.stack_context`. Once one is found, the others of its video
  that lie within a tenth of the video's length are left out, as they show the
  same.

  Args:
    videos: The videos.
    query: A frame of one of them.
    k: Frames to find; fewer if there are not as many apart from each other.

  Returns:
    The frames, the nearest first.
  """
  embs = embedded_videos.stack_context(videos[query.video])[[query.row]]
  found: list[FoundFrame] = []
  for number, video in enumerate(videos):
    if number == query.video:
      continue
    candidates = embedded_videos.stack_context(video)
    distances = np.sqrt(squared_distances(embs, candidates)[0])
    rows: list[int] = []
    for row in distances.argsort(kind="stable").tolist():
      if all(abs(row - other) >= _APART * len(distances) for other in rows):
        rows.append(row)
    found += [FoundFrame(number, row, float(distances[row])) for row in rows]
  return sorted(found, key=lambda one: one.distance)[:k]


def _draw_sheet(
  videos: Sequence[EmbeddedVideo], found: Sequence[FoundFrame]
) -> Figure:
  """Draw the query, then the found frames, each with a caption."""
  lines = -(-len(found) // _COLUMNS)
  figure, axes = make_figure(2 * _COLUMNS, 2 * lines, lines, _COLUMNS)
  axes = axes.ravel()
  for axis in axes:
    axis.set_axis_off()
  for rank, (axis, one) in enumerate(zip(axes, found, strict=False)):
    name, frame, time = describe_frame(videos[one.video], one.row)
    place = f"frame {frame}" if time == "" else f"{time:.2f} s"
    title = f"{rank}: {place}, distance {one.distance:.3g}"
    if len(name) > _LONGEST_NAME:
      name = f"..{name[-_LONGEST_NAME:]}"
    axis.imshow(videos[one.video].frames[one.row])
    caption = f"{name}\n{title if rank else f'query: {place}'}"
    axis.set_title(caption, fontsize=7, parse_math=False)
  return figure


if __name__ == "__main__":
  flags.DEFINE_string(
    "query",
    None,
    "The frame, VIDEO:FRAME or VIDEO:TIME (clip1:40, clip1:2.5s): name or index"
    " of the video, and the index of the frame in it, or its time.",
    required=True,
  )
  flags.DEFINE_integer("k", 10, "Frames to find.", lower_bound=1)
  embedded_videos.run(find_frames)
