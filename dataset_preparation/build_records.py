"""From videos to records, with labels and splits: what all commands share."""

import dataclasses
import operator
import os
import pathlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from core import files
from core.errors import UserError
from data import dataset_info, known_datasets, shard_files
from data.dataset_info import DatasetInfo, SplitInfo
from dataset_preparation import shards, splits
from dataset_preparation.conversion import Source
from dataset_preparation.labels.label_file import LabelFile, read_label_file
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.shards import ShardOptions, SplitPlan
from media.frame_encoding import FrameEncoding


@dataclasses.dataclass(frozen=True)
class SplitOptions:
  """Options for dividing videos into splits.

  Attributes:
    shares: Name of a split -> its share; empty for one split of all videos.
    seed: Seed of the random choice.
    groups: Name of a video -> its group; other videos are their own groups.
  """

  shares: Mapping[str, float] = dataclasses.field(default_factory=dict)
  seed: int = 0
  groups: Mapping[str, str] = dataclasses.field(default_factory=dict)


def build_records(
  paths: Mapping[str, pathlib.Path],
  name: str,
  output_dir: str | os.PathLike,
  *,
  encoding: FrameEncoding | None = None,
  labels: LabelOptions | None = None,
  division: SplitOptions | None = None,
  options: ShardOptions | None = None,
) -> dict[str, SplitInfo]:
  """Convert videos to the records of one or several splits.

  Args:
    paths: Name of a record -> its video file or folder of images, in the order
      of the records.
    name: `<dataset>_<split>`; with several splits `<dataset>`.
    output_dir: Folder of the records, `%s` standing for `<dataset>`.
    encoding: How frames are stored; None, as for the others, for the defaults.
    labels: How videos get their labels.
    division: How videos are divided into splits.
    options: How records are written.

  Returns:
    `<dataset>_<split>` -> facts about it.

  Raises:
    UserError: A video has no labels or can't be converted, the label file is
      wrong, such records exist, or the output can't be written.
  """
  plans = plan_records(paths, name, output_dir, labels, division)
  encoding, options = encoding or FrameEncoding(), options or ShardOptions()
  return shards.write_splits(plans, encoding, output_dir, options)


def plan_records(
  paths: Mapping[str, pathlib.Path],
  name: str,
  output_dir: str | os.PathLike,
  labels: LabelOptions | None = None,
  division: SplitOptions | None = None,
  read_info: Callable[..., DatasetInfo | None] = dataset_info.read_dataset_file,
) -> list[SplitPlan]:
  """Divide videos and find their labels, see `build_records`, `plan_splits`."""
  labels, division = labels or LabelOptions(), division or SplitOptions()
  divided = divide_videos(paths, name, division)
  is_divided = bool(division.shares)
  return plan_splits(divided, output_dir, labels, is_divided, read_info)


def plan_splits(
  divided: Mapping[str, Mapping[str, pathlib.Path]],
  output_dir: str | os.PathLike,
  options: LabelOptions,
  all_labels_used: bool = False,
  read_info: Callable[..., DatasetInfo | None] = dataset_info.read_dataset_file,
) -> list[SplitPlan]:
  """Find the labels of all videos, before hours of decoding.

  Args:
    divided: `<dataset>_<split>`, of one data set -> name of a record -> its
      video file or folder of images.
    output_dir: Folder of the records, `%s` standing for `<dataset>`.
    options: How videos get their labels.
    all_labels_used: Whether labels of videos that are not in `divided` are an
      error.
    read_info: Reads `dataset.json`, given `output_dir` and the data set's name,
      as `dataset_info.read_dataset_file` does.

  Returns:
    What `shards.write_splits` takes.

  Raises:
    UserError: A video has no labels, its name is not in UTF-8, the label file
      is wrong or numbers the phases otherwise than other splits, or
      `dataset.json` is damaged.
  """
  paths = {v: path for part in divided.values() for v, path in part.items()}
  for path in paths.values():
    files.check_utf8_name(path)
  names = [shard_files.parse_set_name(name) for name in divided]
  dataset, replaced = names[0][0], [split for _, split in names]
  stored = read_info(output_dir, dataset)
  known_phases = _find_known_phases(stored, dataset, replaced)
  file = _read_labels(options, known_phases, paths)
  labels = {}
  if file:
    dataset_info.check_class_names(stored, dataset, replaced, file.class_names)
    labels = file.find_labels(paths, options.expected_segments)
    if all_labels_used and (unused := file.list_unused(paths)):
      raise UserError(
        f"{file.path}: expected labels of the {len(paths)} videos to convert,"
        f" received those of {unused[0]!r} too; remove them, or add the video"
      )
  sources = {
    video: Source(video, path, labels.get(video), options.action_label)
    for video, path in paths.items()
  }
  class_names = file.class_names if file else ()
  return [
    SplitPlan(name, [sources[video] for video in part], class_names)
    for name, part in divided.items()
  ]


