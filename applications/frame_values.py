"""Values of frames, such as a sensor's or a sound track's, from a table.

One row a frame, or one row a sample at any time in seconds:

    video,frame,NAME
    video,time,NAME
"""

import os
from collections.abc import Sequence

import numpy as np

from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import csv_tables
from dataset_preparation.labels.times import parse_frame, parse_seconds
from embeddings.types import EmbeddedVideo


def read_values(
  path: str | os.PathLike, column: str, videos: Sequence[EmbeddedVideo]
) -> dict[str, np.ndarray]:
  """Read a column of a table.

  Args:
    path: A CSV file.
    column: Title of the column.
    videos: The videos, which the table may name as label files do.

  Returns:
    Name of a video -> [L] float64 values of its frames, for the videos that get
    any: interpolated between rows, NaN before the first and after the last one.

  Raises:
    UserError: The file is missing or is no such table, or values by time are
      given for a video whose times are not known.
  """
  lines = csv_tables.split_lines(csv_tables.read_text(path, "values"), path)
  titles, table = csv_tables.read_table(lines, path)
  column = column.strip().lower()
  if column == "label" and column not in titles:
    column = "phase"  # As `read_table` calls it.
  place = "frame" if "frame" in titles else "time"
  if not {"video", place, column} <= set(titles):
    raise UserError(
      f"{path}: expected the columns video, frame or time, and --column"
      f" {column!r}, received {', '.join(titles)}; correct them"
    )
  parse_place = parse_frame if place == "frame" else parse_seconds
  samples: dict[str, list[tuple[float, float]]] = {}
  for number, row in table:
    if row[column]:
      where = f"{path}: row {number}"
      sample = parse_place(row[place], place, where), _parse(row[column], where)
      samples.setdefault(row["video"], []).append(sample)
  names = video_names.match_names([v.name for v in videos], samples, path)
  found = {}
  for video in videos:
    if video.name in names:
      places = video.steps if place == "frame" else video.known_times
      if places is None:
        raise UserError(
          f"{path}: expected values by frame, as the times of {video.name} are"
          " not known, received values by time; give a column frame instead"
        )
      known = np.array(sorted(samples[names[video.name]])).T
      values = np.interp(places, *known, left=np.nan, right=np.nan)
      if np.isfinite(values).any():
        found[video.name] = values
  return found


def _parse(text: str, where: str) -> float:
  """Read a number with a point or a comma."""
  try:
    return float(text.replace(",", "."))
  except ValueError as error:
    raise UserError(
      f"{where}: expected a number as value, or none, received {text!r};"
      " correct it"
    ) from error
