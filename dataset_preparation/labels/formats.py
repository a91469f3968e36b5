"""The formats of label files, told apart by their content."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from core.errors import UserError, first_line
from dataset_preparation import video_names
from dataset_preparation.labels import (
  annotation_json,
  boris,
  cvat,
  elan,
  frame_lists,
  label_studio,
  label_tables,
  types,
  via,
)
from dataset_preparation.labels.content import Content, Export, Parsers
from dataset_preparation.labels.tiers import merge_tiers
from dataset_preparation.labels.types import RawSegment, Unit


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


# What parsers raise; thousands of nested brackets are a RecursionError.
_NOT_PARSED = (RecursionError, SyntaxError, ValueError)
# The first that a file has is taken.
FORMATS = (
  Format("a NumPy array", frame_lists.is_array, frame_lists.read_array),
  Format("ELAN's .eaf", elan.is_eaf, elan.read_eaf, types.SECONDS),
  Format("CVAT's XML", cvat.is_export, cvat.read, types.FRAMES),
  Format("a VIA 3 project", via.is_project, via.read_project, types.SECONDS),
  Format(
    "Label Studio's JSON",
    *(label_studio.is_export, label_studio.read, types.PLAYER_FRAMES),
  ),
  Format("JSON by video", annotation_json.is_object, annotation_json.read),
  Format("VIA 3's CSV", via.is_csv, via.read_csv, types.SECONDS),
  Format("a table of labels", label_tables.is_table, label_tables.read),
  Format("ELAN's text", elan.is_text, elan.read_text, types.SECONDS),
  Format("BORIS's events", boris.is_export, boris.read, types.SECONDS),
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
  name = "a label file in JSON, XML or CSV"
  try:
    for form in FORMATS:
      if form.is_format(content):
        name = form.name
        found = form.read(content)
        return _group(found, form.unit, content) if form.unit else found
  except (*_NOT_PARSED, AttributeError, LookupError, TypeError) as error:
    raise UserError(
      f"{content.path}: expected {name}, received something else"
      f" ({type(error).__name__}: {first_line(error)}); correct or export it"
      " again"
    ) from error
  start = content.text.strip().partition("\n")[0][:40]
  raise UserError(
    f"{content.path}: expected a label file in JSON, or CSV with the heading"
    " video,start,end,phase or video,phase, or an export of ELAN, VIA 3, Label"
    f" Studio, CVAT or BORIS, received {start!r}; see docs/data.md"
  )


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
