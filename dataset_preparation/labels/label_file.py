"""Label files: phases of videos in one of four formats, told apart by content.

1. Annotation JSON, microseconds from the first frame, several annotators:
   `{video: {annotator: {"0": [start, end], "1": [start, end]}}}`
2. Segment table, CSV with a heading, seconds from the first frame:
   `video,start,end,phase`
3. Labels of frames, JSON: `{video: [phase, phase, ...]}`, one for every frame
   of the source.
4. The same as CSV with a heading: `video,phase`, a row a frame, in order.

A phase is a number from 0, -1 where a frame has none, or a name; one file holds
numbers or names, not both. Names are numbered in the order of `phases` where it
is given, otherwise as they come in the file.
"""

import dataclasses
import difflib
import functools
import json
import os
import pathlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import tables
from dataset_preparation.labels.segments import Segment, merge_annotators
from dataset_preparation.labels.video_labels import (
  LabeledFrames,
  RawSegment,
  SegmentedVideo,
  VideoLabels,
)

_MICROSECONDS = 1e6
# What is as large is no time; NaN is no smaller either.
_ENDLESS = 2**63
# Far more than anybody names, and few enough to make up a name for each.
_MOST_PHASES = 10_000


@dataclasses.dataclass(frozen=True)
class LabelFile:
  """What a label file says.

  Attributes:
    path: The file.
    class_names: Names of the phases by their numbers; empty if the file numbers
      them.
    videos: Labels by the video's name, `video_names.composed`.
    places: Where they stand, by the same names; of videos that were not to be
      read, too.
  """

  path: pathlib.Path
  class_names: tuple[str, ...]
  videos: dict[str, VideoLabels]
  places: dict[str, str]

  def of_videos(
    self, videos: Collection[str], expected_segments: int = 0
  ) -> dict[str, VideoLabels]:
    """Finds the labels of videos.

    Args:
      videos: All there are, as `video_names.match` takes them.
      expected_segments: Number of segments that each has to have; 0 for any.

    Returns:
      Video -> its labels.

    Raises:
      UserError: A video has none, or shares them with another one, or the
        number of its segments is another one.
    """
    names = video_names.match(videos, self.videos, self.path)
    found = {}
    for video in videos:
      if video not in names:
        known = f"{next(iter(self.places))!r}" if self.places else "none"
        raise UserError(
          f"{self.path}: has no annotation of video {video!r} (but of"
          f" {len(self.places)} others, the first is {known}); add it, or leave"
          " the video out"
        )
      found[video] = self.videos[names[video]]
      if expected_segments:
        _check_number(found[video], expected_segments)
    return found

  def unused(self, videos: Collection[str]) -> dict[str, str]:
    """The places of labels that are of none of the videos.

    Args:
      videos: All there are, as `video_names.match` takes them.

    Returns:
      Name in the file -> where its labels stand.
    """
    used = set(video_names.match(videos, self.places, self.path).values())
    return {name: x for name, x in self.places.items() if name not in used}

  def check_all_used(self, videos: Collection[str]) -> None:
    """Checks that there are no labels but of these videos.

    Args:
      videos: All there are, as `video_names.match` takes them.

    Raises:
      UserError: There are labels of another one.
    """
    for where in self.unused(videos).values():
      raise UserError(
        f"{where}: is not among the {len(videos)} videos to convert; remove its"
        " labels, or add the video"
      )


def _check_number(found: VideoLabels, expected: int) -> None:
  if not isinstance(found, SegmentedVideo):
    raise UserError(
      f"{found.where}: holds labels of frames, expected {expected} segments;"
      " leave --expected_segments away"
    )
  if len(found.segments) != expected:
    raise UserError(
      f"{found.where} has {len(found.segments)} segments, expected {expected};"
      " correct it, or --expected_segments"
    )


def read_label_file(
  path: str | os.PathLike,
  phases: Sequence[str] = (),
  videos: Collection[str] | None = None,
) -> LabelFile:
  """Reads a label file.

  Args:
    path: A file in one of the four formats.
    phases: Names of the phases in the order of their numbers, if the file has
      to keep to them.
    videos: Names of the videos whose labels are read, as `video_names.match`
      takes them; the phases of others get no numbers. None = all in the file.

  Returns:
    What it says.

  Raises:
    UserError: The file is missing, of another format, or wrong in some row.
  """
  path = pathlib.Path(path)
  text = tables.read_text(path, "label_file")
  numbering = _Numbering(phases)
  is_json = text.lstrip()[:1] in ("{", "[")
  entries = (_of_json if is_json else _of_csv)(path, text)
  wanted = entries.keys()
  if videos is not None:
    wanted = set(video_names.match(videos, entries, path).values())
  found = {
    name: entry.parse(numbering)
    for name, entry in entries.items()
    if name in wanted
  }
  places = {name: entry.where for name, entry in entries.items()}
  return LabelFile(path, numbering.class_names(), found, places)


