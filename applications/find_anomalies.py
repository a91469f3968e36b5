r"""Finds what is unusual in videos: frames that no other video has alike.

    python -m applications.find_anomalies --embs_path /tmp/embeddings.npy \
      --output_dir /tmp/anomalies

writes `stretches.csv` and `videos.csv`, the most unusual first, `frames.csv`,
the score of each frame, and `anomalies.png`, the scores over time.
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
from core.files import atomic_write
from dataset_preparation.labels.csv_tables import write_table
from embeddings.types import EmbeddedVideo
from evaluation.nearest_neighbors import join_videos, nearest_neighbors

FLAGS = flags.FLAGS

# High frames with at most so many others between them are one stretch.
_MAX_GAP = 5
_MAX_CURVES = 12
_CURVE, _HIGH = "tab:blue", "tab:red"


class Stretch(NamedTuple):
  """Frames beside each other with high scores.

  Attributes:
    video: Index of the video.
    start: The first of the embedded frames of the video.
    last: The last of them.
    peak: The one with the highest score.
    score: Its score.
  """

  video: int
  start: int
  last: int
  peak: int
  score: float


def find_anomalies(
  embs_path: str, output_dir: str, reference_video: str | None = None
) -> list[Stretch]:
  """Score frames, rank stretches of them and videos; write tables and a plot.

  The anomaly detection of the paper: a frame is the more unusual the further
  its nearest neighbors in videos of the usual kind are. Scores above the upper
  fence of Tukey's box plot, 1.5 quartile distances above the upper quartile of
  all, are high.

  Args:
    embs_path: An embeddings file, or a pattern for several.
    output_dir: Folder of the tables and the plot.
    reference_video: Name or index of the one video that is usual, which itself
      gets no score; None for all other videos, see `score_frames`.

  Returns:
    The stretches of high scores, the highest first; `video` is an index into
    the videos of the file.

  Raises:
    UserError: The embeddings can't be compared, or there is no such video.
  """
  videos = embedded_videos.load_videos(embs_path)
  reference = None
  if reference_video is not None:
    find = embedded_videos.find_video
    reference = find(videos, reference_video, "reference_video")
  scores = score_frames(videos, reference)
  fence = find_fence(scores)
  stretches = find_stretches(scores, fence)
  order = sorted(scores, key=lambda number: -scores[number].mean())
  folder = pathlib.Path(output_dir)
  for name, rows in {
    "stretches.csv": _list_stretches(videos, stretches),
    "videos.csv": _list_videos(videos, scores, order, fence),
    "frames.csv": _list_frames(videos, scores, fence),
  }.items():
    write_table(folder / name, rows)
  with atomic_write(folder / "anomalies.png") as path:
    _draw_scores(videos, scores, order, fence).savefig(path)
  logging.info("Wrote %d unusual stretches to %s", len(stretches), folder)
  return stretches


def score_frames(
  videos: Sequence[EmbeddedVideo], reference: int | None = None
) -> dict[int, np.ndarray]:
  """Score how unusual frames are.

  The score is the median over all other videos of the distance to the nearest
  frame there: high where most videos have no such frame. One other video that
  is unusual, too, does not change it.

  Args:
    videos: Two or more videos, with finite embeddings.
    reference: Index of the only video to compare with; None for all others.

  Returns:
    Index of a video -> [L] Euclidean distances, without the reference.
  """
  frames, starts = join_videos([v.embs for v in videos], "sqeuclidean")
  parts = np.split(frames, starts[1:])
  scores = {}
  for number, neighbors in enumerate(nearest_neighbors(frames, starts)):
    if number == reference:
      continue
    others = [reference]
    if reference is None:
      others = [other for other in range(len(videos)) if other != number]
    distances = [
      np.linalg.norm(parts[number] - parts[other][neighbors[:, other]], axis=1)
      for other in others
    ]
    scores[number] = np.median(distances, axis=0)
  return scores


def find_fence(scores: dict[int, np.ndarray]) -> float:
  """Find the score above which frames are high, see `find_anomalies`."""
  lower, upper = np.percentile(np.concatenate([*scores.values()]), [25, 75])
  return float(upper + 1.5 * (upper - lower))


def find_stretches(
  scores: dict[int, np.ndarray], fence: float
) -> list[Stretch]:
  """Find stretches of high scores, the highest first.

  Args:
    scores: From `score_frames`.
    fence: Scores above are high. Up to 5 lower frames between two high ones
      don't end a stretch.

  Returns:
    The stretches, in the order of their highest score.
  """
  stretches = []
  for number, values in scores.items():
    high = np.flatnonzero(values > fence)
    parts = np.split(high, np.flatnonzero(np.diff(high) > _MAX_GAP + 1) + 1)
    for rows in filter(len, parts):
      peak = int(rows[values[rows].argmax()])
      bounds = int(rows[0]), int(rows[-1])
      stretches.append(Stretch(number, *bounds, peak, float(values[peak])))
  return sorted(stretches, key=lambda stretch: -stretch.score)


def _list_stretches(
  videos: Sequence[EmbeddedVideo], stretches: Sequence[Stretch]
) -> list[tuple]:
  """Make the rows of a table, the heading first."""
  ends = ("start_frame", "start", "end_frame", "end", "peak_frame", "peak")
  rows: list[tuple] = [("rank", "video", *ends, "score")]
  for rank, one in enumerate(stretches, start=1):
    video = videos[one.video]
    moments = (one.start, one.last, one.peak)
    places = [describe_frame(video, row)[1:] for row in moments]
    rows.append((rank, video.name, *sum(places, ()), round(one.score, 6)))
  return rows


def _list_videos(
  videos: Sequence[EmbeddedVideo],
  scores: dict[int, np.ndarray],
  order: Sequence[int],
  fence: float,
) -> list[tuple]:
  rows: list[tuple] = [("rank", "video", "mean_score", "highest", "high_share")]
  for rank, number in enumerate(order, start=1):
    values = scores[number]
    numbers = values.mean(), values.max(), (values > fence).mean()
    cells = (round(float(x), 6) for x in numbers)
    rows.append((rank, videos[number].name, *cells))
  return rows


def _list_frames(
  videos: Sequence[EmbeddedVideo], scores: dict[int, np.ndarray], fence: float
) -> list[tuple]:
  rows: list[tuple] = [(*FRAME_COLUMNS, "score", "is_high")]
  for number, values in scores.items():
    for row, value in enumerate(values.tolist()):
      place = describe_frame(videos[number], row)
      rows.append((*place, round(value, 6), int(value > fence)))
  return rows


def _draw_scores(
  videos: Sequence[EmbeddedVideo],
  scores: dict[int, np.ndarray],
  order: Sequence[int],
  fence: float,
) -> Figure:
  """Draw a row a video, the most unusual ones; high scores are filled."""
  shown = order[:_MAX_CURVES]
  figure = Figure((8, 0.8 + 0.9 * len(shown)), dpi=120, layout="constrained")
  FigureCanvasAgg(figure)
  rows = figure.subplots(len(shown), sharex=True, sharey=True, squeeze=False)
  all_times = [embedded_videos.known_times(videos[n]) for n in shown]
  are_timed = all(times is not None for times in all_times)
  for axis, number, times in zip(rows[:, 0], shown, all_times, strict=True):
    video, values = videos[number], scores[number]
    places = times if are_timed else video.steps
    axis.plot(places, values, color=_CURVE, linewidth=1)
    axis.axhline(fence, color="gray", linestyle=":", linewidth=1)
    high = {"where": values > fence, "color": _HIGH, "alpha": 0.5}
    axis.fill_between(places, fence, values, interpolate=True, **high)
    axis.set_title(video.name, fontsize=8, loc="left", parse_math=False)
    axis.tick_params(labelsize=7)
  axis.set_xlabel("seconds" if are_timed else "frame", fontsize=8)
  hidden = f" (the {len(shown)} most unusual of {len(order)} videos)"
  title = "Distance to the nearest frame of other videos; dotted: high above"
  figure.suptitle(title + hidden * (len(shown) < len(order)), fontsize=9)
  return figure


def main() -> None:
  """Read the flags, one for each parameter of `find_anomalies`, and search."""
  names = inspect.signature(find_anomalies).parameters
  find_anomalies(**{name: FLAGS[name].value for name in names})


if __name__ == "__main__":
  command_line.define_path(
    "embs_path",
    None,
    "Embeddings, from extract_embeddings.py; may be a pattern in quotes, such"
    " as '/tmp/embs_*.npy'.",
    required=True,
  )
  command_line.define_path(
    "output_dir", None, "Folder of the tables and the plot.", required=True
  )
  flags.DEFINE_string(
    "reference_video",
    None,
    "Name or index (from 0) of the one video that is usual. Default: each video"
    " is compared with all others.",
  )
  command_line.run(main)
