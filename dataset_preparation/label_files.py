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
import math
import os
import pathlib
from collections.abc import Collection, Sequence

from dataset_preparation import labels, tables, video_names
from dataset_preparation.labels import Segment
from errors import UserError

_MICROSECONDS = 1e6
# A segment may end so many seconds after its video: what was annotated in
# another player rarely ends at the last frame exactly.
_SLACK = 0.5


@dataclasses.dataclass(frozen=True)
class SegmentedVideo:
  """Phases of a video as segments.

  Attributes:
    where: File and video, for messages.
    segments: In order of start, each ending where the next starts.
    ends: Where in the file each segment stands, and the second at which it ends
      there; empty where the file may say more than the video shows.
  """

  where: str
  segments: list[Segment]
  ends: tuple[tuple[str, float], ...] = ()

  def of_frames(
    self, times: Sequence[float], indices: Sequence[int], num_frames: int
  ) -> list[int]:
    """Labels frames.

    Args:
      times: [F] seconds of the frames from the first one of the source.
      indices: [F] their numbers in the source; not used.
      num_frames: Frames of the source; not used.

    Returns:
      [F] labels.

    Raises:
      UserError: A segment of a table lies beyond the end of the video.
    """
    for row, end in self.ends:
      if end > times[-1] + _SLACK:
        raise UserError(
          f"{row}: ends at {end:g} s, expected at most"
          f" {times[-1]:.3f} s, where the video ends; correct it"
        )
    return labels.of_frames(self.segments, times)


@dataclasses.dataclass(frozen=True)
class LabelledFrames:
  """Phases of a video as one label a frame.

  Attributes:
    where: File and video, for messages.
    frame_labels: One for every frame of the source.
  """

  where: str
  frame_labels: list[int]

  def of_frames(
    self, times: Sequence[float], indices: Sequence[int], num_frames: int
  ) -> list[int]:
    """Labels frames.

    Args:
      times: [F] seconds of the frames; not used.
      indices: [F] their numbers in the source.
      num_frames: Frames of the source.

    Returns:
      [F] labels.

    Raises:
      UserError: There is not one label for every frame of the source.
    """
    if len(self.frame_labels) != num_frames:
      raise UserError(
        f"{self.where}: holds {len(self.frame_labels)} labels, expected one for"
        f" each of the video's {num_frames} frames; correct it"
      )
    return [self.frame_labels[index] for index in indices]


VideoLabels = SegmentedVideo | LabelledFrames


@dataclasses.dataclass(frozen=True)
class LabelFile:
  """What a label file says.

  Attributes:
    path: The file.
    class_names: Names of the phases by their numbers; empty if the file numbers
      them.
    videos: Labels by the video's name, `video_names.composed`.
  """

  path: pathlib.Path
  class_names: tuple[str, ...]
  videos: dict[str, VideoLabels]

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
        known = f"{next(iter(self.videos))!r}" if self.videos else "none"
        raise UserError(
          f"{self.path}: has no annotation of video {video!r} (but of"
          f" {len(self.videos)} others, the first is {known}); add it, or leave"
          " the video out"
        )
      found[video] = self.videos[names[video]]
      if expected_segments:
        _check_number(found[video], expected_segments)
    return found

  def check_all_used(self, videos: Collection[str]) -> None:
    """Checks that there are no labels but of these videos.

    Args:
      videos: All there are, as `video_names.match` takes them.

    Raises:
      UserError: There are labels of another one.
    """
    used = set(video_names.match(videos, self.videos, self.path).values())
    for video, found in self.videos.items():
      if video not in used:
        raise UserError(
          f"{found.where}: is not among the {len(videos)} videos to convert;"
          " remove its labels, or add the video"
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


def read(
  path: str | os.PathLike,
  phases: Sequence[str] = (),
  videos: Collection[str] | None = None,
) -> LabelFile:
  """Reads a label file.

  Args:
    path: A file in one of the four formats.
    phases: Names of the phases in the order of their numbers, if the file has
      to keep to them.
    videos: Names of the videos to read; None = all.

  Returns:
    What it says.

  Raises:
    UserError: The file is missing, of another format, or wrong in some row.
  """
  path = pathlib.Path(path)
  text = tables.read_text(path, "label_file")
  numbering = _Numbering(phases)
  is_json = text.lstrip()[:1] in ("{", "[")
  parse = _of_json if is_json else _of_csv
  return LabelFile(path, *parse(path, text, numbering, videos))


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
    is_number = text.removeprefix("-").isdigit()
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
      if int(text) < 0:
        raise UserError(f"{where}: expected a phase from 0, received {text}")
      return int(text)
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
      hint = f"; did you mean {near[0]!r}?" if near else ""
      raise UserError(
        f"{where}: unknown phase {name!r}, expected one of"
        f" {', '.join(self._numbers)}{hint}"
      )


_Parsed = tuple[tuple[str, ...], dict[str, VideoLabels]]


def _of_json(
  path: pathlib.Path,
  text: str,
  numbering: _Numbering,
  wanted: Collection[str] | None,
) -> _Parsed:
  try:
    content = json.loads(
      text, object_pairs_hook=functools.partial(_unique, path)
    )
  except ValueError as error:
    raise UserError(
      f"{path}: expected a label file in JSON or CSV, received something else"
      f" ({error}); correct it"
    ) from error
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: expected {{video: {{annotator: {{label: [start, end]}}}}}} or"
      f" {{video: [phase, ...]}}, received a {type(content).__name__}"
    )
  videos = {}
  for video, value in content.items():
    if wanted is not None and video not in wanted:
      continue
    where = f"{path}: video {video!r}"
    if isinstance(value, list) and value:
      phases = [
        numbering.number(phase, f"{where}, frame {index}")
        for index, phase in enumerate(value)
      ]
      videos[video] = LabelledFrames(where, phases)
    else:
      videos[video] = _annotated(value, where, numbering)
  return numbering.class_names(), videos


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


