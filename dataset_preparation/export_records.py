r"""Export records to what people can look at and edit: videos and tables.

    python -m dataset_preparation.export_records --dataset pouring \
      --split train --output_dir ~/pouring_train

Each record becomes an mp4, or with `--images` a folder of its JPEGs. Beside
them are `labels.csv`, which `--label_file` reads back; `videos.csv`, which says
what each video is; and `frames.csv`, the times of images.
"""

import io
import itertools
import pathlib
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from absl import flags
from PIL import Image

from core import command_line
from core.errors import UserError
from core.files import atomic_write
from data import dataset_info, examples, shard_files, tfrecords
from data.examples import Example
from dataset_preparation import preparation_flags
from dataset_preparation.labels.csv_tables import write_table
from dataset_preparation.labels.segments import find_runs
from media.video_writer import CLOCK_RATE, count_ticks, write_video

FLAGS = flags.FLAGS
# Frames per second of mp4 files where nothing is known.
_FPS = 25.0
# Finer than what is only looked at, as it may be converted again.
_CRF = 18
_IMAGE = "{:06}.jpg"


class _Video(NamedTuple):
  """A record without its frames.

  Attributes:
    name: Its name, and the path of its file or folder.
    source: Path of what it was made from; empty if not known.
    num_frames: Number of frames, F.
    times: [F + 1] seconds, to the microsecond, at which frames are shown and
      the last one ends; empty if not known.
    labels: [F] phases, -1 = none; empty without labels.
  """

  name: str
  source: str
  num_frames: int
  times: Sequence[float]
  labels: Sequence[int]


def export(
  path_to_tfrecords: str,
  dataset: str,
  split: str,
  output_dir: str,
  images: bool = False,
  overwrite: bool = False,
) -> None:
  """Write the videos of a split, their labels and what is known of them.

  Args:
    path_to_tfrecords: Folder of the records, see `shard_files.records_folder`.
    dataset: Name of the data set.
    split: Name of the split.
    output_dir: Folder to write to.
    images: Whether to write folders of the stored JPEGs instead of mp4 files.
    overwrite: Whether to replace files.

  Raises:
    UserError: There are no records, one is damaged or has no name that can be
      a path in the folder, or a file is there already or can't be written.
  """
  paths = shard_files.list_record_files(path_to_tfrecords, dataset, split)
  records = tfrecords.list_records(paths)
  info = dataset_info.load_dataset_info(path_to_tfrecords, dataset)
  facts = {video["name"]: video for video in info.splits[split].videos}
  fps = info.splits[split].fps or (0.0 if images else _FPS)
  videos: dict[str, _Video] = {}
  for number, example in enumerate(map(examples.read_example, records)):
    name = example.name or f"video{number}"
    _check_name(name, videos, example)
    videos[name] = _describe(name, example, facts.get(name, {}), fps)
  tables = _make_tables(videos.values(), info.class_names, images)
  folder = pathlib.Path(output_dir)
  ending = f"/{_IMAGE.format(0)}" if images else ".mp4"
  for target in (*tables, *(name + ending for name in videos)):
    if (folder / target).exists() and not overwrite:
      raise UserError(
        f"{folder / target}: expected no such file yet, received one; give"
        " another --output_dir, or replace files with --overwrite"
      )
  for record, video in zip(records, videos.values(), strict=True):
    example = examples.read_example(record)
    if images:
      _write_images(folder / video.name, example.jpegs)
    else:
      examples.check_frames(example)
      path, pixels = folder / f"{video.name}.mp4", map(_decode, example.jpegs)
      write_video(path, pixels, crf=_CRF, times=video.times)
  for table, rows in tables.items():
    write_table(folder / table, rows)
  print(f"{folder}: {len(videos)} videos, {', '.join(tables)}")


def _check_name(name: str, others: Collection[str], example: Example) -> None:
  """Check that a name is a path below the output folder, and a new one."""
  parts = pathlib.PurePath(name).parts
  is_path = name == "/".join(parts) and ".." not in parts
  if not is_path or min(name) < " " or name in others:
    raise UserError(
      f"{example}: expected a name of its own that is a path in the output"
      f" folder, such as kitchen/clip2, received {name!r}; convert the videos"
      " again under such names"
    )


def _describe(
  name: str, example: Example, facts: Mapping[str, Any], fps: float
) -> _Video:
  """Collect what is known of a video.

  Args:
    name: Its name.
    example: The video.
    facts: What `dataset.json` says of it.
    fps: Rate of records without times; 0 = unknown.

  Returns:
    The video without its frames.
  """
  times = [time - example.times[0] for time in example.times]
  count = len(example.jpegs)
  if any(times):
    # The last frame is shown as long as its source, or else as the one before.
    end = facts.get("facts", {}).get("seconds", 0.0)
    times.append(end if end > times[-1] else 2 * times[-1] - times[-2])
  else:
    times = [number / fps for number in range(count + 1)] if fps else []
  times = [round(tick / CLOCK_RATE, 6) for tick in count_ticks(times)]
  source = facts.get("source", "")
  return _Video(name, source, count, times, example.frame_labels)


def _make_tables(
  videos: Collection[_Video], class_names: Sequence[str], images: bool
) -> dict[str, list[tuple]]:
  """Make the rows of each table that has any, the heading first."""
  names = dict(enumerate(class_names))
  place = ["frame"] if images else ["start", "end"]
  segments: list[tuple] = [("video", *place, "phase", "phase_name")]
  facts: list[tuple] = [("video", "source", "frames", "seconds", "fps")]
  frames: list[tuple] = [("video", "frame", "seconds")]
  are_labeled = any(video.labels for video in videos)
  for name, source, count, times, labels in videos:
    # As in `dataset.json`: of the intervals between frames.
    fps = round((count - 1) / times[-2], 3) if times and count > 1 else ""
    facts.append((name, source, count, times[-1] if times else "", fps))
    if images:
      frames += [(name, *row) for row in enumerate(times[:-1])]
    labels = labels or [-1] * count
    runs = itertools.pairwise(range(count + 1)) if images else find_runs(labels)
    for start, end in runs:
      place = [start] if images else [times[start], times[end]]
      label = labels[start]
      segments.append((name, *place, label, names.get(label, "")))
  tables = {"videos.csv": facts, "frames.csv": frames}
  if are_labeled:
    tables["labels.csv"] = segments
  return {table: rows for table, rows in tables.items() if rows[1:]}


def _decode(jpeg: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def _write_images(folder: pathlib.Path, jpegs: Sequence[bytes]) -> None:
  for number, jpeg in enumerate(jpegs):
    with atomic_write(folder / _IMAGE.format(number)) as path:
      path.write_bytes(jpeg)
  # What is replaced may have been longer.
  for path in folder.glob("[0-9]" * 6 + ".jpg"):
    if int(path.stem) >= len(jpegs):
      path.unlink()


def main() -> None:
  """Export the records that the flags name."""
  records = FLAGS.path_to_tfrecords, FLAGS.dataset, FLAGS.split
  export(*records, FLAGS.output_dir, FLAGS.images, FLAGS.overwrite)


if __name__ == "__main__":
  preparation_flags.define_records_flags()
  command_line.define_path(
    "output_dir", None, "Folder of the videos and tables.", required=True
  )
  flags.DEFINE_boolean(
    "images", False, "Whether to write folders of JPEGs, not mp4 files."
  )
  flags.DEFINE_boolean("overwrite", False, "Whether to replace files.")
  command_line.run(main)
