r"""Finds what is unusual in videos: frames that others have nothing like.

    python -m applications.find_anomalies --embs_path /tmp/embeddings.npy \
      --output_dir /tmp/anomalies

writes `stretches.csv` and `videos.csv`, the most unusual first, `frames.csv`,
the score of each frame, and `anomalies.png`, the scores over time.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import flags, logging
from matplotlib.figure import Figure

from applications import embedded_videos
from applications.embedded_videos import FRAME_COLUMNS, describe_frame
from core.files import atomic_write
from dataset_preparation.labels.csv_tables import write_table
from embeddings.types import EmbeddedVideo
from evaluation.plots import add_legend, make_figure
from visualization.matching import find_video, match_all

# High frames with at most so many others between them are one stretch.
_MAX_GAP = 5
_MAX_CURVES = 12
# Where videos are equal.
_TINY = np.finfo(np.float32).tiny

# Index of a video -> [L] scores of its frames.
Scores = Mapping[int, np.ndarray]


class Stretch(NamedTuple):
  """Index of a video, rows of its first, last and highest high frame, score."""

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
  its nearest neighbors in usual videos are. See `score_frames`, `find_fence`.

  Args:
    embs_path: An embeddings file, or a pattern for several.
    output_dir: Folder of the tables and the plot.
    reference_video: Name or index of the one video that is usual, which itself
      gets no score; None for all others.

  Returns:
    The stretches of high scores, the highest first.

  Raises:
    UserError: The embeddings can't be compared, or there is no such video.
  """
  videos = embedded_videos.load_videos(embs_path).videos
  reference = None
  if reference_video is not None:
    reference = find_video(videos, reference_video, "reference_video")
  scores = score_frames(videos, reference)
  # The most unusual video first.
  scores = dict(sorted(scores.items(), key=lambda item: -item[1].mean()))
  fence = find_fence(scores)
  stretches = find_stretches(scores, fence)
  folder = pathlib.Path(output_dir)
  _write_tables(folder, videos, scores, fence)
  with atomic_write(folder / "anomalies.png") as path:
    _draw_scores(videos, scores, fence).savefig(path, dpi=120)
  logging.info("Wrote %d unusual stretches to %s", len(stretches), folder)
  return stretches


def score_frames(
  videos: Sequence[EmbeddedVideo], reference: int | None = None
) -> Scores:
  """Score how unusual frames are.

  A frame's distance to another video is that to its nearest neighbor there,
  both seen with the frames around them. The score is the median of its
  distances to all other videos, over the median of those of its neighbors: some
  moments differ more from video to video than others. 1 is as usual.

  Args:
    videos: Two or more videos, with finite embeddings.
    reference: Index of the only video to compare with, which gets no scores;
      None for all others.

  Returns:
    The scores.
  """
  stacked = [embedded_videos.stack_context(video) for video in videos]
  matched = list(match_all(stacked))
  typical = [
    np.median(np.delete(distances, number, axis=1), axis=1)
    for number, (_, distances) in enumerate(matched)
  ]
  scores = {}
  for number, (rows, distances) in enumerate(matched):
    usual = [reference] if reference is not None else range(len(videos))
    usual = [other for other in usual if other != number]
    if usual:
      expected = np.median([typical[v][rows[:, v]] for v in usual], axis=0)
      distance = np.median(distances[:, usual], axis=1)
      scores[number] = distance / np.maximum(expected, _TINY)
  return scores


def find_fence(scores: Scores) -> float:
  """Return the upper fence of a box plot of all scores; above, they are high.

  It lies 1.5 interquartile ranges above the upper quartile (Tukey).
  """
  lower, upper = np.percentile(np.concatenate([*scores.values()]), [25, 75])
  return float(upper + 1.5 * (upper - lower))


def find_stretches(scores: Scores, fence: float) -> list[Stretch]:
  """Find stretches of high scores, in the order of their highest score.

  Up to 5 lower frames between two high ones don't end a stretch.
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


def _write_tables(
  folder: pathlib.Path,
  videos: Sequence[EmbeddedVideo],
  scores: Scores,
  fence: float,
) -> None:
  """Write a row a stretch, a row a video and a row a frame."""
  places = ("start_frame", "start", "end_frame", "end", "peak_frame", "peak")
  stretches: list[tuple] = [("rank", "video", *places, "score")]
  for rank, one in enumerate(find_stretches(scores, fence), start=1):
    video = videos[one.video]
    moments = (one.start, one.last, one.peak)
    cells = [x for row in moments for x in describe_frame(video, row)[1:]]
    stretches.append((rank, video.name, *cells, round(one.score, 6)))
  ranked: list[tuple] = [("rank", "video", "mean_score", "high_share")]
  frames: list[tuple] = [(*FRAME_COLUMNS, "score", "is_high")]
  for rank, (number, values) in enumerate(scores.items(), start=1):
    means = [float(x.mean()) for x in (values, values > fence)]
    ranked.append((rank, videos[number].name, *(round(x, 6) for x in means)))
    for row, value in enumerate(values.tolist()):
      place = describe_frame(videos[number], row)
      frames.append((*place, round(value, 6), int(value > fence)))
  write_table(folder / "stretches.csv", stretches)
  write_table(folder / "videos.csv", ranked)
  write_table(folder / "frames.csv", frames)


def _draw_scores(
  videos: Sequence[EmbeddedVideo], scores: Scores, fence: float
) -> Figure:
  """Draw a row a video, the most unusual ones; high scores are filled."""
  shown = [*scores][:_MAX_CURVES]
  shared = {"sharex": True, "sharey": True, "squeeze": False}
  figure, rows = make_figure(8, 0.8 + 0.9 * len(shown), len(shown), **shared)
  all_times = [videos[n].known_times for n in shown]
  are_timed = all(times is not None for times in all_times)
  for axis, number, times in zip(rows[:, 0], shown, all_times, strict=True):
    video, values = videos[number], scores[number]
    places = times if are_timed else video.steps
    axis.plot(places, values, linewidth=1, label="score (1 = as usual)")
    style = {"color": "gray", "linestyle": ":", "linewidth": 1}
    axis.axhline(fence, label=f"{fence:.2f}: above is unusual", **style)
    high = {"where": values > fence, "color": "tab:red", "alpha": 0.5}
    axis.fill_between(places, fence, values, interpolate=True, **high)
    axis.set_title(video.name, fontsize=8, loc="left", parse_math=False)
    axis.tick_params(labelsize=7)
  rows[-1, 0].set_xlabel("seconds" if are_timed else "frame", fontsize=8)
  add_legend(figure, rows[0, 0])
  title = f"Scores of the {len(shown)} most unusual of {len(scores)} videos"
  figure.suptitle(title, fontsize=9)
  return figure


if __name__ == "__main__":
  flags.DEFINE_string(
    "reference_video",
    None,
    "Name or index (from 0) of the one video that is usual (default: all).",
  )
  embedded_videos.run(find_anomalies)
