"""Names of videos in tables: in full, or their last part alone.

Either may have the ending of the video's file.
"""

import os
import unicodedata
from collections.abc import Collection, Mapping

from core.errors import UserError

# Endings of files that FFmpeg reads as videos, in lower case.
ENDINGS = (
  *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".flv", ".avi"),
  *(".divx", ".mkv", ".webm", ".ogv", ".ogm", ".wmv", ".asf", ".mpg", ".mpeg"),
  *(".mpe", ".m2v", ".mp2v", ".vob", ".ts", ".mts", ".m2ts", ".m2t", ".mxf"),
  *(".gif", ".dv", ".rm", ".rmvb", ".nut", ".y4m", ".ivf", ".mjpeg", ".mjpg"),
  *(".h264", ".264", ".h265", ".265", ".hevc"),
)


def composed(name: str) -> str:
  """A name with every accented letter as one character (Unicode's NFC).

  Disks and editors write such a letter as one character or as two.

  Args:
    name: The name.

  Returns:
    The name, the same however it was written.
  """
  return unicodedata.normalize("NFC", name)


def match(
  videos: Collection[str], named: Collection[str], path: str | os.PathLike
) -> dict[str, str]:
  """Finds out under which name a table speaks of each video.

  Args:
    videos: Names of all videos: their paths below the input folder, without
      ending.
    named: Names in the table, `composed`: such a path or, where no video has
      it, the last part of one; where neither fits, with one of `ENDINGS`.
    path: The table, for messages.

  Returns:
    Name of a video -> its name in the table; without the videos that it does
    not name.

  Raises:
    UserError: A name is the last part of several videos, or a video is named
      with two endings.
  """
  paths = {composed(video): video for video in videos}
  found = _found(paths, {name: name for name in named}, {}, path)
  rest = set(named) - set(found.values())
  return _found(paths, _without_endings(rest, path), found, path)


def _found(
  paths: Mapping[str, str],
  keys: Mapping[str, str],
  before: Mapping[str, str],
  path: str | os.PathLike,
) -> dict[str, str]:
  """Adds to the videos found `before` those that `keys` tell, see `match`."""
  found = {v: keys[name] for name, v in paths.items() if name in keys} | before
  by_last_part: dict[str, str] = {}
  for whole, video in paths.items():
    name = whole.rpartition("/")[2]
    if video in found or name in paths or name not in keys:
      continue
    other = by_last_part.setdefault(name, video)
    if other != video:
      raise UserError(
        f"{path}: {keys[name]!r} may be {other!r} or {video!r}; expected the"
        " path below the input folder, without ending"
      )
    found[video] = keys[name]
  return found


def _without_endings(
  named: Collection[str], path: str | os.PathLike
) -> dict[str, str]:
  """Name without ending -> name in the table."""
  found: dict[str, str] = {}
  for name in sorted(named):
    short, ending = os.path.splitext(name)
    if ending.lower() not in ENDINGS:
      continue
    other = found.setdefault(short, name)
    if other != name:
      raise UserError(
        f"{path}: names {other!r} and {name!r}; expected each video once,"
        " without ending"
      )
  return found
