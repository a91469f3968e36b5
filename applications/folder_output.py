"""What `align_folder` writes of aligned videos."""

import pathlib
from collections.abc import Sequence

import numpy as np

from applications.embedded_videos import FRAME_COLUMNS, describe_frame
from core.files import atomic_write
from dataset_preparation.labels.csv_tables import write_table
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from visualization.alignment import align_grid
from visualization.label_transfer import predict_missing
from visualization.matching import align
from visualization.viewer import write_viewer
from visualization.writing import write_clip

_COLUMNS = ("reference_video", "reference_frame", "reference_time", "distance")


def write_all(
  folder: pathlib.Path,
  split: EmbeddedSplit,
  reference: int,
  notes: Sequence[str],
  use_dtw: bool,
) -> None:
  """Write the table, the text, the viewer and the aligned video.

  Args:
    folder: Folder to write to.
    split: The videos, with frames, and the names of phases.
    reference: Number of the video that the others follow.
    notes: What the alignment is worth, as sentences.
    use_dtw: Whether to match by dynamic time warping.
  """
  videos, name = split.videos, split.videos[reference].name
  notes = [*notes, f"The others follow {name}, see --reference_video."]
  write_matches(folder / "frames.csv", videos, reference, use_dtw)
  with atomic_write(folder / "result.txt") as path:
    path.write_text("\n".join(notes) + "\n", "utf-8")
  shown = predict_missing(videos, use_dtw)
  write_viewer(
    folder / "index.html",
    EmbeddedSplit(shown, split.class_names),
    notes=notes,
    use_dtw=use_dtw,
    reference=reference,
  )
  ordered = [shown.pop(reference), *shown]
  write_clip(folder / "aligned.mp4", align_grid(ordered, use_dtw))


def write_matches(
  path: pathlib.Path,
  videos: Sequence[EmbeddedVideo],
  reference: int,
  use_dtw: bool,
) -> None:
  """Write for each frame of each video the matching frame of the reference.

  Args:
    path: CSV file to write, with the columns video, frame, time (seconds),
      reference_video, reference_frame, reference_time, distance (of the
      embeddings).
    videos: The videos.
    reference: Number of the reference.
    use_dtw: Whether to match by dynamic time warping.
  """
  target, rows = videos[reference], [(*FRAME_COLUMNS, *_COLUMNS)]
  for number, video in enumerate(videos):
    match, cost = align(video.embs, target.embs, use_dtw)
    if number == reference:  # Two equal frames must not swap places.
      match = np.arange(len(match))
    for row, found in enumerate(match):
      places = describe_frame(video, row) + describe_frame(target, found)
      rows.append((*places, round(float(cost[row, found]) ** 0.5, 6)))
  write_table(path, rows)