class _Numbering:
  """Gives phases their numbers."""

  def __init__(self, phases: Sequence[str]) -> None:
    self._fixed = bool(phases)
    self._numbers = {name: number for number, name in enumerate(phases)}
    self._first: tuple[str, bool] | None = None

  def number(self, phase: object, where: str) -> int:
    """The number of a phase that is given by number or name."""
    text = str(phase).strip() if isinstance(phase, str | int) else ""
    if isinstance(phase, bool) or not text:
      raise UserError(
        f"{where}: expected a phase by number or name, received {phase!r};"
        " correct it"
      )
    is_number = bool(re.fullmatch("-?[0-9]+", text))
    if self._first is None and text != "-1":
      self._first = (text, is_number)
    if text == "-1":
      return -1
    if is_number != self._first[1]:
      raise UserError(
        f"{where}: has phase {text!r} where others have {self._first[0]!r};"
        " expected numbers in the whole file, or names"
      )
    if is_number:
      return _whole(text, where)
    if text not in self._numbers:
      self._check_new(text, where)
      self._numbers[text] = len(self._numbers)
    return self._numbers[text]

  def class_names(self) -> tuple[str, ...]:
    """The names by number; none where the file has numbers."""
    named = self._first is not None and not self._first[1]
    return tuple(self._numbers) if named else ()

  def _check_new(self, name: str, where: str) -> None:
    if self._fixed:
      near = difflib.get_close_matches(name, self._numbers, 1)
      hint = f"did you mean {near[0]!r}?" if near else "correct it, or --phases"
      raise UserError(
        f"{where}: unknown phase {name!r}, expected one of"
        f" {', '.join(self._numbers)}; {hint}"
      )


def _whole(text: str, where: str) -> int:
  if text.startswith("-"):
    raise UserError(f"{where}: expected a phase from 0, received {text}")
  digits = text.lstrip("0") or "0"
  if len(digits) >= len(str(_MOST_PHASES)):
    raise UserError(
      f"{where}: expected a phase below {_MOST_PHASES}, received"
      f" {_shortened(text)}; correct it"
    )
  return int(digits)


class _Entry(NamedTuple):
  """Labels of a video that are yet to be read.

  Attributes:
    where: File and video, for messages.
    parse: Reads them.
  """

  where: str
  parse: Callable[[_Numbering], VideoLabels]


def _of_json(path: pathlib.Path, text: str) -> dict[str, _Entry]:
  try:
    content = json.loads(
      text, object_pairs_hook=functools.partial(_unique, path)
    )
  # The latter where thousands of brackets lie in each other.
  except (ValueError, RecursionError) as error:
    raise UserError(
      f"{path}: expected a label file in JSON or CSV, received something else"
      f" ({error}); correct it"
    ) from error
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: expected {{video: {{annotator: {{label: [start, end]}}}}}} or"
      f" {{video: [phase, ...]}}, received a {type(content).__name__}"
    )
  entries = {}
  for video, value in content.items():
    where = f"{path}: video {video!r}"
    parse = _listed if isinstance(value, list) and value else _annotated
    entries[video] = _Entry(where, functools.partial(parse, value, where))
  return entries


def _unique(
  path: pathlib.Path, pairs: Sequence[tuple[str, object]]
) -> dict[str, object]:
  """A JSON object, of which `json` would keep the last of equal keys."""
  found = {}
  for key, value in pairs:
    name = video_names.composed(key)
    if name in found:
      raise UserError(
        f"{path}: {name!r} comes twice; expected each name once, remove one"
      )
    found[name] = value
  return found


def _listed(
  phases: Sequence[object], where: str, numbering: _Numbering
) -> LabeledFrames:
  numbers = [
    numbering.number(phase, f"{where}, frame {index}")
    for index, phase in enumerate(phases)
  ]
  return LabeledFrames(where, numbers)


