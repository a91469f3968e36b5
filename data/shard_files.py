"""The files that hold the records of a split: names, order, completeness."""

import difflib
import os
import pathlib
import re

from core.errors import UserError

_SHARD = re.compile(r"(?P<name>.+)-(?P<index>\d+)-of-(?P<count>\d+)\.tfrecord")


def records_folder(
  path_to_tfrecords: str | os.PathLike, dataset: str
) -> pathlib.Path:
  """Return the folder of a data set's records, which may not exist.

  Args:
    path_to_tfrecords: A path in which `%s` stands for the data set's name, such
      as `/tmp/%s_tfrecords/`; without `%s` it is the folder itself.
    dataset: Name of the data set.

  Returns:
    The folder.
  """
  path = os.fspath(path_to_tfrecords).replace("%s", dataset)
  return pathlib.Path(path).expanduser()


def parse_set_name(name: str) -> tuple[str, str]:
  """Split a name `<dataset>_<split>` at its last underscore.

  Args:
    name: Such as `baseball_pitch_train`.

  Returns:
    Data set and split, such as `baseball_pitch` and `train`.

  Raises:
    UserError: The name has another form.
  """
  if not re.fullmatch(r"[\w.-]+_[A-Za-z0-9.-]+", name):
    raise UserError(
      "--name: expected <dataset>_<split> of letters, digits, '_', '-' and '.',"
      f" received {name!r}; give a name such as pouring_train"
    )
  dataset, _, split = name.rpartition("_")
  return dataset, split


def list_record_files(
  path_to_tfrecords: str | os.PathLike,
  dataset: str,
  split: str,
  per_class: bool = False,
) -> list[pathlib.Path]:
  """List the record files of a split.

  Args:
    path_to_tfrecords: Folder of the records, see `records_folder`.
    dataset: Name of the data set.
    split: Name of the split.
    per_class: Whether to take every record file of the folder that has `split`
      in its name, for a folder that holds one class a file.

  Returns:
    The files `<dataset>_<split>-<i>-of-<n>.tfrecord`, in the order of i; with
    `per_class`, those that match `*<split>*`, by name.

  Raises:
    UserError: There are none, some of the n are missing, or files of several
      conversions lie side by side.
  """
  folder = records_folder(path_to_tfrecords, dataset)
  name = f"{dataset}_{split}"
  if per_class:
    pattern = f"*{split}*.tfrecord*"
    paths = [path for path in _list_files(folder) if path.match(pattern)]
  else:
    pattern = f"{name}-*-of-*.tfrecord"
    paths = list_shards(folder, name)
  if not paths:
    others = [p.name for p in _list_files(folder) if ".tfrecord" in p.name]
    near = difflib.get_close_matches(f"{name}-0-of-1.tfrecord", others, n=1)
    raise UserError(
      f"{folder / pattern}: expected records, received none"
      f"{f', but {near[0]}' if near else ''}; make them with `python -m"
      f" dataset_preparation.videos_to_tfrecords --name {name} --input_dir"
      f" VIDEOS --output_dir {folder}`, or correct PATH_TO_TFRECORDS, the data"
      " set's name, the split or the files' names"
    )
  _check_complete(folder, paths)
  return sorted(paths, key=_shard_order)


def list_shards(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
  """List the files named as shards of `<dataset>_<split>`, complete or not."""
  return [path for path in _list_files(folder) if _set_name(path) == name]


def list_splits(folder: pathlib.Path, dataset: str) -> set[str]:
  """List the splits of a data set of which a folder holds shards."""
  names = (_set_name(path).rpartition("_") for path in _list_files(folder))
  return {split for found, _, split in names if found == dataset}


def _list_files(folder: pathlib.Path) -> list[pathlib.Path]:
  if not folder.is_dir():
    return []
  # Names that start with a dot are files that are being written.
  return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _set_name(path: pathlib.Path) -> str:
  """Return the name `<dataset>_<split>` of a shard; empty for other files."""
  match = _SHARD.fullmatch(path.name)
  return match["name"] if match else ""


def _shard_order(path: pathlib.Path) -> tuple[str, int]:
  match = _SHARD.fullmatch(path.name)
  return (match["name"], int(match["index"])) if match else (path.name, 0)


def _check_complete(folder: pathlib.Path, paths: list[pathlib.Path]) -> None:
  """Raise a UserError if the shards of a name are not exactly one whole set."""
  found: dict[str, dict[int, set[int]]] = {}
  for match in filter(None, (_SHARD.fullmatch(path.name) for path in paths)):
    sets = found.setdefault(match["name"], {})
    sets.setdefault(int(match["count"]), set()).add(int(match["index"]))
  for name, sets in found.items():
    if len(sets) > 1:
      raise UserError(
        f"{folder}: expected one set of {name}, received several, of"
        f" {' and of '.join(map(str, sorted(sets)))} files; remove the others"
      )
    [(count, indices)] = sets.items()
    missing = sorted(set(range(count)) - indices)
    if missing:
      raise UserError(
        f"{folder}: expected {count} files {name}-*-of-{count}.tfrecord,"
        f" received all but number {', '.join(map(str, missing))}; convert or"
        " download them again"
      )
