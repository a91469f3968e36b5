r"""Converts a folder of videos to TFRecords.

    python -m dataset_preparation.videos_to_tfrecords --name pouring_train \
      --input_dir ~/videos/train --label_file ~/videos/labels.json

Each video becomes one record. The first and only step for unlabeled videos;
with a label file each frame gets the label of its phase.
"""

import fnmatch
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from core import command_line, files
from core.errors import UserError
from dataset_preparation import preparation_flags, video_names
from media.image_folders import natural_order

FILE_PATTERNS = tuple(f"*{ending}" for ending in video_names.ENDINGS)


def find_videos(
  folder: str | os.PathLike, patterns: Sequence[str] = FILE_PATTERNS
) -> dict[str, pathlib.Path]:
  """Finds the videos of a folder and of the folders in it or linked to.

  Args:
    folder: The folder.
    patterns: Patterns of file names, upper or lower case alike.

  Returns:
    Name -> path, `v2` before `v10`. The name is the path below the folder
    without ending, such as `kitchen/v2`. Files and folders that start with a
    dot are left out.

  Raises:
    UserError: The folder is missing, nothing matches, two files differ in
      nothing but their endings, by which records are not named, or a link
      leads to a folder that is searched already.
  """
  folder = pathlib.Path(folder)
  named = by_name(list_files(folder), folder, patterns)
  return {name: folder / path for name, path in named.items()}


def list_files(folder: str | os.PathLike) -> list[str]:
  """Lists the files of a folder and of the folders in it, see `find_videos`.

  Args:
    folder: The folder.

  Returns:
    Their paths below the folder.

  Raises:
    UserError: The folder is missing, or a link leads to one that is searched
      already.
  """
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise UserError(
      f"{folder}: expected a folder of videos, received no folder; correct"
      " --input_dir"
    )
  return [
    path.relative_to(folder).as_posix()
    for each in files.walk_folders(folder)
    for path in each.iterdir()
    # A link to nothing is no folder either: its conversion tells.
    if not path.is_dir()
  ]


def by_name(
  paths: Iterable[str], folder: str | os.PathLike, patterns: Sequence[str]
) -> dict[str, str]:
  """Chooses and names the files of a folder, see `find_videos`.

  Args:
    paths: Paths below the folder.
    folder: The folder, for messages.
    patterns: Patterns of file names, upper or lower case alike.

  Returns:
    Name -> path, in natural order.

  Raises:
    UserError: Nothing matches, or two files would have the same name.
  """
  named: dict[str, str] = {}
  for path in sorted(filter(_is_shown, paths), key=natural_order):
    if not _matches(path, patterns):
      continue
    name = os.path.splitext(path)[0]
    other = named.setdefault(name, path)
    if other != path:
      raise UserError(
        f"{folder}: {other} and {path} would both be records named {name!r};"
        " rename one or choose by --file_pattern"
      )
  if not named:
    raise UserError(
      f"{folder}: found no videos that match {', '.join(patterns)}; correct"
      " --input_dir or --file_pattern"
    )
  return named


def left_out(paths: Iterable[str], patterns: Sequence[str]) -> list[str]:
  """What to tell of the files that `by_name` leaves out for their names.

  Args:
    paths: Paths below the folder.
    patterns: Patterns of file names, upper or lower case alike.

  Returns:
    A line of text, where there are any.
  """
  others = [p for p in paths if _is_shown(p) and not _matches(p, patterns)]
  if not others:
    return []
  return [
    f"{len(others)} files match no --file_pattern and are left out, the first"
    f" is {min(others, key=natural_order)}"
  ]


def _matches(path: str, patterns: Sequence[str]) -> bool:
  title = path.rpartition("/")[2].lower()
  return any(fnmatch.fnmatch(title, pattern.lower()) for pattern in patterns)


def _is_shown(path: str) -> bool:
  return not any(part.startswith(".") for part in path.split("/"))


def define_flags() -> None:
  """Defines the flags on which files are videos."""
  command_line.define_path(
    "input_dir",
    None,
    "Folder of the videos; folders in it are searched too.",
    required=True,
  )
  flags.DEFINE_list(
    "file_pattern",
    list(FILE_PATTERNS),
    "Patterns of the videos' names, upper or lower case alike.",
  )


def main() -> None:
  """Prepares the videos that the flags name."""
  args = flags.FLAGS
  preparation_flags.run(
    find_videos(args.input_dir, args.file_pattern),
    preparation_flags.storing(),
    left_out(list_files(args.input_dir), args.file_pattern),
  )


# Only here, so that another script's tests can import both.
if __name__ == "__main__":
  preparation_flags.define()
  flags.adopt_module_key_flags(preparation_flags)
  define_flags()
  command_line.run(main)
