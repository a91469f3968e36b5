"""What all preparation scripts share: from videos to records and a summary."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from core import files
from core.errors import UserError
from data import dataset_info, known_datasets, shard_files
from data.dataset_info import DatasetInfo, SplitInfo
from dataset_preparation import shards, splits
from dataset_preparation.conversion import FrameEncoding, Source
from dataset_preparation.labels.label_file import LabelFile, read_label_file
from dataset_preparation.shards import ShardOptions, SplitPlan


@dataclasses.dataclass(frozen=True)
class LabelOptions:
  """How videos get their labels.

  Attributes:
    label_file: See `label_files`; None = no labels of frames.
    phases: Names of the phases in the order of their numbers; none = those in
      `dataset.json`, if another split is there, or as they come in the file.
    expected_segments: Segments that each video has to have; 0 = any.
    action_label: Label of every video as a whole, -1 = none.
  """

  label_file: str | os.PathLike | None = None
  phases: Sequence[str] = ()
  expected_segments: int = 0
  action_label: int = -1


@dataclasses.dataclass(frozen=True)
class SplitOptions:
  """How videos are divided into splits.

  Attributes:
    shares: Name of a split -> its share; empty = all are one split.
    seed: Of the choice.
    groups: Name of a video -> its group; others are groups of their own.
  """

  shares: Mapping[str, float] = dataclasses.field(default_factory=dict)
  seed: int = 0
  groups: Mapping[str, str] = dataclasses.field(default_factory=dict)


def prepare(
  paths: Mapping[str, pathlib.Path],
  name: str,
  output_dir: str | os.PathLike,
  *,
  storing: FrameEncoding | None = None,
  labeling: LabelOptions | None = None,
  splitting: SplitOptions | None = None,
  writing: ShardOptions | None = None,
) -> dict[str, SplitInfo]:
  """Converts videos to the records of one split or of several.

  Args:
    paths: Name of a record -> its video file or folder of images, in the order
      of the records.
    name: `<dataset>_<split>`; with several splits `<dataset>`.
    output_dir: Folder of the records, `%s` standing for `<dataset>`.
    storing: How frames are stored; None, as for the others: the defaults.
    labeling: How videos get their labels.
    splitting: How videos are divided.
    writing: How records are written.

  Returns:
    `<dataset>_<split>` -> what became of it.

  Raises:
    UserError: A video has no labels or can't be converted, the label file is
      wrong, there are such records already, or the output can't be written.
  """
  splitting = splitting or SplitOptions()
  parts = plan(
    divided(paths, name, splitting),
    output_dir,
    labeling or LabelOptions(),
    no_others=bool(splitting.shares),
  )
  return shards.write(
    parts, storing or FrameEncoding(), output_dir, writing or ShardOptions()
  )


def stored_info(
  output_dir: str | os.PathLike, dataset: str
) -> DatasetInfo | None:
  """What `dataset.json` says, see `dataset_info.read_dataset_file`."""
  folder = shard_files.records_folder(output_dir, dataset)
  return dataset_info.read_dataset_file(folder, dataset)


def plan(
  paths: Mapping[str, Mapping[str, pathlib.Path]],
  output_dir: str | os.PathLike,
  labeling: LabelOptions,
  no_others: bool = False,
  read_info: Callable[
    [str | os.PathLike, str], DatasetInfo | None
  ] = stored_info,
) -> list[SplitPlan]:
  """Finds the labels of videos: all at once, before hours of decoding.

  Args:
    paths: `<dataset>_<split>`, of one data set -> name of a record -> its video
      file or folder of images.
    output_dir: Folder of the records, `%s` standing for `<dataset>`.
    labeling: How videos get their labels.
    no_others: Whether labels of videos that are not in `paths` are an error.
    read_info: What reads `dataset.json` of `output_dir`, if it takes others
      than folders of this machine.

  Returns:
    What `shards.write` takes.

  Raises:
    UserError: A video has no labels, its name is not in UTF-8, the label file
      is wrong or names the phases otherwise than other splits, or
      `dataset.json` is damaged.
  """
  for of_part in paths.values():
    for path in of_part.values():
      files.check_utf8_name(path)
  names = [shard_files.parse_set_name(part) for part in paths]
  dataset, replaced = names[0][0], [split for _, split in names]
  stored = read_info(output_dir, dataset)
  videos = [video for of_part in paths.values() for video in of_part]
  known_phases = _known_phases(stored, dataset, replaced)
  file = _label_file(labeling, known_phases, videos)
  if file:
    dataset_info.check_class_names(stored, dataset, replaced, file.class_names)
  labels = file.of_videos(videos, labeling.expected_segments) if file else {}
  if file and no_others:
    file.check_all_used(videos)

  def source(video: str, path: pathlib.Path) -> Source:
    return Source(video, path, labels.get(video), labeling.action_label)

  return [
    SplitPlan(
      part,
      [source(*item) for item in of_part.items()],
      file.class_names if file else (),
    )
    for part, of_part in paths.items()
  ]


def divided(
  paths: Mapping[str, pathlib.Path], name: str, splitting: SplitOptions
) -> dict[str, Mapping[str, pathlib.Path]]:
  """Divides videos, see `prepare`; `<dataset>_<split>` -> name -> path."""
  if not splitting.shares:
    shard_files.parse_set_name(name)
    return {name: paths}
  _check_dataset(name, list(splitting.shares))
  chosen = splits.assign(
    list(paths), splitting.shares, splitting.seed, splitting.groups
  )
  return {
    f"{name}_{split}": {video: paths[video] for video in videos}
    for split, videos in chosen.items()
  }


def _check_dataset(name: str, split_names: Sequence[str]) -> None:
  ending = name.rpartition("_")[2]
  if not re.fullmatch(r"[\w.-]+", name) or ending in split_names:
    made = " and ".join(f"{name}_{split}" for split in split_names)
    raise UserError(
      "--name: expected with --split the data set alone, such as pouring, of"
      " letters, digits, '_', '-' and '.', as each split's name is added;"
      f" received {name!r}, which would make {made}"
    )


def unused_labels(
  label_file: str | os.PathLike | None, videos: Collection[str]
) -> list[str]:
  """What to tell of labels that are of none of the videos.

  Args:
    label_file: See `label_files`; None = there are none.
    videos: Names of all videos.

  Returns:
    A line of text, where there are any.

  Raises:
    UserError: The file is missing or of another format.
  """
  if not label_file:
    return []
  unused = read_label_file(label_file, videos=()).unused(videos)
  if not unused:
    return []
  return [
    f"{len(unused)} videos in {label_file} are not among those converted, the"
    f" first is {next(iter(unused))}"
  ]


def _label_file(
  labeling: LabelOptions, known_phases: Sequence[str], videos: Collection[str]
) -> LabelFile | None:
  if labeling.label_file:
    phases = labeling.phases or known_phases
    return read_label_file(labeling.label_file, phases, videos)
  for flag in ("expected_segments", "phases"):
    if getattr(labeling, flag):
      raise UserError(
        f"--{flag}: needs labels of frames; give --label_file and leave"
        " --frame_labels on"
      )
  return None


def _known_phases(
  stored: DatasetInfo | None, dataset: str, replaced: Collection[str]
) -> Sequence[str]:
  """Names of the phases of the splits that stay, if they were given any."""
  if not stored or not stored.splits.keys() - set(replaced):
    return ()
  given = known_datasets.are_custom_names(dataset, stored.class_names)
  return stored.class_names if given else ()


def summary(
  written: Mapping[str, SplitInfo], class_names: Sequence[str]
) -> str:
  """Tells what became of the videos.

  Args:
    written: As `prepare` returns it.
    class_names: Names of the phases.

  Returns:
    Lines of text: a paragraph a split.
  """
  return "\n".join(
    line
    for name, of_split in written.items()
    for line in _split_summary(name, of_split, class_names)
  )


def _split_summary(
  name: str, info: SplitInfo, class_names: Sequence[str]
) -> list[str]:
  shortest, longest = (
    choose(info.videos, key=lambda video: video["num_frames"])
    for choose in (min, max)
  )
  lines = dataset_info.describe_split(name, info, class_names)
  lines.append(
    f"  shortest {shortest['name']}: {shortest['num_frames']} frames, longest"
    f" {longest['name']}: {longest['num_frames']}"
  )
  for warning in (w for video in info.videos for w in video["warnings"]):
    lines.append(f"  warning: {warning}")
  for skipped in info.skipped:
    lines.append(f"  skipped {skipped['name']}: {skipped['reason']}")
  return lines
