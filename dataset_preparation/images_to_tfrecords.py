r"""Converts folders of images, one per video, to TFRecords.

    python -m dataset_preparation.images_to_tfrecords --name squats_train \
      --dir ~/frames --vid_list ~/train.txt --label_file ~/labels.csv --fps 30

JPEGs of the right size are copied byte for byte.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from core import command_line, files
from core.errors import UserError
from dataset_preparation import build_records, preparation_flags
from dataset_preparation.labels import csv_tables
from media import frame_flags, image_folders

# Name, which is the path below the folder of all -> path.
Folders = dict[str, pathlib.Path]


def find_folders(
  root: str | os.PathLike,
  vid_list: str | os.PathLike | None = None,
  endings: Sequence[str] = image_folders.ENDINGS,
) -> Folders:
  """Find the folders of images.

  Args:
    root: Folder that holds them.
    vid_list: Text file that lists their names, one per line, in the order of
      the records; empty lines and lines that start with # are skipped. None
      takes all folders that hold images, in natural order.
    endings: Endings of the images' names, lower case.

  Returns:
    Name, which is the path below `root` -> path.

  Raises:
    UserError: The folder or the list is missing, nothing is found, or a folder
      of the list is missing or listed twice.
  """
  root = pathlib.Path(root)
  if not root.is_dir():
    raise UserError(
      f"{root}: expected a folder that holds a folder of images per video,"
      " received no folder; correct --dir"
    )
  if vid_list is not None:
    return _read_list(root, pathlib.Path(vid_list))
  found = {
    folder.relative_to(root).as_posix(): folder
    for folder in files.walk_folders(root)
    if folder != root and image_folders.list_images(folder, endings)
  }
  if not found:
    raise UserError(
      f"{root}: expected folders of images ({', '.join(endings)}), received"
      " none; correct --dir or --extension"
    )
  names = sorted(found, key=image_folders.natural_order)
  return {name: found[name] for name in names}


def _read_list(root: pathlib.Path, vid_list: pathlib.Path) -> Folders:
  text = csv_tables.read_text(vid_list, "vid_list")
  found: Folders = {}
  for number, line in enumerate(text.splitlines(), start=1):
    name = line.strip().strip("/")
    if not name or name.startswith("#"):
      continue
    if name in found or not (root / name).is_dir():
      raise UserError(
        f"{vid_list}: line {number}: expected a folder in {root} that isn't"
        f" listed before, received {name!r}; correct or remove it"
      )
    found[name] = root / name
  if not found:
    raise UserError(
      f"{vid_list}: expected the name of a folder per line, received none; add"
      " some, or leave --vid_list away"
    )
  return found


def describe_left_out(
  folders: Mapping[str, pathlib.Path], endings: Sequence[str]
) -> list[str]:
  """Describe files in the folders that don't count as images.

  Args:
    folders: From `find_folders`.
    endings: Endings of the images' names, lower case.

  Returns:
    A line of text, or nothing.
  """
  others = [
    f"{name}/{path.name}"
    for name, folder in folders.items()
    for path in image_folders.list_folder(folder)
    if path.is_file()
    and path.suffix.lower() not in endings
    and not path.name.startswith(".")
  ]
  reason = "files have no --extension and are left out"
  return build_records.describe_left_out(others, reason)


def main() -> None:
  """Convert the folders that the flags name."""
  args = flags.FLAGS
  endings = tuple(f".{name.lower().strip('.*')}" for name in args.extension)
  encoding = frame_flags.get()
  encoding = dataclasses.replace(encoding, image_endings=endings)
  folders = find_folders(args.dir, args.vid_list, endings)
  others = describe_left_out(folders, endings)
  preparation_flags.build_and_report(folders, encoding, others)


if __name__ == "__main__":
  preparation_flags.define_all_flags()
  flags.DEFINE_alias("vids_per_shard", "files_per_shard")
  command_line.define_path(
    "dir", None, "Folder that holds a folder of images a video.", required=True
  )
  command_line.define_path(
    "vid_list",
    None,
    "Text file of the folders' names, one a line; none = all folders.",
  )
  flags.DEFINE_list(
    "extension",
    [ending.strip(".") for ending in image_folders.ENDINGS],
    "Endings of the images' names.",
  )
  command_line.run(main)
