"""What `align_folder` writes of aligned videos."""

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from core.files import atomic_write
from embeddings.types import EmbeddedVideo
from visualization.alignment import align_grid
from visualization.matching import align
from visualization.viewer import predict_missing, write_viewer
from visualization.writing import write_clip

_COLUMNS = (
  *("video", "frame", "time"),
  *("reference_frame", "reference_time", "distance"),
)


def write_all(
  folder: pathlib.Path,
  videos: Sequence[EmbeddedVideo],
  class_names: Sequence[str],
  reference: int,
  notes: Sequence[str],
  use_dtw: bool,
) -> None:
  """Write the table, the text, the viewer and the aligned video.

  Args:
    folder: Folder to write to.
    videos: The videos, with frames.
    class_names: Names of the phases.
    reference: Number of the video that the others follow.
    notes: What the alignment is worth, as sentences.
    use_dtw: Whether to match by dynamic time warping.
  """
  write_matches(folder / "frames.csv", videos, reference, use_dtw)
  with atomic_write(folder / "result.txt") as path:
    path.write_text("\n".join(notes) + "\n", "utf-8")
  write_viewer(
    folder / "index.html",
    videos,
    class_names,
    predicted=predict_missing(videos, use_dtw),
    notes=notes,
    use_dtw=use_dtw,
    reference=reference,
  )
  ordered = [videos[reference], *videos[:reference], *videos[reference + 1 :]]
  clip = align_grid(ordered, use_dtw)
  write_clip(folder / "aligned.mp4", clip)


def write_matches(
  path: pathlib.Path,
  videos: Sequence[EmbeddedVideo],
  reference: int,
  use_dtw: bool,
) -> None:
  """Write for each frame of each video the matching frame of the reference.

  Args:
    path: CSV file to write, with the columns video, frame, time (seconds),
      reference_frame, reference_time, distance (of the embeddings).
    videos: The videos.
    reference: Number of the reference.
    use_dtw: Whether to match by dynamic time warping.
  """
  target = videos[reference]
  with (
    atomic_write(path) as temporary,
    temporary.open("w", newline="", encoding="utf-8") as file,
  ):
    table = csv.writer(file)
    table.writerow(_COLUMNS)
    for number, video in enumerate(videos):
      match, cost = align(video.embs, target.embs, use_dtw)
      if number == reference:  # Two equal frames must not swap places.
        match = np.arange(len(match))
      distances = np.sqrt(cost[np.arange(len(match)), match])
      times, target_times = _format_times(video), _format_times(target)
      for row, found in enumerate(match):
        table.writerow(
          [
            *(video.name, video.steps[row], times[row], target.steps[found]),
            *(target_times[found], f"{distances[row]:.6g}"),
          ]
        )


def _format_times(video: EmbeddedVideo) -> list[str]:
  """Format the seconds of all frames; empty where they are not known."""
  if video.times is None:
    return [""] * len(video.embs)
  return ["" if np.isnan(x) else f"{x:.3f}" for x in video.times]
