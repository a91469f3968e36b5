"""The formats of label files, told apart by their content."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from core.errors import UserError, first_line
from dataset_preparation import video_names
from dataset_preparation.labels import (
  boris,
  cvat,
  elan,
  frame_lists,
  label_studio,
  label_tables,
  via,
)
from dataset_preparation.labels.annotation_json import parse_annotations
from dataset_preparation.labels.content import Content, Export, Parsers
from dataset_preparation.labels.tiers import merge_tiers
from dataset_preparation.labels.types import (
  FRAMES,
  PLAYER_FRAMES,
  SECONDS,
  RawSegment,
  Unit,
)


class Format(NamedTuple):
  """A format of label files.

  Attributes:
    name: Its name, for messages.
    is_format: Whether a file has it.
    read: Returns a parser for each video in such a file, or with a unit all
      segments. Errors that are none of the user's mean that it is damaged.
    unit: What the bounds of an export's segments count.
  """

  name: str
  is_format: Callable[[Content], bool]
  read: Callable[[Content], Parsers | Export]
  unit: Unit | None = None


def _is_json_object(content: Content) -> bool:
  return isinstance(content.json, dict)


def _read_json_object(content: Content) -> Parsers:
  parsers: Parsers = {}
  for video, value in content.json.items():
    is_list = isinstance(value, list) and value
    parse = frame_lists.parse_frame_list if is_list else parse_annotations
    parsers[video] = functools.partial(parse, value)
  return parsers


# The first that a file has is taken.
FORMATS = (
  Format("a NumPy array", frame_lists.is_array, frame_lists.read_array),
  Format("ELAN's .eaf", elan.is_eaf, elan.read_eaf, SECONDS),
  Format("CVAT's XML", cvat.is_export, cvat.read, FRAMES),
  Format("a VIA 3 project", via.is_project, via.read_project, SECONDS),
  Format(
    "Label Studio's JSON",
    *(label_studio.is_export, label_studio.read, PLAYER_FRAMES),
  ),
  Format("JSON by video", _is_json_object, _read_json_object),
  Format("VIA 3's CSV", via.is_csv, via.read_csv, SECONDS),
  Format("a table of labels", label_tables.is_table, label_tables.read),
  Format("ELAN's text", elan.is_text, elan.read_text, SECONDS),
  Format("BORIS's events", boris.is_export, boris.read, SECONDS),
)


def read(content: Content) -> Parsers:
  """Read a file in one of `FORMATS`.

  Args:
    content: The file.

  Returns:
    A parser for each video.

  Raises:
    UserError: It has another format, or is damaged.
  """
  form = next((form for form in FORMATS if form.is_format(content)), None)
  if form is None:
    start = content.text.strip().partition("\n")[0][:40]
    raise UserError(
      f"{content.path}: expected a label file in JSON, or CSV with the heading"
      " video,start,end,phase or video,phase, or an export of ELAN, VIA 3,"
      f" Label Studio, CVAT or BORIS, received {start!r}; see docs/data.md"
    )
  try:
    found = form.read(content)
    return _group(found, form.unit, content) if form.unit else found
  except (AttributeError, LookupError, TypeError, ValueError) as error:
    raise UserError(
      f"{content.path}: expected {form.name}, received something else"
      f" ({type(error).__name__}: {first_line(error)}); export it again"
    ) from error


def _group(found: Export, unit: Unit, content: Content) -> Parsers:
  """Group an export by videos.

  Regions that nobody labeled yet have no phase, and segments without length are
  left out.
  """
  videos: dict[str, list[RawSegment]] = {}
  num_empty = 0
  for name, one in found:
    if one.end + unit.last == one.start:
      num_empty += 1
      continue
    phase = (one.phase or "").strip() or "-1"
    video = video_names.make_place(video_names.compose(name))
    videos.setdefault(video, []).append(one._replace(phase=phase))
  if num_empty:
    content.notes.append(
      f"annotations in {content.path} without length, not used: {num_empty}"
    )
  return {
    name: functools.partial(merge_tiers, raw, unit=unit)
    for name, raw in videos.items()
  }
