"""ELAN: .eaf files, and exports as tab-delimited text.

Each holds the annotations of one recording. An .eaf file names its media. Text
does so in header lines, if at all.
"""

import re

from dataset_preparation.labels.content import Content, Export
from dataset_preparation.labels.times import parse_seconds
from dataset_preparation.labels.types import RawSegment

_CLOCK = re.compile(r"\d+:\d\d:\d\d\.\d+")
_MEDIA = re.compile(r'"?#(.+) -- offset: \d+"?')
_ANNOTATIONS = "TIER/ANNOTATION/*"
# Annotations may refer to others, and these to others in turn.
_MAX_DEPTH = 20


def is_eaf(content: Content) -> bool:
  """Whether this is an .eaf file."""
  return content.xml.tag == "ANNOTATION_DOCUMENT"


def read_eaf(content: Content) -> Export:
  """Yield name of a video and segment; "" if the file names no media."""
  root = content.xml
  media = root.findall("HEADER/MEDIA_DESCRIPTOR")
  videos = [x for x in media if x.get("MIME_TYPE", "").startswith("video")]
  # In milliseconds, like the beginning of the recording in its media.
  slots = root.iter("TIME_SLOT")
  times = {x.get("TIME_SLOT_ID"): x.get("TIME_VALUE") for x in slots}
  annotations = {x.get("ANNOTATION_ID"): x for x in root.iterfind(_ANNOTATIONS)}
  for tier in root.iter("TIER"):
    names = [tier.get(x, "") for x in ("TIER_ID", "PARTICIPANT", "ANNOTATOR")]
    for annotation in tier.iterfind("ANNOTATION/*"):
      where = f"{content.path}: annotation {annotation.get('ANNOTATION_ID')}"
      phase, one = annotation.findtext("ANNOTATION_VALUE"), annotation
      for _ in range(_MAX_DEPTH):
        one = annotations.get(one.get("ANNOTATION_REF"), one)
      bounds = [times.get(one.get(f"TIME_SLOT_REF{i}")) for i in (1, 2)]
      for one in videos or media or [{}]:
        origin = float(one.get("TIME_ORIGIN", 0))
        # Parts of an annotation may have no times of their own.
        start, end = ((float(x or "nan") + origin) / 1000 for x in bounds)
        video = one.get("MEDIA_URL") or one.get("RELATIVE_MEDIA_URL", "")
        yield video, RawSegment(where, start, end, phase, tuple(names))


def is_text(content: Content) -> bool:
  """Whether this is an export as text with times as hh:mm:ss.ms."""
  return any(
    len(_find_clocks(line.split("\t"))) > 1
    for line in content.text.split("\n", 50)[:50]
  )


def read_text(content: Content) -> Export:
  """Yield name of a video and segment; "" if header lines name none."""
  lines = content.text.split("\n")
  media = [match[1] for match in map(_MEDIA.fullmatch, lines) if match]
  heading: list[str] = []
  for number, line in enumerate(lines, start=1):
    cells, where = line.split("\t"), f"{content.path}: row {number}"
    clocks = _find_clocks(cells)
    # There is a heading if every tier has a column of its own.
    if any("hh:mm:ss.ms" in cell for cell in cells):
      heading = cells
    if len(clocks) < 2:
      continue
    start, end = (parse_seconds(cells[i], "time", where) for i in clocks[:2])
    # Times in other formats may follow each.
    first = clocks[-1] + clocks[1] - clocks[0]
    tier = tuple(cells[: clocks[0]])
    phases = [(tier, cells[first])]
    if heading:
      pairs = zip(heading[first:], cells[first:], strict=False)
      phases = [((title,), phase) for title, phase in pairs if phase]
    for video in media or [""]:
      for tier, phase in phases:
        yield video, RawSegment(where, start, end, phase, tier)


def _find_clocks(cells: list[str]) -> list[int]:
  return [i for i, cell in enumerate(cells) if _CLOCK.fullmatch(cell)]
