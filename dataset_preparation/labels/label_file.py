"""Label files: the phases of videos in one of four formats.

The content of a file tells its format: annotation JSON (`annotation_json`), a
segment table (`segment_table`), or a phase per frame as JSON or as a table
(`frame_lists`). A phase is a number from 0, -1 where a frame has none, or a
name.
"""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence

from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import csv_tables, frame_lists
from dataset_preparation.labels.annotation_json import parse_annotations
from dataset_preparation.labels.phases import PhaseNumbering
from dataset_preparation.labels.segment_table import parse_segment_rows
from dataset_preparation.labels.types import SegmentedVideo, VideoLabels

# Reads the labels of one video, whose place in the file is given for messages.
_Parser = Callable[[str, PhaseNumbering], VideoLabels]


@dataclasses.dataclass(frozen=True)
class LabelFile:
  """The content of a label file.

  Attributes:
    path: The file.
    class_names: Names of the phases by number; empty if the file has numbers.
    names: Names of all videos in the file, composed (see `video_names`).
    videos: Labels of the videos that were asked for, by name.
  """

  path: pathlib.Path
  class_names: tuple[str, ...]
  names: tuple[str, ...]
  videos: Mapping[str, VideoLabels]

  def find_labels(
    self, videos: Collection[str], expected_segments: int = 0
  ) -> dict[str, VideoLabels]:
    """Find the labels of videos.

    Args:
      videos: Names of all videos, see `video_names.match_names`.
      expected_segments: Number of segments that each must have; 0 for any.

    Returns:
      Name of a video -> its labels.

    Raises:
      UserError: A video has no labels, shares them with another one, or has
        another number of segments.
    """
    names = video_names.match_names(videos, self.videos, self.path)
    for video in videos:
      if video not in names:
        known = f"such as {self.names[0]!r}" if self.names else "of none"
        raise UserError(
          f"{self.path}: expected labels of video {video!r}, received those of"
          f" {len(self.names)} others {known}; add them, or leave the video out"
        )
    found = {video: self.videos[names[video]] for video in videos}
    for labels in found.values():
      segmented = isinstance(labels, SegmentedVideo)
      received = len(labels.segments) if segmented else "labels of frames"
      if expected_segments not in (0, received):
        raise UserError(
          f"{labels.where}: expected {expected_segments} segments, received"
          f" {received}; correct it, or leave --expected_segments away"
        )
    return found

  def list_unused(self, videos: Collection[str]) -> list[str]:
    """List the names in the file that belong to none of the videos.

    Args:
      videos: Names of all videos, see `video_names.match_names`.

    Returns:
      The names, in the order of the file.
    """
    used = video_names.match_names(videos, self.names, self.path).values()
    return [name for name in self.names if name not in used]


def read_label_file(
  path: str | os.PathLike,
  phases: Sequence[str] = (),
  videos: Collection[str] | None = None,
) -> LabelFile:
  """Read a label file.

  Args:
    path: A file in one of the four formats.
    phases: Names of the phases in the order of their numbers, if the file has
      to keep to them.
    videos: Names of the videos whose labels are read, see
      `video_names.match_names`; the phases of others get no numbers. None reads
      all.

  Returns:
    Its content.

  Raises:
    UserError: The file is missing, has another format, or a value is wrong.
  """
  path = pathlib.Path(path)
  text = csv_tables.read_text(path, "label_file")
  is_json = text.lstrip()[:1] in ("{", "[")
  parsers = (_split_json if is_json else _split_csv)(path, text)
  wanted = parsers.keys()
  if videos is not None:
    wanted = set(video_names.match_names(videos, parsers, path).values())
  numbering = PhaseNumbering(phases)
  found = {
    name: parse(f"{path}: video {name!r}", numbering)
    for name, parse in parsers.items()
    if name in wanted
  }
  return LabelFile(path, numbering.class_names(), tuple(parsers), found)


def _split_json(path: pathlib.Path, text: str) -> dict[str, _Parser]:
  """Return a parser for each video."""
  make_object = functools.partial(_make_object, path)
  try:
    content = json.loads(text, object_pairs_hook=make_object)
  # Thousands of nested brackets raise a RecursionError.
  except (ValueError, RecursionError) as error:
    raise UserError(
      f"{path}: expected a label file in JSON or CSV, received something else"
      f" ({error}); correct it"
    ) from error
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: expected {{video: {{annotator: {{label: [start, end]}}}}}} or"
      f" {{video: [phase, ...]}}, received {type(content).__name__}; correct it"
    )
  parsers = {}
  for video, value in content.items():
    is_list = isinstance(value, list) and value
    parse = frame_lists.parse_frame_list if is_list else parse_annotations
    parsers[video] = functools.partial(parse, value)
  return parsers


def _make_object(
  path: pathlib.Path, pairs: Sequence[tuple[str, object]]
) -> dict[str, object]:
  """Make a JSON object; `json` would keep the last of equal keys."""
  found = {}
  for key, value in pairs:
    name = video_names.compose(key)
    if name in found:
      raise UserError(
        f"{path}: expected each name once, received {name!r} twice; remove one"
      )
    found[name] = value
  return found


def _split_csv(path: pathlib.Path, text: str) -> dict[str, _Parser]:
  """Return a parser for each video."""
  heading, table = csv_tables.read_table(text, path)
  if {"video", "start", "end", "phase"} <= set(heading):
    parse = parse_segment_rows
  elif {"video", "phase"} <= set(heading):
    parse = frame_lists.parse_frame_rows
  else:
    raise UserError(
      f"{path}: expected a label file in JSON, or CSV with the heading"
      f" video,start,end,phase or video,phase, received"
      f" {','.join(heading)[:40]!r}; correct it"
    )
  rows: dict[str, list[csv_tables.Row]] = {}
  for number, row in table:
    rows.setdefault(row["video"], []).append((number, row))
  return {name: functools.partial(parse, rows[name]) for name in rows}
