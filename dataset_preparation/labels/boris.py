"""BORIS: tabular and aggregated events, as CSV or TSV.

State events make segments; subjects are tiers. Tabular events have a row for
START and one for STOP, aggregated events a row a segment.
"""

import math
import re
from collections.abc import Mapping

from core.errors import UserError
from dataset_preparation.labels import csv_tables
from dataset_preparation.labels.content import Content, Export
from dataset_preparation.labels.times import parse_seconds
from dataset_preparation.labels.types import RawSegment

# Old versions describe the observation in lines above the heading.
_HEADING = re.compile(
  r"^(?=.*\b(start \(s|time\b)).*\bbehavior\b.*", re.I | re.M
)
# Titles of columns in several versions.
_MEDIA = ("media file name", "media file path", "media file")
_KIND = ("behavior type", "status")
_START = ("start (s)", "start (seconds)", "time")
_STOP = ("stop (s)", "stop (seconds)")
_MISSING = ("", "NA", "None", "nan", "Not found")


def is_export(content: Content) -> bool:
  """Whether this is an export of events."""
  return _HEADING.search(content.text) is not None


def read(content: Content) -> Export:
  """Return names of videos and segments.

  Raises:
    UserError: A state stops that didn't start, or an observation has several
      videos.
  """
  text = content.text
  above = _HEADING.search(text).start()
  text = "\n" * text.count("\n", 0, above) + text[above:]
  lines = csv_tables.split_lines(text, content.path)
  _, rows = csv_tables.read_table(lines, content.path)
  found: list[tuple[str, RawSegment]] = []
  begun: dict[tuple, int] = {}
  videos: dict[str, str] = {}
  for number, row in rows:
    where, kind = f"{content.path}: row {number}", _get(row, *_KIND)
    video, behavior = _get(row, *_MEDIA), row["behavior"]
    observation = row.get("observation id") or video
    if videos.setdefault(observation, video) != video:
      raise UserError(
        f"{where}: expected one video an observation, as times go on from one"
        f" to the next, received {video!r} after {videos[observation]!r};"
        " observe each on its own"
      )
    # Times are those of the video and an offset.
    offset = float(_get(row, "time offset (s)") or 0)
    stop = _START if kind == "POINT" else _STOP
    start, end = (
      parse_seconds(time, "time", where) - offset if time else math.inf
      for time in (_get(row, *_START), _get(row, *stop))
    )
    segment = RawSegment(where, start, end, behavior, (row.get("subject", ""),))
    key = (video, behavior, segment.tier)
    if kind == "STOP":
      if key not in begun:
        raise UserError(
          f"{where}: expected a START of {behavior!r} before its STOP, received"
          " none; correct the events in BORIS"
        )
      index = begun.pop(key)
      found[index] = (video, found[index][1]._replace(end=start))
      continue
    if kind == "START":
      begun[key] = len(found)
    found.append((video, segment))
  return found


def _get(row: Mapping[str, str], *titles: str) -> str:
  """Return the first of these cells that is there, or nothing."""
  cells = (row.get(title, "") for title in titles)
  return next((cell for cell in cells if cell not in _MISSING), "")