def divide_videos(
  paths: Mapping[str, pathlib.Path], name: str, options: SplitOptions
) -> dict[str, Mapping[str, pathlib.Path]]:
  """Divide videos into splits.

  Args:
    paths: Name of a video -> its path.
    name: `<dataset>_<split>`; with several splits `<dataset>`.
    options: How videos are divided.

  Returns:
    `<dataset>_<split>` -> name of a video -> its path.

  Raises:
    UserError: The name has another form, or there are too few videos.
  """
  if not options.shares:
    shard_files.parse_set_name(name)
    return {name: paths}
  ending = name.rpartition("_")[2]
  if not re.fullmatch(r"[\w.-]+", name) or ending in options.shares:
    made = " and ".join(f"{name}_{split}" for split in options.shares)
    raise UserError(
      "--name: expected with --split the data set alone, such as pouring, of"
      " letters, digits, '_', '-' and '.', as each split's name is added;"
      f" received {name!r}, which would make {made}"
    )
  chosen = splits.assign_videos(
    list(paths), options.shares, options.seed, options.groups
  )
  return {
    f"{name}_{split}": {video: paths[video] for video in videos}
    for split, videos in chosen.items()
  }


def _read_labels(
  options: LabelOptions, known_phases: Sequence[str], videos: Collection[str]
) -> LabelFile | None:
  if options.label_file:
    phases = options.phases or known_phases
    return read_label_file(dataclasses.replace(options, phases=phases), videos)
  for flag in ("expected_segments", "label_tier", "phases", "resample_labels"):
    if getattr(options, flag):
      raise UserError(
        f"--{flag}: expected labels of frames, received none; give --label_file"
        " and leave --frame_labels on"
      )
  return None


def _find_known_phases(
  stored: DatasetInfo | None, dataset: str, replaced: Collection[str]
) -> Sequence[str]:
  """Return the names that somebody gave to the phases of other splits."""
  if not stored or not stored.splits.keys() - set(replaced):
    return ()
  given = known_datasets.are_custom_names(dataset, stored.class_names)
  return stored.class_names if given else ()


def describe_unused_labels(
  label_file: str | os.PathLike | None, videos: Collection[str]
) -> list[str]:
  """Describe what of a label file is not used.

  Args:
    label_file: The label file; None if there is none.
    videos: Names of all videos.

  Returns:
    Lines of text: one on labels of other videos, and the file's notes.

  Raises:
    UserError: The file is missing or has another format.
  """
  if not label_file:
    return []
  file = read_label_file(LabelOptions(label_file), videos=())
  reason = f"videos in {label_file} are not among those converted"
  return describe_left_out(file.list_unused(videos), reason) + list(file.notes)


def describe_left_out(names: Sequence[str], reason: str) -> list[str]:
  """Return one line about all names, or nothing if there is none."""
  return [f"{len(names)} {reason}, the first is {names[0]}"] if names else []


def summarize(
  written: Mapping[str, SplitInfo], class_names: Sequence[str]
) -> str:
  """Summarize what was written.

  Args:
    written: The return value of `build_records`.
    class_names: Names of the phases.

  Returns:
    Lines of text: a paragraph per split.
  """
  lines = []
  for name, info in written.items():
    lines += dataset_info.describe_split(name, info, class_names)
    length = operator.itemgetter("num_frames")
    shortest, longest = (f(info.videos, key=length) for f in (min, max))
    lines.append(
      f"  shortest {shortest['name']}: {shortest['num_frames']} frames, longest"
      f" {longest['name']}: {longest['num_frames']}"
    )
    notes: dict[str, list[str]] = {}
    for video in info.videos:
      lines += [f"  warning: {warning}" for warning in video["warnings"]]
      for note in video["facts"]["notes"]:
        notes.setdefault(note, []).append(video["name"])
    for note, names in notes.items():
      others = f" and {len(names) - 1} more" if len(names) > 1 else ""
      lines.append(f"  note on {names[0]}{others}: {note}")
    lines += [f"  skipped {x['name']}: {x['reason']}" for x in info.skipped]
  return "\n".join(lines)
