"""What a folder of TFRecords says about itself: files, counts, class names.

`dataset.json` beside the records of a data set holds

    {"format_version": 1, "dataset": "pouring",
     "class_names": ["start to hand touches bottle", ...],
     "splits": {"train": {"num_videos": 70, "num_frames": 13300, "fps": 30.0}}}

The preparation scripts write it; class names may be edited by hand and are
kept. Where it is missing, as beside records that others made, the same facts
are found by reading the records.
"""

import dataclasses
import difflib
import json
import os
import pathlib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from core.errors import UserError
from core.files import atomic_write, locked

FILE_NAME = "dataset.json"
FORMAT_VERSION = 1

_SHARD = re.compile(r"(?P<name>.+)-(?P<index>\d+)-of-(?P<count>\d+)\.tfrecord")

# The events that part the phases of the paper's data sets (its table 4): n
# events part n + 1 phases.
KEY_EVENTS = {
  "pouring": (
    "hand touches bottle",
    "liquid starts exiting",
    "pouring complete",
    "bottle back on table",
  ),
  "baseball_pitch": ("knee fully up", "arm fully stretched", "ball release"),
  "baseball_swing": ("bat swung back fully", "bat hits ball"),
  "bench_press": ("bar fully down",),
  "bowling": ("ball swung fully back", "ball release"),
  "clean_and_jerk": (
    "bar at hip",
    "fully squatting",
    "standing",
    "begin thrusting",
    "beginning balance",
  ),
  "golf_swing": ("stick fully back", "stick hits ball"),
  "jumping_jacks": (
    "hands at shoulder (up)",
    "hands above head",
    "hands at shoulder (down)",
  ),
  "pullups": ("chin above bar",),
  "pushups": ("head at floor",),
  "situp": ("abs fully crunched",),
  "squats": ("hips at knees (down)", "hips at floor", "hips at knees (up)"),
  "tennis_forehand": ("racket fully back", "racket touches ball"),
  "tennis_serve": (
    "ball released",
    "racket fully back",
    "ball touches racket",
  ),
}


@dataclasses.dataclass(frozen=True)
class SplitInfo:
  """What one split holds.

  Attributes:
    num_videos: Number of videos.
    num_frames: Number of frames of all videos.
    fps: Frames per second, on average over the videos; None if unknown.
    phases: Frames of each phase, by its number as text; empty without labels.
    videos: What became of each video, see `conversion.Report`; empty if the
      records are not ours.
    skipped: `name` and `reason` of each video that could not be converted.
  """

  num_videos: int
  num_frames: int
  fps: float | None = None
  phases: dict[str, int] = dataclasses.field(default_factory=dict)
  videos: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)

  @property
  def num_labels(self) -> int:
    """The largest label of a frame plus one; 0 without labels."""
    return max((int(phase) + 1 for phase in self.phases), default=0)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
  """What a data set holds.

  Attributes:
    class_names: Name of each phase, in the order of the labels of frames; empty
      if the frames have no labels.
    splits: The splits by name, such as `train` and `val`.
  """

  class_names: tuple[str, ...]
  splits: dict[str, SplitInfo]


def records_folder(path_to_tfrecords: str, dataset: str) -> pathlib.Path:
  """Folder of a data set's records.

  Args:
    path_to_tfrecords: A path in which `%s` stands for the data set's name, such
      as `/tmp/%s_tfrecords/`; without `%s` it is the folder itself.
    dataset: Name of the data set.

  Returns:
    The folder, which may not exist.
  """
  path = os.fspath(path_to_tfrecords)
  return pathlib.Path(os.path.expanduser(path.replace("%s", dataset)))


def split_name(name: str) -> tuple[str, str]:
  """Splits a name `<dataset>_<split>` at its last underscore.

  Args:
    name: Such as `baseball_pitch_train`.

  Returns:
    Data set and split, such as `baseball_pitch` and `train`.

  Raises:
    UserError: The name has another form.
  """
  if not re.fullmatch(r"[\w.-]+_[A-Za-z0-9.-]+", name):
    raise UserError(
      f"--name: expected <dataset>_<split>, such as pouring_train, of letters,"
      f" digits, '_', '-' and '.'; received {name!r}"
    )
  dataset, _, split = name.rpartition("_")
  return dataset, split


