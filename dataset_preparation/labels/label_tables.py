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
from dataset_preparation.labels import csv_tables, types
from dataset_preparation.labels.content import Content, Parsers
from dataset_preparation.labels.csv_tables import Line, Row
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.tiers import merge_tiers
from dataset_preparation.labels.times import parse_frame, parse_seconds
from dataset_preparation.labels.types import LabeledFrames, RawSegment

# The columns that a table needs beside video and phase; the first that fit are
# taken.
_COLUMNS = (("start", "end"), ("start_frame", "end_frame"), ("frame",), ())


def is_table(content: Content) -> bool:
  """Whether this is such a table."""
  titles = []
  # Another format may have other quotation marks.
  with contextlib.suppress(UserError):
    titles, _ = csv_tables.read_table(_list_lines(content), "")
  return {"video", "phase"} <= set(titles)


def read(content: Content) -> Parsers:
  """Return a parser for each video.

  Raises:
    UserError: A row is incomplete, or a column comes twice.
  """
  path = content.path
  titles, table = csv_tables.read_table(_list_lines(content), path)
  columns = next(x for x in _COLUMNS if set(x) <= set(titles))
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
  return {x: functools.partial(_parse, rows[x], columns) for x in rows}


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


def _parse(
  rows: Sequence[Row], columns: Sequence[str], where: str, labeling: Labeling
) -> types.VideoLabels:
  """Read the rows of one video."""
  is_timed = columns == ("start", "end")
  parse = parse_seconds if is_timed else parse_frame
  found = []
  for number, row in rows:
    at = f"{where}, row {number}"
    bounds = [parse(row[title], title, at) for title in columns]
    found.append((*bounds, at, row["phase"]))
  if len(columns) == 2:
    raw = [RawSegment(at, *bounds, phase) for *bounds, at, phase in found]
    unit = types.SECONDS if is_timed else types.FRAMES
    return merge_tiers(raw, where, labeling, unit)
  if columns:
    return _label_frames(sorted(found, key=lambda x: x[0]), labeling)
  labels = [labeling.number(phase, at) for at, phase in found]
  return LabeledFrames(where, labels, labeling.options.resample_labels)


def _label_frames(
  found: Sequence[tuple[int, str, str]], labeling: Labeling
) -> LabeledFrames:
  """Label frames by their numbers, places in the file and phases, in order."""
  for (frame, at, phase), (other, after, new) in itertools.pairwise(found):
    if frame == other and phase != new:
      raise UserError(
        f"{after}: expected one phase for frame {frame}, received {new!r} and"
        f" {phase!r} in {at.rpartition(', ')[2]}; remove one"
      )
  last, where, _ = found[-1]
  labels = [-1] * (last + 1)
  for frame, at, phase in found:
    labels[frame] = labeling.number(phase, at)
  return LabeledFrames(where, labels, is_partial=True)
