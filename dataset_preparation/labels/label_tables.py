"""Tables of labels, as CSV or as a list of JSON objects.

One row a segment, in seconds or times of a clock, or in numbers of frames:

    video,start,end,phase
    video,start_frame,end_frame,phase

One row a frame, with its number or in order:

    video,frame,phase
    video,phase

`phase` may be called `label`.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterable, Sequence

from core.errors import UserError
from dataset_preparation.labels import csv_tables
from dataset_preparation.labels.content import Content, Parsers
from dataset_preparation.labels.csv_tables import Line, Row
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.tiers import merge_tiers
from dataset_preparation.labels.times import parse_frame, parse_seconds
from dataset_preparation.labels.types import (
  FRAMES,
  SECONDS,
  LabeledFrames,
  RawSegment,
  SegmentedVideo,
  Unit,
)

_SYNONYMS = {"label": "phase"}


def is_table(content: Content) -> bool:
  """Whether this is such a table."""
  titles = []
  # Another format may have other quotation marks.
  with contextlib.suppress(UserError):
    titles, _ = csv_tables.read_table(_list_lines(content), "", _SYNONYMS)
  return {"video", "phase"} <= set(titles)


def read(content: Content) -> Parsers:
  """Return a parser for each video.

  Raises:
    UserError: A row is incomplete, or a column comes twice.
  """
  path, lines = content.path, _list_lines(content)
  titles, table = csv_tables.read_table(lines, path, _SYNONYMS)
  columns = next(x for x in _PARSERS if set(x) <= set(titles))
  used = ("video", *columns, "phase")
  if twice := [title for title in used if titles.count(title) > 1]:
    raise UserError(
      f"{path}: expected one column {twice[0]}, received several; remove or"
      " rename the others"
    )
  if unused := dict.fromkeys(x for x in titles if x and x not in used):
    content.notes.append(f"columns of {path} not used: {', '.join(unused)}")
  rows: dict[str, list[Row]] = {}
  for number, row in table:
    rows.setdefault(row["video"], []).append((number, row))
  parse = _PARSERS[columns]
  return {name: functools.partial(parse, rows[name]) for name in rows}


def _list_lines(content: Content) -> Iterable[Line]:
  """Return lines of cells; JSON objects are numbered from 1."""
  objects = content.json
  if objects is None:
    return csv_tables.split_lines(content.text, content.path)
  if not all(isinstance(x, dict) for x in objects):
    return []
  titles = list(dict.fromkeys(title for x in objects for title in x))
  cells = ([x.get(title) for title in titles] for x in objects)
  rows = (["" if x is None else str(x) for x in row] for row in cells)
  return [(0, titles), *enumerate(rows, start=1)]


def _parse_segments(
  rows: Sequence[Row], where: str, labeling: Labeling, unit: Unit = SECONDS
) -> SegmentedVideo:
  start, end, parse = "start", "end", parse_seconds
  if not unit.is_time:
    start, end, parse = "start_frame", "end_frame", parse_frame
  raw = []
  for number, row in rows:
    at = f"{where}, row {number}"
    bounds = (parse(row[title], title, at) for title in (start, end))
    raw.append(RawSegment(at, *bounds, row["phase"]))
  first = f"{where}, row {rows[0][0]} and after"
  return merge_tiers(raw, first, labeling, unit)


def _parse_numbered_frames(
  rows: Sequence[Row], where: str, labeling: Labeling
) -> LabeledFrames:
  found = []
  for number, row in rows:
    at = f"{where}, row {number}"
    found.append((parse_frame(row["frame"], "frame", at), at, row["phase"]))
  found.sort(key=lambda x: x[0])
  for (frame, at, phase), (other, after, new) in itertools.pairwise(found):
    if frame == other and phase != new:
      raise UserError(
        f"{after}: expected one phase for frame {frame}, received {new!r} and"
        f" {phase!r} in {at.rpartition(', ')[2]}; remove one"
      )
  labels = [-1] * (found[-1][0] + 1)
  for frame, at, phase in found:
    labels[frame] = labeling.number(phase, at)
  return LabeledFrames(found[-1][1], labels, is_partial=True)


def _parse_frames(
  rows: Sequence[Row], where: str, labeling: Labeling
) -> LabeledFrames:
  number = labeling.number
  labels = [number(row["phase"], f"{where}, row {i}") for i, row in rows]
  first = f"{where}, row {rows[0][0]} and after"
  return LabeledFrames(first, labels, labeling.options.resample_labels)


# The columns that a table needs beside video and phase -> reads the rows of one
# video. The first that fits is taken.
_PARSERS = {
  ("start", "end"): _parse_segments,
  ("start_frame", "end_frame"): functools.partial(_parse_segments, unit=FRAMES),
  ("frame",): _parse_numbered_frames,
  (): _parse_frames,
}
