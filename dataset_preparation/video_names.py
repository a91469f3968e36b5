"""Names of videos in tables: the whole path, or its last part alone.

A name may have the ending of the video's file. Annotation tools write where the
video was for them: a URL, or a path on some computer.
"""

import os
import re
import unicodedata
import urllib.parse
from collections.abc import Collection

from core.errors import UserError

# Endings of files that FFmpeg reads as videos, in lower case.
_ENDINGS = (
  ".mp4 .m4v .mov .qt .3gp .3g2 .f4v .flv .avi .divx .mkv .webm .ogv .ogm .wmv"
  " .asf .mpg .mpeg .mpe .m2v .mp2v .vob .ts .mts .m2ts .m2t .mxf .gif .avif"
  " .dv .rm .rmvb .nut .y4m .ivf .mjpeg .mjpg .h264 .264 .h265 .265 .hevc"
)
ENDINGS = tuple(_ENDINGS.split())
# How URLs and paths begin that are not below the input folder.
_PLACE = re.compile(r"\w+:|\.{0,2}[/\\]")


def compose(name: str) -> str:
  """Write every accented letter as one character (Unicode's NFC).

  Disks and editors write such a letter as one character or as two.
  """
  return unicodedata.normalize("NFC", name)


def make_place(path: str) -> str:
  """Mark a path as one from another folder: `./path`, if it has folders."""
  is_path = re.search(r"[/\\]", path) and not _PLACE.match(path)
  return f"./{path}" if is_path else path


def match_names(
  videos: Collection[str], named: Collection[str], path: str | os.PathLike
) -> dict[str, str]:
  r"""Find the name under which a table lists each video.

  Args:
    videos: Names of all videos: their paths below the input folder, without
      ending.
    named: Names in the table, composed. Each is such a path or, if no video has
      it, the last part of one; if neither fits, with one of `ENDINGS`. Of a
      place elsewhere (a URL, `/path`, `C:\path`, `./path`) the last parts
      count, at last without the prefix that Label Studio gives to uploads.
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
  steps = (lambda name: [name], _remove_ending, _list_ends, _remove_prefix)
  for list_keys in steps:
    for candidates in (whole, last_parts):
      for name in sorted(set(named) - set(found.values())):
        key = next((key for key in list_keys(name) if key in candidates), None)
        matches = candidates.get(key, [])
        left = [video for video in matches if video not in found]
        if len(left) > 1:
          raise UserError(
            f"{path}: expected a path below the input folder, received"
            f" {name!r}, which may be {left[0]!r} or {left[1]!r}; correct it"
          )
        for other in {found[v] for v in matches if v in found}:
          if not left and key in list_keys(other):
            raise UserError(
              f"{path}: expected each video once, without ending, received"
              f" {other!r} and {name!r}; remove one"
            )
        found |= dict.fromkeys(left, name)
  return found


def _remove_ending(name: str) -> list[str]:
  short, ending = os.path.splitext(name)
  return [short] if ending.lower() in ENDINGS else []


def _list_ends(name: str) -> list[str]:
  """List what a place may be below the input folder, the longest first."""
  if not _PLACE.match(name):
    return []
  # A query follows, unless it is Label Studio's for files of its computer.
  place = urllib.parse.unquote(re.sub(r"\?(?!d=).*", "", name))
  parts = re.split(r"[/\\]|\?d=", compose(place))
  ends = ["/".join(parts[i:]) for i in range(1, len(parts))]
  return [key for end in ends for key in _remove_ending(end) or [end]]


def _remove_prefix(name: str) -> list[str]:
  """Remove 8 hexadecimal digits and a dash."""
  last = (_list_ends(name) or _remove_ending(name) or [name])[-1]
  return re.findall("^[0-9a-f]{8}-(.*)$", last)
