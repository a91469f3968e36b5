"""Names of videos in tables: the whole path, or its last part alone.

A name may have the ending of the video's file.
"""

import os
import unicodedata
from collections.abc import Collection

from core.errors import UserError

# Endings of files that FFmpeg reads as videos, in lower case.
_ENDINGS = (
  ".mp4 .m4v .mov .qt .3gp .3g2 .f4v .flv .avi .divx .mkv .webm .ogv .ogm .wmv"
  " .asf .mpg .mpeg .mpe .m2v .mp2v .vob .ts .mts .m2ts .m2t .mxf .gif .dv .rm"
  " .rmvb .nut .y4m .ivf .mjpeg .mjpg .h264 .264 .h265 .265 .hevc"
)
ENDINGS = tuple(_ENDINGS.split())


def compose(name: str) -> str:
  """Write every accented letter as one character (Unicode's NFC).

  Disks and editors write such a letter as one character or as two.
  """
  return unicodedata.normalize("NFC", name)


def match_names(
  videos: Collection[str], named: Collection[str], path: str | os.PathLike
) -> dict[str, str]:
  """Find the name under which a table lists each video.

  Args:
    videos: Names of all videos: their paths below the input folder, without
      ending.
    named: Names in the table, composed. Each is such a path or, if no video has
      it, the last part of one; if neither fits, with one of `ENDINGS`.
    path: The table, for messages.

  Returns:
    Name of a video -> its name in the table, for the videos that it lists.

  Raises:
    UserError: A name is the last part of several videos, or a video is listed
      with two endings.
  """
  whole = {compose(video): [video] for video in videos}
  last_parts: dict[str, list[str]] = {}
  for name, [video] in whole.items():
    last_part = name.rpartition("/")[2]
    if last_part not in whole:
      last_parts.setdefault(last_part, []).append(video)
  found: dict[str, str] = {}
  for shorten in (str, _remove_ending):
    for candidates in (whole, last_parts):
      for name in sorted(set(named) - set(found.values())):
        key = shorten(name)
        matches = candidates.get(key, [])
        left = [video for video in matches if video not in found]
        if len(left) > 1:
          raise UserError(
            f"{path}: expected a path below the input folder, received"
            f" {name!r}, which may be {left[0]!r} or {left[1]!r}; correct it"
          )
        for other in {found[v] for v in matches if v in found}:
          if not left and shorten(other) == key:
            raise UserError(
              f"{path}: expected each video once, without ending, received"
              f" {other!r} and {name!r}; remove one"
            )
        found |= dict.fromkeys(left, name)
  return found


def _remove_ending(name: str) -> str:
  short, ending = os.path.splitext(name)
  return short if ending.lower() in ENDINGS else ""
