"""The contents of a data set, in `dataset.json` beside its records.

    {"format_version": 1, "dataset": "pouring",
     "class_names": ["start to hand touches bottle", ...],
     "splits": {"train": {"num_videos": 70, "num_frames": 13300, "fps": 30.0}}}

The preparation scripts write it; class names may be edited by hand and are
kept. Where it is missing, as beside records of other programs, the same facts
come from reading the records.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from core.errors import UserError
from core.files import atomic_write, locked, raise_unreadable
from data import examples, shard_files, tfrecords
from data.known_datasets import are_custom_names, name_phases, pad_names

FILE_NAME = "dataset.json"
FORMAT_VERSION = 1
# Keys of a split in the file that differ from the fields of `SplitInfo`.
_FIELDS = {"phases": "phase_counts"}


@dataclasses.dataclass(frozen=True)
class SplitInfo:
  """The contents of one split.

  Attributes:
    num_videos: Number of videos.
    num_frames: Number of frames of all videos.
    fps: Frames per second, on average over the videos; None if unknown.
    phase_counts: Frames of each phase, by its number as text; empty without
      labels.
    videos: What became of each video, see `conversion.Report`; empty if the
      records are not ours.
    skipped: `name` and `reason` of each video that could not be converted.
    encoding: How frames were chosen and stored, see `media.FrameEncoding`;
      empty if it is not known.
  """

  num_videos: int
  num_frames: int
  fps: float | None = None
  phase_counts: dict[str, int] = dataclasses.field(default_factory=dict)
  videos: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)
  encoding: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def num_phases(self) -> int:
    """The largest label of a frame plus one; 0 without labels."""
    return max((int(phase) + 1 for phase in self.phase_counts), default=0)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
  """The contents of a data set.

  Attributes:
    class_names: Name of each phase, in the order of the labels of frames; empty
      if the frames have no labels.
    splits: The splits by name, such as `train` and `val`.
  """

  class_names: tuple[str, ...]
  splits: dict[str, SplitInfo]


def load_dataset_info(
  path_to_tfrecords: str | os.PathLike, dataset: str
) -> DatasetInfo:
  """Load what is known of a data set.

  A split that `dataset.json` does not name is counted by reading its records,
  and the classes are those of the known data set or else of the labels.

  Args:
    path_to_tfrecords: Folder of the records, see `shard_files.records_folder`.
    dataset: Name of the data set.

  Returns:
    Class names, and the splits whose records are in the folder or that
    `dataset.json` names.

  Raises:
    UserError: `dataset.json` or a record is damaged, or there is nothing.
  """
  folder = shard_files.records_folder(path_to_tfrecords, dataset)
  stored = read_dataset_file(folder, dataset)
  splits = dict(stored.splits) if stored else {}
  for split in shard_files.list_splits(folder, dataset) - splits.keys():
    paths = shard_files.list_record_files(folder, dataset, split)
    *totals, counts = examples.count_examples(tfrecords.list_records(paths))
    phase_counts = {str(phase): count for phase, count in counts.items()}
    splits[split] = SplitInfo(*totals, phase_counts=phase_counts)
  if not splits:  # Raise an error that says how to make records.
    shard_files.list_record_files(folder, dataset, "train")
  names = stored.class_names if stored else ()
  names = _complete_names(dataset, names, splits)
  return DatasetInfo(names, dict(sorted(splits.items())))


def load_class_names(
  path_to_tfrecords: str | os.PathLike, dataset: str
) -> tuple[str, ...]:
  """Load the names of phases as far as they are known without reading records.

  Args:
    path_to_tfrecords: Folder of the records, see `shard_files.records_folder`.
    dataset: Name of the data set.

  Returns:
    Those of `dataset.json`; where it is missing, those of the known data set;
    empty for any other.

  Raises:
    UserError: `dataset.json` is damaged.
  """
  stored = read_dataset_file(path_to_tfrecords, dataset)
  return stored.class_names if stored else name_phases(dataset, 0)


def _complete_names(
  dataset: str, names: Sequence[str], splits: dict[str, SplitInfo]
) -> tuple[str, ...]:
  """Name all phases of the splits, of which some or all may have names."""
  num_phases = max((x.num_phases for x in splits.values()), default=0)
  return pad_names(names or name_phases(dataset, num_phases), num_phases)


def read_dataset_file(
  path_to_tfrecords: str | os.PathLike, dataset: str
) -> DatasetInfo | None:
  """Read `dataset.json` of a folder.

  Args:
    path_to_tfrecords: Folder of the records, see `shard_files.records_folder`.
    dataset: Name of the data set that the file has to be about.

  Returns:
    What it says; None if there is none.

  Raises:
    UserError: It is damaged, of another version, or about another data set.
  """
  path = shard_files.records_folder(path_to_tfrecords, dataset) / FILE_NAME
  try:
    content = path.read_bytes()
  except (FileNotFoundError, NotADirectoryError):
    return None
  except OSError as error:
    raise_unreadable(error)
  return parse_dataset_file(content, path, dataset)


def parse_dataset_file(
  text: str | bytes, path: str | os.PathLike, dataset: str
) -> DatasetInfo:
  """Parse the content of `dataset.json`.

  Args:
    text: The content.
    path: Path of the file, for messages.
    dataset: Name of the data set that it has to be about.

  Returns:
    What it says, with a name for every phase.

  Raises:
    UserError: It is damaged, of another version, or about another data set.
  """
  try:
    content = json.loads(text)
    version, about = content["format_version"], content["dataset"]
    splits = {
      split: SplitInfo(**{_FIELDS.get(key, key): fields[key] for key in fields})
      for split, fields in content["splits"].items()
    }
    # Whoever edits the names by hand may have left some out.
    names = map(str, content["class_names"])
    names = _complete_names(dataset, tuple(names), splits)
  except (KeyError, TypeError, AttributeError, ValueError) as error:
    raise UserError(
      f"{path}: expected JSON with format_version, dataset, class_names and"
      " splits with num_videos, num_frames and fps, received something else"
      f" ({error}); correct or remove it"
    ) from error
  if version != FORMAT_VERSION:
    raise UserError(
      f"{path}: expected format_version {FORMAT_VERSION}, received {version!r};"
      " remove the file and convert the videos again"
    )
  if about != dataset:
    raise UserError(
      f"{path}: expected the data set {dataset!r}, received {about!r}; keep one"
      f" data set a folder, such as /tmp/{dataset}_tfrecords"
    )
  return DatasetInfo(names, splits)


def format_dataset_file(dataset: str, info: DatasetInfo) -> str:
  """Return the content of `dataset.json`, see `parse_dataset_file`."""
  keys = {field: key for key, field in _FIELDS.items()}

  def rename(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {keys.get(key, key): value for key, value in items}

  content = {"format_version": FORMAT_VERSION, "dataset": dataset}
  content |= dataclasses.asdict(info, dict_factory=rename)
  return json.dumps(content, indent=2) + "\n"


def describe_split(
  name: str, info: SplitInfo, class_names: Sequence[str]
) -> list[str]:
  """Describe what a split holds.

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
  labeled = sum(info.phase_counts.values())
  for phase, count in info.phase_counts.items():
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
  """Write one split into `dataset.json`, keeping the other splits.

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
  _update(
    folder, dataset, lambda old: merge_split(old, dataset, split, info, names)
  )


def drop_split(folder: pathlib.Path, dataset: str, split: str) -> None:
  """Take a split out of `dataset.json`, where both exist.

  Args:
    folder: Folder of the records.
    dataset: Name of the data set.
    split: Name of the split.

  Raises:
    UserError: The file can't be written, or is damaged.
  """

  def drop(old: DatasetInfo | None) -> DatasetInfo | None:
    return old and DatasetInfo(old.class_names, _other_splits(old, split))

  _update(folder, dataset, drop)


def _other_splits(info: DatasetInfo, split: str) -> dict[str, SplitInfo]:
  return {key: x for key, x in info.splits.items() if key != split}


def _update(
  folder: pathlib.Path,
  dataset: str,
  change: Callable[[DatasetInfo | None], DatasetInfo | None],
) -> None:
  """Replace `dataset.json` where `change` changes what it says."""
  path = folder / FILE_NAME
  with locked(path):
    old = read_dataset_file(folder, dataset)
    new = change(old)
    if new != old:
      with atomic_write(path) as temporary:
        temporary.write_text(format_dataset_file(dataset, new))


def merge_split(
  old: DatasetInfo | None,
  dataset: str,
  split: str,
  info: SplitInfo,
  names: Sequence[str] = (),
) -> DatasetInfo:
  """Add or replace a split, see `add_split`.

  Args:
    old: What `dataset.json` says; None if there is none.
    dataset: Name of the data set.
    split: Name of the split.
    info: What the split holds.
    names: Names of its phases; empty = not given.

  Returns:
    What `dataset.json` shall say.

  Raises:
    UserError: Other splits have other names.
  """
  check_class_names(old, dataset, [split], names)
  old = old or DatasetInfo((), {})
  others = _other_splits(old, split)
  if names:
    labeled = any(other.num_phases for other in others.values())
    # The other splits may have phases that this one has not.
    names = (*names, *(old.class_names[len(names) :] if labeled else ()))
  elif others and old.class_names:
    names = old.class_names
  elif are_custom_names(dataset, old.class_names):
    names = old.class_names[: info.num_phases]
  else:
    names = name_phases(dataset, info.num_phases)
  splits = dict(sorted({**others, split: info}.items()))
  return DatasetInfo(pad_names(names, info.num_phases), splits)


def check_class_names(
  stored: DatasetInfo | None,
  dataset: str,
  splits: Collection[str],
  names: Sequence[str],
) -> None:
  """Check that phases keep their numbers where some splits are replaced.

  Args:
    stored: What `dataset.json` says; None = nothing.
    dataset: Name of the data set.
    splits: Names of the splits that are added or replaced.
    names: Names of their phases by number; empty = not given.

  Raises:
    UserError: The frames of another split are labeled, and a number has
      another name there.
  """
  kept = stored.splits if stored else {}
  labeled = [key for key in kept if key not in splits and kept[key].num_phases]
  if not labeled:
    return
  pairs = zip(names, stored.class_names, strict=False)
  for number, (new, old) in enumerate(pairs):
    if new != old:
      raise UserError(
        f"{dataset}_{labeled[0]}: expected {old!r} as phase {number} in all"
        f" splits, received {new!r}; give --phases in that order, or correct"
        f" class_names in {FILE_NAME}"
      )