def _annotated(
  annotators: object, where: str, numbering: _Numbering
) -> SegmentedVideo:
  if not isinstance(annotators, dict) or not annotators:
    raise UserError(
      f"{where}: expected {{annotator: {{label: [start, end]}}}}, received"
      f" {_shortened(annotators)}"
    )
  drawn = [
    _segments(segments, f"{where}, annotator {name!r}", numbering)
    for name, segments in annotators.items()
  ]
  kinds = [[segment.label for segment in segments] for segments in drawn]
  for other in kinds[1:]:
    if other != kinds[0]:
      raise UserError(
        f"{where}: the annotators drew different segments, {kinds[0]} and"
        f" {other}; expected the same labels of each"
      )
  merged = labels.merge(drawn)
  if not any(segment.start < segment.end for segment in merged):
    raise UserError(
      f"{where}: all segments end before they start; expected [start, end] in"
      " microseconds"
    )
  return SegmentedVideo(where, merged)


def _segments(
  segments: object, where: str, numbering: _Numbering
) -> list[Segment]:
  if not isinstance(segments, dict) or not segments:
    raise UserError(
      f"{where}: expected {{label: [start, end]}}, received"
      f" {_shortened(segments)}"
    )
  return sorted(
    Segment(
      numbering.number(label, where),
      *_bounds(bounds, f"{where}, label {label}"),
    )
    for label, bounds in segments.items()
  )


def _bounds(bounds: object, where: str) -> tuple[float, float]:
  if not (
    isinstance(bounds, list)
    and len(bounds) == 2
    and all(type(x) in (int, float) and math.isfinite(x) for x in bounds)
  ):
    raise UserError(
      f"{where}: expected [start, end] in microseconds, received"
      f" {_shortened(bounds)}"
    )
  if bounds[0] < 0:
    raise UserError(
      f"{where}: starts at {bounds[0]:g}, expected microseconds from 0, where"
      " the video starts"
    )
  return bounds[0] / _MICROSECONDS, bounds[1] / _MICROSECONDS


def _shortened(value: object) -> str:
  text = repr(value)
  return text if len(text) <= 40 else text[:37] + "..."


def _of_csv(
  path: pathlib.Path,
  text: str,
  numbering: _Numbering,
  wanted: Collection[str] | None,
) -> _Parsed:
  heading = tables.heading(text)
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
  by_video: dict[str, list[tuple[int, dict[str, str]]]] = {}
  for number, row in tables.rows(text, path):
    video = video_names.composed(row["video"])
    if wanted is None or video in wanted:
      by_video.setdefault(video, []).append((number, row))
  videos = {
    video: parse(of_video, f"{path}: video {video!r}", numbering)
    for video, of_video in by_video.items()
  }
  return numbering.class_names(), videos


_Rows = Sequence[tuple[int, dict[str, str]]]


def _from_row(where: str, rows: _Rows) -> str:
  return f"{where}, row {rows[0][0]} and after"


def _frame_rows(rows: _Rows, where: str, numbering: _Numbering) -> VideoLabels:
  phases = [
    numbering.number(row["phase"], f"{where}, row {number}")
    for number, row in rows
  ]
  return LabelledFrames(_from_row(where, rows), phases)


def _segment_rows(
  rows: _Rows, where: str, numbering: _Numbering
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
    _from_row(where, rows),
    labels.merge([[segment for segment, _ in found]]),
    tuple((f"{where}, row {number}", segment.end) for segment, number in found),
  )


def _seconds(text: str, key: str, where: str) -> float:
  try:
    seconds = float(text)
  except ValueError:
    seconds = math.nan
  if not 0 <= seconds < math.inf:
    raise UserError(
      f"{where}: expected seconds from 0 as {key}, received {text!r}; correct"
      " it"
    )
  return seconds