def class_names(dataset: str, num_labels: int) -> tuple[str, ...]:
  """Names of the phases of a data set.

  Args:
    dataset: Name of the data set. The phases of those of the paper are known
      and named after the events between which they lie.
    num_labels: Largest label of a frame that was seen, plus one; 0 if none was.

  Returns:
    One name a phase; `phase 0`, `phase 1`, ... if the data set is not known or
    has more labels than it should have.
  """
  events = KEY_EVENTS.get(dataset)
  if events is None or num_labels > len(events) + 1:
    return _padded((), num_labels)
  starts, ends = ("start", *events), (*events, "end")
  return tuple(f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def _padded(names: Sequence[str], number: int) -> tuple[str, ...]:
  """Names of at least so many phases."""
  return (*names, *(f"phase {label}" for label in range(len(names), number)))


def are_given(dataset: str, names: Sequence[str]) -> bool:
  """Whether somebody gave these names, other than `class_names` would."""
  return bool(names) and tuple(names) != class_names(dataset, len(names))


def names_of_classes(path_to_tfrecords: str, dataset: str) -> tuple[str, ...]:
  """Names of the phases as far as they are known without reading records.

  Args:
    path_to_tfrecords: Folder of the records, see `records_folder`.
    dataset: Name of the data set.

  Returns:
    Those of `dataset.json`; where it is missing, those of the known data set;
    empty for any other.
  """
  stored = read_file(records_folder(path_to_tfrecords, dataset), dataset)
  return stored.class_names if stored else class_names(dataset, 0)


def record_paths(
  path_to_tfrecords: str, dataset: str, split: str, per_class: bool = False
) -> list[str]:
  """Finds the record files of a split.

  Args:
    path_to_tfrecords: Folder of the records, see `records_folder`.
    dataset: Name of the data set.
    split: Name of the split.
    per_class: Whether to take every record file of the folder that has `split`
      in its name, for a folder that holds one class a file.

  Returns:
    Paths of the files `<dataset>_<split>-<i>-of-<n>.tfrecord`, in the order of
    i; with `per_class`, those that match `*<split>*`, by name.

  Raises:
    UserError: There are none, some of the n are missing, or files of several
      conversions lie side by side.
  """
  folder = records_folder(path_to_tfrecords, dataset)
  name = f"{dataset}_{split}"
  if per_class:
    pattern = f"*{split}*.tfrecord*"
    paths = [path for path in _files(folder) if path.match(pattern)]
  else:
    pattern = f"{name}-*-of-*.tfrecord"
    paths = [path for path in _files(folder) if _set_name(path) == name]
  if not paths:
    raise UserError(
      f"{folder / pattern}: found no such records{_near_miss(folder, name)};"
      " make them with `python -m dataset_preparation.videos_to_tfrecords"
      f" --name {name} --input_dir VIDEOS --output_dir {folder}`, or correct"
      " PATH_TO_TFRECORDS, the data set's name, the split or the files' names"
    )
  _check_complete(folder, paths)
  return [str(path) for path in sorted(paths, key=_shard_order)]


def _near_miss(folder: pathlib.Path, name: str) -> str:
  """Says which record file has nearly the name that is looked for, if any."""
  others = [p.name for p in _files(folder) if ".tfrecord" in p.name]
  near = difflib.get_close_matches(f"{name}-0-of-1.tfrecord", others, n=1)
  return f", but {near[0]}" if near else ""


def shard_paths(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
  """All files of a folder named as shards of `name`, whatever their number."""
  return [path for path in _files(folder) if _set_name(path) == name]


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
  if not folder.is_dir():
    return []
  # Names that start with a dot are files that are being written.
  return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _set_name(path: pathlib.Path) -> str | None:
  match = _SHARD.fullmatch(path.name)
  return match["name"] if match else None


def _shard_order(path: pathlib.Path) -> tuple[str, int]:
  match = _SHARD.fullmatch(path.name)
  return (match["name"], int(match["index"])) if match else (path.name, 0)


def _check_complete(
  folder: pathlib.Path, paths: Iterable[pathlib.Path]
) -> None:
  """Raises a UserError if `paths` are not all shards of one set a name."""
  found: dict[str, dict[int, list[int]]] = {}
  for match in filter(None, (_SHARD.fullmatch(path.name) for path in paths)):
    counts = found.setdefault(match["name"], {})
    counts.setdefault(int(match["count"]), []).append(int(match["index"]))
  for name, counts in found.items():
    if len(counts) > 1:
      raise UserError(
        f"{folder}: {name} lies there in several sets, of"
        f" {' and of '.join(map(str, sorted(counts)))} files; expected one,"
        " remove the files of the others"
      )
    [(count, indices)] = counts.items()
    missing = sorted(set(range(count)) - set(indices))
    if missing:
      raise UserError(
        f"{folder}: of the {count} files {name}-*-of-{count}.tfrecord number"
        f" {', '.join(map(str, missing))} is missing; convert or download them"
        " again"
      )


def read(path_to_tfrecords: str, dataset: str) -> DatasetInfo:
  """Says what a data set holds.

  A split that `dataset.json` does not name is counted by reading its records,
  and the classes are those of the known data set or else of the labels.

  Args:
    path_to_tfrecords: Folder of the records, see `records_folder`.
    dataset: Name of the data set.

  Returns:
    Class names, and the splits whose records are in the folder or that
    `dataset.json` names.

  Raises:
    UserError: `dataset.json` or a record is damaged, or there is nothing.
  """
  # Here, for it loads TensorFlow, and those who prepare videos do without.
  from data import record_index

  folder = records_folder(path_to_tfrecords, dataset)
  stored = read_file(folder, dataset)
  splits = dict(stored.splits) if stored else {}
  num_labels = 0
  for split in _splits_in(folder, dataset) - splits.keys():
    paths = record_paths(path_to_tfrecords, dataset, split)
    splits[split] = record_index.count(paths)
    num_labels = max(num_labels, splits[split].num_labels)
  if not splits:
    record_paths(path_to_tfrecords, dataset, "train")  # Says what is missing.
  if stored and stored.class_names:
    names = _padded(stored.class_names, num_labels)
  else:
    names = class_names(dataset, num_labels)
  return DatasetInfo(names, dict(sorted(splits.items())))


def _splits_in(folder: pathlib.Path, dataset: str) -> set[str]:
  names = (_set_name(path) or "" for path in _files(folder))
  parts = (name.rpartition("_") for name in names)
  return {split for before, _, split in parts if before == dataset}


def read_file(folder: pathlib.Path, dataset: str) -> DatasetInfo | None:
  """Reads `dataset.json` of a folder.

  Args:
    folder: Folder of the records.
    dataset: Name of the data set that the file has to be about.

  Returns:
    What it says; None if there is none.

  Raises:
    UserError: It is damaged, of another version, or about another data set.
  """
  path = folder / FILE_NAME
  try:
    text = path.read_text()
  except (FileNotFoundError, NotADirectoryError):
    return None
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(
      f"{path}: can't be read ({error}); correct or remove it"
    ) from error
  return parse(text, path, dataset)


def parse(text: str, path: str | os.PathLike, dataset: str) -> DatasetInfo:
  """Reads the content of `dataset.json`.

  Args:
    text: The content.
    path: Of the file, for messages.
    dataset: Name of the data set that it has to be about.

  Returns:
    What it says.

  Raises:
    UserError: It is damaged, of another version, or about another data set.
  """
  try:
    content = json.loads(text)
  except ValueError as error:
    raise UserError(
      f"{path}: can't be read as JSON ({error}); correct or remove it"
    ) from error
  try:
    version, about = content["format_version"], content["dataset"]
    splits = {
      key: SplitInfo(**value) for key, value in content["splits"].items()
    }
    names = tuple(str(name) for name in content["class_names"])
    num_labels = max((x.num_labels for x in splits.values()), default=0)
  except (KeyError, TypeError, AttributeError, ValueError) as error:
    raise UserError(
      f"{path}: expected format_version, dataset, class_names and splits with"
      f" num_videos, num_frames and fps ({error}); correct or remove it"
    ) from error
  if version != FORMAT_VERSION:
    raise UserError(
      f"{path}: expected format_version {FORMAT_VERSION}, received {version!r};"
      " remove the file and convert the videos again"
    )
  if about != dataset:
    raise UserError(
      f"{path}: is about the data set {about!r}, expected {dataset!r}; keep one"
      f" data set a folder, such as /tmp/{dataset}_tfrecords"
    )
  # Whoever edits the names by hand may have left some out.
  named = (
    _padded(names, num_labels) if names else class_names(about, num_labels)
  )
  return DatasetInfo(named, splits)


def describe(
  name: str, info: SplitInfo, class_names: Sequence[str]
) -> list[str]:
  """Tells what a split holds.

  Args:
    name: `<dataset>_<split>`.
    info: What it holds.
    class_names: Names of the phases.

  Returns:
    Lines of text: the counts, then a line a phase.
  """
  rate = f"{info.fps:g} frames per second" if info.fps else "rate unknown"
  counts = f"{info.num_videos} videos, {info.num_frames} frames"
  lines = [f"{name}: {counts} ({rate})"]
  labeled = sum(info.phases.values())
  for phase, count in info.phases.items():
    title = class_names[int(phase)] if int(phase) >= 0 else "no phase"
    share = f"{count / labeled:.1%}"
    lines.append(f"  {phase:>2} {title}: {count} frames, {share}")
  return lines if labeled else [*lines, "  no labels of frames"]


def add_split(
  folder: pathlib.Path,
  dataset: str,
  split: str,
  info: SplitInfo,
  names: Sequence[str] = (),
) -> None:
  """Writes one split into `dataset.json`, keeping the other splits.

  Args:
    folder: Folder of the records.
    dataset: Name of the data set.
    split: Name of the split.
    info: What the split holds.
    names: Names of the phases. Where there are none, those in the file are
      kept, as they may have been edited by hand, and more are made up.

  Raises:
    UserError: The file can't be written, the old one is damaged or about
      another data set, or other splits have other names.
  """
  update(
    folder, dataset, lambda old: with_split(old, dataset, split, info, names)
  )


def drop_splits(
  folder: pathlib.Path, dataset: str, splits: Collection[str]
) -> None:
  """Takes splits out of `dataset.json`, where there is one.

  Args:
    folder: Folder of the records.
    dataset: Name of the data set.
    splits: Names of the splits; they need not be there.

  Raises:
    UserError: The file can't be written, or is damaged.
  """

  def without(old: DatasetInfo | None) -> DatasetInfo | None:
    if old is None or not old.splits.keys() & set(splits):
      return old
    left = {key: x for key, x in old.splits.items() if key not in splits}
    return DatasetInfo(old.class_names, left)

  update(folder, dataset, without)


def update(
  folder: pathlib.Path,
  dataset: str,
  change: Callable[[DatasetInfo | None], DatasetInfo | None],
) -> None:
  """Changes `dataset.json` while no other process does.

  Args:
    folder: Folder of the records.
    dataset: Name of the data set.
    change: Makes what the file shall say of what it says, None where there is
      none; where both are the same, nothing is written.

  Raises:
    UserError: The file can't be written, or the old one is damaged or about
      another data set.
  """
  path = folder / FILE_NAME
  with locked(path):
    old = read_file(folder, dataset)
    new = change(old)
    if new != old:
      with atomic_write(path) as temporary:
        temporary.write_text(to_json(dataset, new))


def with_split(
  old: DatasetInfo | None,
  dataset: str,
  split: str,
  info: SplitInfo,
  names: Sequence[str] = (),
) -> DatasetInfo:
  """Adds or replaces a split, see `add_split`; `old` is what there was."""
  check_names(old, dataset, [split], names)
  old = old or DatasetInfo((), {})
  others = {key: value for key, value in old.splits.items() if key != split}
  if names:
    labeled = any(other.num_labels for other in others.values())
    # The other splits may have phases that this one has not.
    named = (*names, *(old.class_names[len(names) :] if labeled else ()))
  elif others and old.class_names:
    named = old.class_names
  elif are_given(dataset, old.class_names):
    named = old.class_names[: info.num_labels]
  else:
    named = class_names(dataset, info.num_labels)
  return DatasetInfo(
    _padded(named, info.num_labels),
    dict(sorted({**others, split: info}.items())),
  )


def check_names(
  stored: DatasetInfo | None,
  dataset: str,
  splits: Collection[str],
  names: Sequence[str],
) -> None:
  """Checks that phases keep their numbers where some splits are replaced.

  Args:
    stored: What `dataset.json` says; None = nothing.
    dataset: Name of the data set.
    splits: Names of the splits that are added or replaced.
    names: Names of their phases by number; empty = not given.

  Raises:
    UserError: The frames of another split are labeled, and a number has
      another name there.
  """
  if stored is None:
    return
  labeled = [
    key
    for key, other in stored.splits.items()
    if key not in splits and other.num_labels
  ]
  if not labeled:
    return
  for number, (new, old) in enumerate(
    zip(names, stored.class_names, strict=False)
  ):
    if new != old:
      raise UserError(
        f"{dataset}_{labeled[0]}: names phase {number} {old!r}, expected the"
        f" same in all splits, received {new!r}; give --phases in that order,"
        f" or correct class_names in {FILE_NAME}"
      )


def to_json(dataset: str, info: DatasetInfo) -> str:
  """The content of `dataset.json`."""
  content = {
    "format_version": FORMAT_VERSION,
    "dataset": dataset,
    **dataclasses.asdict(info),
  }
  return json.dumps(content, indent=2) + "\n"
