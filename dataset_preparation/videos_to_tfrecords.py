r"""Converts a folder of videos to TFRecords.

    python -m dataset_preparation.videos_to_tfrecords --name pouring_train \
      --input_dir ~/videos/train --label_file ~/videos/labels.json

Each video becomes one record. The first and only step for unlabeled videos;
with a label file each frame gets the label of its phase.
"""

import fnmatch
import math
import os
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags, logging

import dataset_info
import errors
import videos
from dataset_info import SplitInfo
from dataset_preparation import labels, records
from errors import UserError

FILE_PATTERNS = (
  *("*.mp4", "*.mov", "*.m4v", "*.avi", "*.mkv", "*.webm", "*.mpg", "*.mpeg"),
  *("*.wmv", "*.flv", "*.mts", "*.m2ts", "*.3gp"),
)

# Tolerance for rates: 30 and 29.97 frames per second count as the same.
_FPS_TOLERANCE = 0.01


def convert(
  input_dir: str | os.PathLike,
  name: str,
  output_dir: str | os.PathLike = records.DEFAULT_FOLDER,
  *,
  file_pattern: Sequence[str] = FILE_PATTERNS,
  label_file: str | os.PathLike | None = None,
  files_per_shard: int = 50,
  rotate: int = 0,
  size: tuple[int, int] | None = (224, 224),
  frame_labels: bool = True,
  action_label: int = -1,
  expected_segments: int = 0,
  fps: float = 0.0,
) -> SplitInfo:
  """Converts the videos of a folder to the records of one split.

  The same input gives the same bytes. An error, such as a broken video, leaves
  the output folder as it was.

  Args:
    input_dir: Folder of the videos; folders in it are not searched.
    name: `<dataset>_<split>`, such as `pouring_train`.
    output_dir: Folder of the records, `%s` standing for `<dataset>`.
    file_pattern: Patterns of file names, upper or lower case alike.
    label_file: Annotations by the videos' names without ending, see `labels`.
    files_per_shard: Videos in one record file.
    rotate: Degrees to turn every frame clockwise: 0, 90, 180 or 270.
    size: Width and height in pixels to resize to; None keeps the videos' own.
    frame_labels: Whether to store the labels of `label_file` with the frames.
    action_label: Label of every video as a whole, -1 = none.
    expected_segments: Segments that each annotation has to have, 0 for any.
    fps: Frames per second to keep, 0 for all.

  Returns:
    Numbers of videos and frames, and frames per second, that were written.

  Raises:
    UserError: There are no videos, one is broken or has no annotation, two have
      the same name, a label file is wrong, or the output can't be written.
  """
  records.check_output(output_dir, name)
  paths = find_videos(input_dir, file_pattern)
  segments = {}
  if label_file and frame_labels:
    annotations = labels.read(label_file)
    # All at once, before the hours that decoding may take.
    segments = {
      path.stem: labels.of_video(
        annotations, path.stem, label_file, expected_segments
      )
      for path in paths
    }
  elif expected_segments:
    raise UserError(
      "--expected_segments: needs annotations to check; give --label_file and"
      " leave --frame_labels on"
    )
  converted = (
    _convert_video(
      path, size, rotate, fps, segments.get(path.stem), action_label
    )
    for path in paths
  )
  return records.write_split(
    converted, len(paths), output_dir, name, files_per_shard
  )


def find_videos(
  folder: str | os.PathLike, patterns: Sequence[str] = FILE_PATTERNS
) -> list[pathlib.Path]:
  """Lists the videos of a folder by name, `v2` before `v10`.

  Args:
    folder: Folder of the videos; folders in it are not searched.
    patterns: Patterns of file names, upper or lower case alike.

  Returns:
    The files that match any pattern and don't start with a dot.

  Raises:
    UserError: The folder is missing, nothing matches, or two files differ in
      nothing but their endings, by which records are not named.
  """
  folder = pathlib.Path(folder).expanduser()
  if not folder.is_dir():
    raise UserError(
      f"{folder}: expected a folder of videos, received no folder; correct"
      " --input_dir"
    )
  paths = [
    path
    for path in folder.iterdir()
    if path.is_file()
    and not path.name.startswith(".")
    and any(fnmatch.fnmatch(path.name.lower(), p.lower()) for p in patterns)
  ]
  if not paths:
    raise UserError(
      f"{folder}: found no videos that match {', '.join(patterns)}; correct"
      " --input_dir or --file_pattern"
    )
  by_stem: dict[str, pathlib.Path] = {}
  for path in sorted(paths, key=_natural_order):
    other = by_stem.setdefault(path.stem, path)
    if other != path:
      raise UserError(
        f"{folder}: {other.name} and {path.name} would both be records named"
        f" {path.stem!r}; rename one or choose by --file_pattern"
      )
  return list(by_stem.values())


def _natural_order(path: pathlib.Path) -> tuple[list, str]:
  # Every second part is a number.
  parts = re.split(r"([0-9]+)", path.stem)
  parts[1::2] = map(int, parts[1::2])
  return parts, path.name


def _convert_video(
  path: pathlib.Path,
  size: tuple[int, int] | None,
  rotate: int,
  fps: float,
  segments: Sequence[labels.Segment] | None,
  action_label: int,
) -> records.Video:
  times, jpegs = [], []
  for frame in at_rate(videos.read(path), fps, path.name):
    times.append(frame.time)
    jpegs.append(records.encode_frame(frame.image, size, rotate))
  of_frames = None
  if segments is not None:
    of_frames = labels.of_frames(segments, times)
    missing = {segment.label for segment in segments} - set(of_frames)
    if missing:
      logging.warning(
        "%s: no frame lies in phase %s of its annotation (its times are taken"
        " for microseconds)",
        path.name,
        ", ".join(map(str, sorted(missing))),
      )
  return records.Video(path.stem, jpegs, times[-1], of_frames, action_label)


