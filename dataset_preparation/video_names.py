"""Names of videos in tables: in full, or their last part alone."""

import os
import unicodedata
from collections.abc import Collection

from errors import UserError


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
      it, the last part of one.
    path: The table, for messages.

  Returns:
    Name of a video -> its name in the table; without the videos that it does
    not name.

  Raises:
    UserError: A name is the last part of several videos.
  """
  paths = {composed(video): video for video in videos}
  found = {video: name for name, video in paths.items() if name in named}
  by_last_part: dict[str, str] = {}
  for whole, video in paths.items():
    name = whole.rpartition("/")[2]
    if video in found or name in paths or name not in named:
      continue
    other = by_last_part.setdefault(name, video)
    if other != video:
      raise UserError(
        f"{path}: {name!r} may be {other!r} or {video!r}; expected the path"
        " below the input folder, without ending"
      )
    found[video] = name
  return found
