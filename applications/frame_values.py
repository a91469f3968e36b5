"""Values of frames, such as a sensor's or a sound track's, from a table.

One row a frame, or one row a sample at any time:

    video,frame,NAME
    video,time,NAME
"""

import os
from collections.abc import Sequence

import numpy as np

from applications.embedded_videos import known_times
from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import csv_tables
from dataset_preparation.labels.csv_tables import Row
from dataset_preparation.labels.times import parse_frame, parse_seconds
from embeddings.types import EmbeddedVideo


def read_values(
  path: str | os.PathLike, column: str | None, videos: Sequence[EmbeddedVideo]
) -> dict[str, np.ndarray]:
  """Read a column of a table.

  Args:
    path: A CSV file with the columns `video`, the column asked for, and `frame`
      (as in `EmbeddedVideo.steps`) or `time` (seconds).
    column: Title of the column; None if the user named none.
    videos: The videos, which the table may name as label files do.

  Returns:
    Name of a video -> [L] float64 values of its frames, for the videos that get
    any. Values given by time are interpolated. NaN where there is none: of an
    empty cell, of frames that are not listed, and before the first and after
    the last time.

  Raises:
    UserError: The file is missing or is no such table, or values by time are
      given for a video whose times are not known.
  """
  if not column:
    raise UserError(
      "--column: expected the column of --values to transfer, received none;"
      " name it"
    )
  text = csv_tables.read_text(path, "values")
  lines = csv_tables.split_lines(text, path)
  titles, table = csv_tables.read_table(lines, path)
  column = column.strip().lower()
  place = "frame" if "frame" in titles else "time"
  if not {"video", place, column} <= set(titles):
    raise UserError(
      f"{path}: expected the columns video, frame or time, and {column},"
      f" received {', '.join(titles)}; correct it, or --column"
    )
  rows: dict[str, list[Row]] = {}
  for number, row in table:
    rows.setdefault(row["video"], []).append((number, row))
  names = video_names.match_names([v.name for v in videos], rows, path)
  found = {}
  for video in videos:
    if video.name in names:
      samples = _parse(rows[names[video.name]], place, column, path)
      place_samples = _at_frames if place == "frame" else _at_times
      found[video.name] = place_samples(video, *samples)
  return {k: v for k, v in found.items() if np.isfinite(v).any()}


def _parse(
  rows: Sequence[Row], place: str, column: str, path: str | os.PathLike
) -> tuple[np.ndarray, np.ndarray]:
  """Read [N] places, ascending, and the [N] values there."""
  parse = parse_frame if place == "frame" else parse_seconds
  places, values = [], []
  for number, row in rows:
    where = f"{path}: row {number}"
    text = row[column].replace(",", ".")
    try:
      value = float(text or "nan")
    except ValueError as error:
      raise UserError(
        f"{where}: expected a number as {column}, or none, received"
        f" {row[column]!r}; correct it"
      ) from error
    places.append(parse(row[place], place, where))
    values.append(value)
  order = np.argsort(places, kind="stable")
  return np.array(places)[order], np.array(values)[order]


def _at_frames(
  video: EmbeddedVideo, frames: np.ndarray, values: np.ndarray
) -> np.ndarray:
  by_frame = dict(zip(frames.tolist(), values.tolist(), strict=True))
  return np.array([by_frame.get(step, np.nan) for step in video.steps.tolist()])


def _at_times(
  video: EmbeddedVideo, times: np.ndarray, values: np.ndarray
) -> np.ndarray:
  if known_times(video) is None:
    raise UserError(
      f"--values: expected values by frame, as the times of {video.name} are"
      " not known, received values by time; give a column frame instead of time"
    )
  is_known = np.isfinite(values)
  if not is_known.any():
    return np.full(len(video.embs), np.nan)
  times, values = times[is_known], values[is_known]
  return np.interp(video.times, times, values, left=np.nan, right=np.nan)