def at_rate(
  frames: Iterable[videos.Frame], fps: float, name: str
) -> Iterator[videos.Frame]:
  """Drops frames so that `fps` a second are left.

  Args:
    frames: At least one frame, in order of time, the first at 0 s.
    fps: Ticks per second, the first at 0 s; 0 keeps every frame.
    name: Name of the video, for messages.

  Yields:
    The frames that are nearest to a tick, the earlier of two as near, each once
    and unchanged.

  Raises:
    UserError: The video has fewer frames per second; told at its end, as only
      its frames' times tell the rate for sure.
  """
  if not fps:
    yield from frames
    return
  done, previous, intervals = -1, None, -1
  for frame in frames:
    intervals += 1
    if previous is not None:
      # `previous` is the nearest to the ticks up to half-way to `frame`.
      ticks = _ticks_until((previous.time + frame.time) / 2, fps)
      if ticks > done:
        yield previous
        done = ticks
    previous = frame
  if _ticks_until(previous.time, fps) > done:
    yield previous
  if intervals < fps * previous.time * (1 - _FPS_TOLERANCE):
    rate = intervals / previous.time
    raise UserError(
      f"{name}: has {rate:.4g} frames per second, expected at least the {fps:g}"
      " of --fps; frames are dropped, never made up"
    )


def _ticks_until(time: float, fps: float) -> int:
  # A millionth of a tick makes up for rounding.
  return math.floor(time * fps + 1e-6)


def define_output_flags() -> None:
  """Defines the flags on what becomes of the frames and where it goes."""
  flags.DEFINE_string("name", None, "Name of the records, <dataset>_<split>.")
  flags.DEFINE_string(
    "output_dir",
    records.DEFAULT_FOLDER,
    "Folder of the records; %s stands for <dataset>.",
  )
  flags.DEFINE_string(
    "label_file",
    None,
    "JSON file of annotations, {video: {annotator: {label: [start, end]}}} in"
    " microseconds, the video's name without ending; none = no labels.",
  )
  flags.DEFINE_boolean(
    "frame_labels",
    True,
    "Whether to store the label of each frame when there is a --label_file.",
  )
  flags.DEFINE_integer(
    "action_label",
    -1,
    "Label of each video as a whole, -1 = none.",
    lower_bound=-1,
  )
  flags.DEFINE_integer(
    "expected_segments",
    0,
    "Number of segments that every annotation must have, 0 = any.",
    lower_bound=0,
  )
  flags.DEFINE_enum(
    "rotate",
    "0",
    [str(degrees) for degrees in records.ROTATIONS],
    "Degrees to turn the frames clockwise, before they are resized. The"
    " rotation that a video's metadata asks for is applied anyway.",
  )
  flags.DEFINE_boolean(
    "resize", True, "Whether to resize to --width and --height."
  )
  flags.DEFINE_integer("width", 224, "Width in pixels.", lower_bound=1)
  flags.DEFINE_integer("height", 224, "Height in pixels.", lower_bound=1)
  flags.mark_flag_as_required("name")


def _define_flags() -> None:
  define_output_flags()
  flags.DEFINE_string(
    "input_dir", None, "Folder of the videos; folders in it are not searched."
  )
  flags.DEFINE_list(
    "file_pattern",
    list(FILE_PATTERNS),
    "Patterns of the videos' names, upper or lower case alike.",
  )
  flags.DEFINE_integer(
    "files_per_shard", 50, "Videos in one record file.", lower_bound=1
  )
  flags.DEFINE_float(
    "fps",
    0.0,
    "Frames per second to keep, the nearest to each tick; 0 = all frames.",
    lower_bound=0.0,
  )
  flags.mark_flag_as_required("input_dir")


def main() -> None:
  """Runs `convert` with the flags' values and tells what was written."""
  args = flags.FLAGS
  info = convert(
    args.input_dir,
    args.name,
    args.output_dir,
    file_pattern=args.file_pattern,
    label_file=args.label_file,
    files_per_shard=args.files_per_shard,
    rotate=int(args.rotate),
    size=(args.width, args.height) if args.resize else None,
    frame_labels=args.frame_labels,
    action_label=args.action_label,
    expected_segments=args.expected_segments,
    fps=args.fps,
  )
  dataset, _ = dataset_info.split_name(args.name)
  folder = dataset_info.records_folder(args.output_dir, dataset)
  names = dataset_info.read(args.output_dir, dataset).class_names
  rate = f"{info.fps:g} frames per second" if info.fps else "rate unknown"
  labelled = (
    "labelled" if args.label_file and args.frame_labels else "unlabelled"
  )
  print(
    f"Wrote {info.num_videos} videos with {info.num_frames} {labelled} frames"
    f" ({rate}) as {args.name} to {folder}. Classes of {dataset}:"
    f" {', '.join(names) or 'none'}; edit class_names in"
    f" {folder / dataset_info.FILE_NAME} to name them. Use the"
    f" records with DATASETS: [{dataset}] and PATH_TO_TFRECORDS: {folder}."
  )


# Only here, so that another script's tests can import both.
if __name__ == "__main__":
  _define_flags()
  errors.run(main)
