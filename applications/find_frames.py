r"""Finds the frames of other videos that show the same moment as a frame.

    python -m applications.find_frames --embs_path /tmp/embeddings.npy \
      --query clip1:40 --output_dir /tmp/found

writes `frames.csv`, the frames with their distances, and `frames.png`, a sheet
of them, if the embeddings hold frames.
"""

import inspect
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import flags, logging
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from applications import embedded_videos
from applications.embedded_videos import FRAME_COLUMNS, describe_frame
from core import command_line
from core.errors import UserError
from core.files import atomic_write
from dataset_preparation.labels.csv_tables import write_table
from embeddings.types import EmbeddedVideo
from visualization.dtw import squared_distances

FLAGS = flags.FLAGS

# Of a video, frames that are nearer in time to a found one than this share of
# the video show the same and are left out.
_APART = 0.1
_COLUMNS = 5
_TILE = 2.0  # Inches.
_LONGEST_NAME = 28


class FoundFrame(NamedTuple):
  """A frame that was found.

  Attributes:
    video: Index of its video.
    row: Which of the embedded frames of the video.
    distance: Euclidean distance to the query.
  """

  video: int
  row: int
  distance: float


def find_frames(
  embs_path: str, query: str, output_dir: str, k: int = 10
) -> list[FoundFrame]:
  """Find the nearest frames of other videos; write a table and a sheet.

  The fine-grained retrieval of the paper. Frames beside each other show the
  same: once a frame is found, those of its video that lie within a tenth of the
  video's length are left out.

  Args:
    embs_path: An embeddings file, or a pattern for several.
    query: The frame, `VIDEO:FRAME`: name or index of the video, and the frame's
      index in it.
    output_dir: Folder of `frames.csv` and, if there are frames, `frames.png`.
    k: Frames to find; less if the videos are too short.

  Returns:
    The frames, the nearest first.

  Raises:
    UserError: The embeddings can't be compared, or there is no such frame.
  """
  videos = embedded_videos.load_videos(embs_path)
  source = parse_query(videos, query)
  found = search(videos, source, k)
  folder = pathlib.Path(output_dir)
  rows = [("rank", *FRAME_COLUMNS, "distance", "phase")]
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
    _draw_sheet(videos, [source, *found]).savefig(path)
  logging.info("Wrote a sheet of them to %s", folder / "frames.png")
  return found


def parse_query(videos: Sequence[EmbeddedVideo], query: str) -> FoundFrame:
  """Find the frame that `VIDEO:FRAME` names; the name may have colons.

  Raises:
    UserError: There is no such video or frame.
  """
  name, _, frame = query.rpartition(":")
  if not name or not frame.isdecimal():
    raise UserError(
      f"--query: expected VIDEO:FRAME, received {query!r}; name a video and the"
      " index of a frame, such as clip1:40"
    )
  index = embedded_videos.find_video(videos, name, "query")
  video = videos[index]
  offsets = np.abs(video.steps - int(frame))
  row = int(offsets.argmin())
  if offsets[row]:
    raise UserError(
      f"--query: expected one of the {len(video.steps)} embedded frames of"
      f" {video.name}, received {frame}; the nearest one is {video.steps[row]}"
    )
  return FoundFrame(index, row, 0.0)


def search(
  videos: Sequence[EmbeddedVideo], query: FoundFrame, k: int
) -> list[FoundFrame]:
  """Find the nearest frames of other videos, see `find_frames`.

  Args:
    videos: The videos.
    query: A frame of one of them.
    k: Frames to find.

  Returns:
    At most k frames, the nearest first.
  """
  embs = videos[query.video].embs[[query.row]]
  candidates = [
    FoundFrame(number, row, distance)
    for number, video in enumerate(videos)
    if number != query.video
    for row, distance in _find_apart(video, embs, k)
  ]
  return sorted(candidates, key=lambda one: one.distance)[:k]


def _find_apart(
  video: EmbeddedVideo, query: np.ndarray, k: int
) -> list[tuple[int, float]]:
  """Find the rows of a video nearest to a query [1, D], apart in time."""
  distances = np.sqrt(squared_distances(query, video.embs)[0])
  apart = _APART * len(distances)
  rows: list[int] = []
  for row in distances.argsort(kind="stable").tolist():
    if all(abs(row - other) >= apart for other in rows):
      rows.append(row)
    if len(rows) == k:
      break
  return [(row, float(distances[row])) for row in rows]


def _draw_sheet(
  videos: Sequence[EmbeddedVideo], found: Sequence[FoundFrame]
) -> Figure:
  """Draw the query, then the found frames, each with a caption."""
  columns = min(_COLUMNS, len(found))
  lines = -(-len(found) // columns)
  size = (columns * _TILE, lines * (_TILE + 0.3))
  figure = Figure(size, dpi=150, layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots(lines, columns, squeeze=False).ravel()
  for axis in axes:
    axis.set_axis_off()
  for number, (axis, one) in enumerate(zip(axes, found, strict=False)):
    video = videos[one.video]
    name, frame, time = describe_frame(video, one.row)
    place = f"frame {frame}" if time == "" else f"{time:.2f} s"
    title = f"{number}: {place}, distance {one.distance:.3g}"
    if not number:
      title = f"query: {place}"
    if len(name) > _LONGEST_NAME:
      name = f"..{name[-_LONGEST_NAME:]}"
    axis.imshow(video.frames[one.row])
    axis.set_title(f"{name}\n{title}", fontsize=7, parse_math=False)
  return figure


def main() -> None:
  """Read the flags, one for each parameter of `find_frames`, and search."""
  names = inspect.signature(find_frames).parameters
  find_frames(**{name: FLAGS[name].value for name in names})


if __name__ == "__main__":
  command_line.define_path(
    "embs_path",
    None,
    "Embeddings, from extract_embeddings.py, with --keep_data for a sheet; may"
    " be a pattern in quotes, such as '/tmp/embs_*.npy'.",
    required=True,
  )
  flags.DEFINE_string(
    "query",
    None,
    "The frame, VIDEO:FRAME: name or index of the video, and the index of the"
    " frame in it.",
    required=True,
  )
  command_line.define_path(
    "output_dir", None, "Folder of frames.csv and frames.png.", required=True
  )
  flags.DEFINE_integer("k", 10, "Frames to find.", lower_bound=1)
  command_line.run(main)
