"""Label files: the phases of videos in any of `formats.FORMATS`.

A phase is a number from 0, -1 where a frame has none, or a name. A folder holds
a file for each video, or files of several.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Collection, Mapping

from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import formats
from dataset_preparation.labels.content import Content
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.types import SegmentedVideo, VideoLabels

# Files that count in a folder, where annotation tools leave others, too.
_ENDINGS = (".npy", ".eaf", ".xml", ".json", ".csv", ".tsv", ".txt")


@dataclasses.dataclass(frozen=True)
class LabelFile:
  """The content of a label file.

  Attributes:
    path: The file.
    class_names: Names of the phases by number; empty if the file has numbers.
    names: Names of all videos in the file, composed (see `video_names`).
    videos: Labels of the videos that were asked for, by name.
    is_anonymous: Whether it has the labels of one video that it doesn't name.
      The name is then that of the file, without ending.
    notes: What the file has that is not used, for the user.
  """

  path: pathlib.Path
  class_names: tuple[str, ...]
  names: tuple[str, ...]
  videos: Mapping[str, VideoLabels]
  is_anonymous: bool = False
  notes: tuple[str, ...] = ()

  def match(self, videos: Collection[str]) -> dict[str, str]:
    """Find the names of videos in the file.

    Args:
      videos: Names of all videos, see `video_names.match_names`.

    Returns:
      Name of a video -> its name in the file, for the videos that it lists.

    Raises:
      UserError: It is unclear of which video a name is.
    """
    if self.is_anonymous and len(videos) == 1:
      return dict.fromkeys(videos, self.names[0])
    return video_names.match_names(videos, self.names, self.path)

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
    names = self.match(videos)
    for video in videos:
      if video not in names:
        known = f"such as {self.names[0]!r}" if self.names else "of none"
        advice = "add them"
        if self.is_anonymous:
          advice = "give the file, which names no video, the name of its video"
        raise UserError(
          f"{self.path}: expected labels of video {video!r}, received those of"
          f" {len(self.names)} others {known}; {advice}, or leave the video out"
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
    used = self.match(videos).values()
    return [name for name in self.names if name not in used]


def read_label_file(
  options: LabelOptions, videos: Collection[str] | None = None
) -> LabelFile:
  """Read a label file, or the files in a folder.

  Args:
    options: How videos are labeled, with the path of the file. If phases have
      names there, the file has to keep to them.
    videos: Names of the videos whose labels are read, see
      `video_names.match_names`; the phases of others get no numbers. None reads
      all.

  Returns:
    Its content.

  Raises:
    UserError: The file is missing, has another format, or a value is wrong.
  """
  path = pathlib.Path(options.label_file)
  root, files = path.parent, [path]
  if path.is_dir():
    root, found = path, sorted(path.rglob("*"))
    files = [file for file in found if file.suffix.lower() in _ENDINGS]
  parsers: dict[str, Callable[..., VideoLabels]] = {}
  notes, is_anonymous = [], False
  for file in files:
    content = Content(file)
    read = formats.read(content)
    is_anonymous = root != path and list(read) == [""]
    for name, parse in read.items():
      below = file.relative_to(root).with_suffix("").as_posix()
      name = name or video_names.make_place(below)
      if name in parsers:
        raise UserError(
          f"{file}: expected each video in one file, received {name!r} twice;"
          " remove one"
        )
      parsers[name] = functools.partial(parse, f"{file}: video {name!r}")
    notes += content.notes
  known = LabelFile(path, (), tuple(parsers), {}, is_anonymous, tuple(notes))
  wanted = parsers if videos is None else set(known.match(videos).values())
  labeling = Labeling(options)
  found = {
    name: parse(labeling) for name, parse in parsers.items() if name in wanted
  }
  class_names = labeling.class_names()
  return dataclasses.replace(known, class_names=class_names, videos=found)
