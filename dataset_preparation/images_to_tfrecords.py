r"""Converts folders of images, one a video, to TFRecords.

    python -m dataset_preparation.images_to_tfrecords --name squats_train \
      --dir ~/frames --vid_list ~/train.txt --label_file ~/labels.csv --fps 30

JPEGs that have the right size already are copied byte for byte.
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
from dataset_preparation import preparation_flags
from media import image_folders


def find_folders(
  root: str | os.PathLike,
  vid_list: str | os.PathLike | None = None,
  endings: Sequence[str] = image_folders.ENDINGS,
) -> dict[str, pathlib.Path]:
  """Finds the folders of images.

  Args:
    root: Folder that holds them.
    vid_list: Text file that lists their names, one a line, in the order of the
      records; empty lines and those that start with # are passed over. None =
      all folders that hold images, in natural order.
    endings: Of the images' names, lower case.

  Returns:
    Name, which is the path below `root` -> path.

  Raises:
    UserError: The folder or the list is missing, nothing is found, or a folder
      of the list is missing or listed twice.
  """
  root = pathlib.Path(root)
  if not root.is_dir():
    raise UserError(
      f"{root}: expected a folder that holds a folder of images a video,"
      " received no folder; correct --dir"
    )
  if vid_list is not None:
    return _listed(root, pathlib.Path(vid_list))
  found = {
    folder.relative_to(root).as_posix(): folder
    for folder in files.walk_folders(root)
    if folder != root and image_folders.files(folder, endings)
  }
  if not found:
    raise UserError(
      f"{root}: found no folder of images ({', '.join(endings)}) in it; correct"
      " --dir or --extension"
    )
  return {
    key: found[key] for key in sorted(found, key=image_folders.natural_order)
  }


def _listed(
  root: pathlib.Path, vid_list: pathlib.Path
) -> dict[str, pathlib.Path]:
  try:
    lines = vid_list.read_text(encoding="utf-8-sig").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(
      f"{vid_list}: can't read the list of videos ({error}); correct --vid_list"
    ) from error
  found = {}
  for number, line in enumerate(lines, start=1):
    name = line.strip().strip("/")
    if not name or name.startswith("#"):
      continue
    where = f"{vid_list}: line {number}"
    if name in found:
      raise UserError(f"{where} lists {name!r} again; expected each video once")
    if not (root / name).is_dir():
      raise UserError(
        f"{where} lists {name!r}, expected a folder in {root}; correct it"
      )
    found[name] = root / name
  if not found:
    raise UserError(f"{vid_list}: lists no videos; expected one a line")
  return found


def left_out(
  folders: Mapping[str, pathlib.Path], endings: Sequence[str]
) -> list[str]:
  """What to tell of files in the folders that count as no images.

  Args:
    folders: As `find_folders` returns them.
    endings: Of the images' names, lower case.

  Returns:
    A line of text, where there are any.
  """
  others = [
    f"{name}/{path.name}"
    for name, folder in folders.items()
    for path in image_folders.listed(folder)
    if path.is_file()
    and path.suffix.lower() not in endings
    and not path.name.startswith(".")
  ]
  if not others:
    return []
  return [
    f"{len(others)} files have no --extension and are left out, the first is"
    f" {others[0]}"
  ]


def main() -> None:
  """Prepares the folders that the flags name."""
  args = flags.FLAGS
  endings = tuple(f".{name.lower().strip('.*')}" for name in args.extension)
  folders = find_folders(args.dir, args.vid_list, endings)
  preparation_flags.run(
    folders,
    dataclasses.replace(preparation_flags.storing(), image_endings=endings),
    left_out(folders, endings),
  )


if __name__ == "__main__":
  preparation_flags.define()
  flags.adopt_module_key_flags(preparation_flags)
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
