"""VGG Image Annotator 3: exports as CSV, and projects as JSON.

Segments have attributes; each attribute is a tier.
"""

import json
import re
from collections.abc import Mapping, Sequence

from dataset_preparation.labels import csv_tables
from dataset_preparation.labels.content import Content, Export
from dataset_preparation.labels.types import RawSegment

_HEADING = "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"


def is_project(content: Content) -> bool:
  """Whether this is a project."""
  keys = {"file", "view", "metadata", "attribute"}
  return isinstance(content.json, dict) and keys <= content.json.keys()


def read_project(content: Content) -> Export:
  """Yield name of a video and segment."""
  project = content.json
  for key, one in project["metadata"].items():
    files = project["view"][str(one["vid"])]["fid_list"]
    files = [project["file"][str(file)] for file in files]
    names = [file.get("fname") or file["src"] for file in files]
    where, values = f"{content.path}: metadata {key}", (one["z"], one["xy"])
    yield from _split(where, names, *values, one["av"], project["attribute"])


def is_csv(content: Content) -> bool:
  """Whether this is an export as CSV."""
  return _HEADING in content.text


def read_csv(content: Content) -> Export:
  """Yield name of a video and segment."""
  attributes = re.search("(?m)^# ATTRIBUTE = (.*)$", content.text)
  attributes = json.loads(attributes[1]) if attributes else {}
  rows = re.sub("(?m)^#.*$", "", content.text)
  for number, cells in csv_tables.split_lines(rows, content.path):
    _, names, _, *values = cells
    values = map(json.loads, (names, *values))
    yield from _split(f"{content.path}: row {number}", *values, attributes)


def _split(
  where: str,
  names: Sequence[str],
  times: Sequence[float],
  shape: Sequence[float],
  values: Mapping[str, str],
  attributes: Mapping[str, Mapping],
) -> Export:
  """Yield a segment for each attribute, and the video's name before it."""
  # Others are stills, or regions of the image.
  if len(times) == 2 and not shape:
    for key, value in (values or {next(iter(attributes), "1"): ""}).items():
      attribute = attributes.get(key, {})
      # A choice is stored by its number.
      phase = attribute.get("options", {}).get(value, value)
      tier = (attribute.get("aname", key),)
      for name in names:
        yield name, RawSegment(where, *map(float, times), phase, tier)