def _annotated(
  annotators: object, where: str, numbering: _Numbering
) -> SegmentedVideo:
  if not isinstance(annotators, dict) or not annotators:
    raise UserError(
      f"{where}: expected {{annotator: {{label: [start, end]}}}}, received"
      f" {_shortened(annotators)}"
    )
  found = [
    _segments(segments, f"{where}, annotator {name!r}", numbering)
    for name, segments in annotators.items()
  ]
  kinds = [[segment.label for segment, _ in segments] for segments in found]
  for other in kinds[1:]:
    if other != kinds[0]:
      raise UserError(
        f"{where}: the annotators drew different segments, {kinds[0]} and"
        f" {other}; expected the same labels of each"
      )
  merged = merge_annotators([[s for s, _ in segments] for segments in found])
  if not any(segment.start < segment.end for segment in merged):
    raise UserError(
      f"{where}: all segments end before they start; expected [start, end] in"
      " microseconds"
    )
  drawn = tuple(drawn for segments in found for _, drawn in segments)
  return SegmentedVideo(where, merged, drawn)


def _segments(
  segments: object, where: str, numbering: _Numbering
) -> list[tuple[Segment, RawSegment]]:
  if not isinstance(segments, dict) or not segments:
    raise UserError(
      f"{where}: expected {{label: [start, end]}}, received"
      f" {_shortened(segments)}"
    )
  found = []
  for label, bounds in segments.items():
    at = f"{where}, label {label}"
    start, end = _bounds(bounds, at)
    number = numbering.number(label, where)
    found.append((Segment(number, start, end), RawSegment(at, start, end)))
  return sorted(found)


def _bounds(bounds: object, where: str) -> tuple[float, float]:
  if not (
    isinstance(bounds, list)
    and len(bounds) == 2
    and all(type(x) in (int, float) and abs(x) < _ENDLESS for x in bounds)
  ):
    raise UserError(
      f"{where}: expected [start, end] in microseconds, received"
      f" {_shortened(bounds)}"
    )
  for verb, bound in zip(("starts", "ends"), bounds, strict=True):
    if bound < 0:
      raise UserError(
        f"{where}: {verb} at {bound:g}, expected microseconds from 0, where the"
        " video starts"
      )
  return bounds[0] / _MICROSECONDS, bounds[1] / _MICROSECONDS


def _shortened(value: object) -> str:
  text = repr(value)
  return text if len(text) <= 40 else text[:37] + "..."


def _of_csv(path: pathlib.Path, text: str) -> dict[str, _Entry]:
  heading = tables.heading(text, path)
  if {"video", "start", "end", "phase"} <= set(heading):
    parse = _segment_rows
  elif {"video", "phase"} <= set(heading):
    parse = _frame_rows
  else:
    raise UserError(
      f"{path}: expected a label file in JSON, or CSV with the heading"
      f" video,start,end,phase or video,phase, received"
      f" {_shortened(','.join(heading))}"
    )
  by_video: dict[str, list[_Row]] = {}
  for number, row in tables.rows(text, path):
    video = video_names.composed(row["video"])
    by_video.setdefault(video, []).append((number, row))
  entries = {}
  for video, rows in by_video.items():
    where = f"{path}: video {video!r}"
    begin = f"{where}, row {rows[0][0]} and after"
    entries[video] = _Entry(begin, functools.partial(parse, rows, where, begin))
  return entries


# Number of a row and its cells.
_Row = tuple[int, Mapping[str, str]]


def _frame_rows(
  rows: Sequence[_Row], where: str, begin: str, numbering: _Numbering
) -> LabeledFrames:
  phases = [
    numbering.number(row["phase"], f"{where}, row {number}")
    for number, row in rows
  ]
  return LabeledFrames(begin, phases)


def _segment_rows(
  rows: Sequence[_Row], where: str, begin: str, numbering: _Numbering
) -> SegmentedVideo:
  found = []
  for number, row in rows:
    at = f"{where}, row {number}"
    start, end = (_seconds(row[key], key, at) for key in ("start", "end"))
    if end <= start:
      raise UserError(
        f"{at}: ends at {end:g} s, expected later than its start at"
        f" {start:g} s; correct it"
      )
    label = numbering.number(row["phase"], at)
    found.append((Segment(label, start, end), number))
  found.sort(key=lambda item: item[0].start)
  for (first, row), (second, other) in zip(found, found[1:], strict=False):
    if second.start < first.end:
      raise UserError(
        f"{where}, row {other}: starts at {second.start:g} s, before row {row}"
        f" ends at {first.end:g} s; expected segments that don't overlap"
      )
  return SegmentedVideo(
    begin,
    merge_annotators([[segment for segment, _ in found]]),
    tuple(RawSegment(f"{where}, row {n}", s.start, s.end) for s, n in found),
  )


def _seconds(text: str, key: str, where: str) -> float:
  try:
    seconds = float(text.replace(",", "."))
  except ValueError:
    seconds = -1.0
  if not 0 <= seconds < _ENDLESS:
    raise UserError(
      f"{where}: expected seconds from 0 as {key}, received {text!r}; correct"
      " it"
    )
  return seconds
