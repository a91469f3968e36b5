"""Names of videos in tables: in full, or their last part alone."""

import os
from collections.abc import Collection

from errors import UserError


def in_table(
  videos: Collection[str], named: Collection[str], path: str | os.PathLike
) -> dict[str, str]:
  """Finds the videos that a table names.

  Args:
    videos: Names of all videos: their paths below the input folder, without
      ending.
    named: Names in the table: such a path or, where no video has it, the last
      part of one.
    path: The table, for messages.

  Returns:
    Name of a video -> its name in the table; without those it does not name.

  Raises:
    UserError: A name is that of no video, or the last part of several.
  """
  by_last_part: dict[str, list[str]] = {}
  for video in videos:
    by_last_part.setdefault(video.rpartition("/")[2], []).append(video)
  found = {name: name for name in named if name in videos}
  for name in named:
    if name in found:
      continue
    meant = [v for v in by_last_part.get(name, ()) if v not in named]
    if not meant:
      raise UserError(
        f"{path}: {name!r} is none of the {len(videos)} videos; expected names"
        f" such as {next(iter(videos))!r}, correct or remove it"
      )
    if len(meant) > 1:
      raise UserError(
        f"{path}: {name!r} may be {meant[0]!r} or {meant[1]!r}; expected the"
        " path below the input folder, without ending"
      )
    found[meant[0]] = name
  return found
