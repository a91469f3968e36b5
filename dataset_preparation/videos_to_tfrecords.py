r"""Converts a folder of videos to TFRecords.

    python -m dataset_preparation.videos_to_tfrecords --name pouring_train \
      --input_dir ~/videos/train --label_file ~/videos/labels.json

Each video becomes one record. This is the only step for unlabeled videos; with
a label file, each frame gets the label of its phase.
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
from dataset_preparation import build_records, preparation_flags, video_names
from media import frame_flags
from media.image_folders import natural_order

FILE_PATTERNS = tuple(f"*{ending}" for ending in video_names.ENDINGS)


def find_videos(
  folder: str | os.PathLike, patterns: Sequence[str] = FILE_PATTERNS
) -> dict[str, pathlib.Path]:
  """Find the videos in a folder and its subfolders, following links.

  Args:
    folder: The folder.
    patterns: Patterns of file names, case-insensitive.

  Returns:
    Name -> path, `v2` before `v10`. The name is the path below the folder
    without ending, such as `kitchen/v2`. Files and folders that start with a
    dot are left out.

  Raises:
    UserError: The folder is missing, nothing matches, two files differ only in
      their endings, or a link leads to a folder that is searched already.
  """
  folder = pathlib.Path(folder)
  named = name_files(list_files(folder), folder, patterns)
  return {name: folder / path for name, path in named.items()}


def list_files(folder: str | os.PathLike) -> list[str]:
  """List the files in a folder and its subfolders; see `find_videos`.

  Args:
    folder: The folder.

  Returns:
    Paths below the folder, in natural order.

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
  paths = [
    path.relative_to(folder).as_posix()
    for each in files.walk_folders(folder)
    for path in each.iterdir()
    # A link to nothing is no folder either; its conversion reports it.
    if not path.is_dir() and not path.name.startswith(".")
  ]
  return sorted(paths, key=natural_order)


def name_files(
  paths: Iterable[str], folder: str | os.PathLike, patterns: Sequence[str]
) -> dict[str, str]:
  """Choose the videos among files, and name their records.

  Args:
    paths: Paths below the folder.
    folder: The folder, for messages.
    patterns: Patterns of file names, case-insensitive.

  Returns:
    Name -> path, in the order of `paths`.

  Raises:
    UserError: Nothing matches, or two files would have the same name.
  """
  named: dict[str, str] = {}
  for path in filter(lambda path: _matches(path, patterns), paths):
    name = os.path.splitext(path)[0]
    other = named.setdefault(name, path)
    if other != path:
      raise UserError(
        f"{folder}: expected one video for the record {name!r}, received"
        f" {other} and {path}; rename one or choose by --file_pattern"
      )
  if not named:
    raise UserError(
      f"{folder}: expected videos that match {', '.join(patterns)}, received"
      " none; correct --input_dir or --file_pattern"
    )
  return named


def describe_left_out(
  paths: Iterable[str], patterns: Sequence[str]
) -> list[str]:
  """Describe the files that match no pattern, in one line or none."""
  others = [path for path in paths if not _matches(path, patterns)]
  reason = "files match no --file_pattern and are left out"
  return build_records.describe_left_out(others, reason)


def _matches(path: str, patterns: Sequence[str]) -> bool:
  title = path.rpartition("/")[2].lower()
  return any(fnmatch.fnmatch(title, pattern.lower()) for pattern in patterns)


def define_flags() -> None:
  """Define all flags of this command."""
  preparation_flags.define_all_flags()
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
  """Convert the videos that the flags name."""
  args = flags.FLAGS
  encoding = frame_flags.get()
  videos = find_videos(args.input_dir, args.file_pattern)
  others = describe_left_out(list_files(args.input_dir), args.file_pattern)
  preparation_flags.build_and_report(videos, encoding, others)


# Flags are defined here, so that importing several commands doesn't clash.
if __name__ == "__main__":
  define_flags()
  command_line.run(main)
