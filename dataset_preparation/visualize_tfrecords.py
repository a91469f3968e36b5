r"""Shows what is in a set of TFRecords: a contact sheet and a summary.

    python -m dataset_preparation.visualize_tfrecords --dataset pouring \
      --split train --path_to_tfrecords /tmp/%s_tfrecords --sheet sheet.png

`--check` decodes every frame of every record instead, and lists what is wrong.
"""

import pathlib
import sys

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import core.quiet_tensorflow  # noqa: F401, I001

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from absl import flags
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath

from data import dataset_info
from core import command_line
from data import record_index
from core.errors import UserError
from core.files import atomic_write
from data.record_index import Record

FLAGS = flags.FLAGS

_THUMBNAIL_HEIGHT = 96  # Pixels.
_BAND_HEIGHT = 10
_GAP = 14
_LABEL_WIDTH = 190
_MARGIN = 10
_DPI = 100
_FONT_SIZE = 8  # Points.
# Of the legend, in heights of its font: a patch and the gaps around a name; a
# line and the gap to the next.
_EXTRA_WIDTH, _LINE_HEIGHT = 5.5, 1.55
_LONGEST_NAME = 60
_NO_PHASE = (0.85, 0.85, 0.85)


class Video(NamedTuple):
  """What a record holds.

  Attributes:
    name: Its name.
    jpegs: [F] encoded frames.
    labels: [F] phases, -1 where there is none; empty without labels.
  """

  name: str
  jpegs: Sequence[bytes]
  labels: Sequence[int]


def read(record: Record) -> Video:
  """Reads a record, see `record_index.parse`."""
  example = record_index.parse(record)
  lists = example.feature_lists.feature_list
  return Video(
    record_index.name_of(example),
    [b"".join(step.bytes_list.value) for step in lists["video"].feature],
    [
      x for step in lists["frame_labels"].feature for x in step.int64_list.value
    ],
  )


def contact_sheet(
  videos: Sequence[Video], class_names: Sequence[str], num_frames: int
) -> np.ndarray:
  """Draws a row a video: evenly spaced frames above a band of its phases.

  Args:
    videos: The videos, at least one, all with frames.
    class_names: Names of the phases.
    num_frames: Frames a video.

  Returns:
    [H, W, 3] uint8 RGB.
  """
  labels = {label for video in videos for label in video.labels}
  colors = _phase_colors(max(len(class_names), *(x + 1 for x in labels), 0))
  legend = _legend(class_names, colors, -1 in labels)
  strips = [_strip(video, num_frames, colors) for video in videos]
  entry_width = _entry_width(legend)
  width = max(
    _LABEL_WIDTH + max(strip.shape[1] for strip in strips),
    entry_width + 2 * _MARGIN,
  )
  columns = max(1, (width - 2 * _MARGIN) // max(1, entry_width))
  lines = -(-len(legend) // columns)
  legend_height = 2 * _MARGIN + _pixels(lines * _LINE_HEIGHT)
  height = legend_height + sum(len(strip) + _GAP for strip in strips)
  figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)
  canvas = FigureCanvasAgg(figure)
  top = height - legend_height
  for video, strip in zip(videos, strips, strict=True):
    # One pixel of the strip is one of the picture.
    figure.figimage(strip, _LABEL_WIDTH, top - len(strip), origin="upper")
    title = _shortened(video.name)
    figure.text(
      8 / _DPI / figure.get_figwidth(),
      (top - len(strip) / 2) / height,
      "\n".join(textwrap.wrap(title, 24)) + f"\n{len(video.jpegs)} frames",
      fontsize=_FONT_SIZE,
      va="center",
    )
    top -= len(strip) + _GAP
  if legend:
    figure.legend(
      handles=[Patch(color=color, label=name) for name, color in legend],
      loc="upper left",
      ncols=columns,
      fontsize=_FONT_SIZE,
      frameon=False,
    )
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


_Color = tuple[float, float, float]


def _legend(
  class_names: Sequence[str], colors: Sequence[_Color], gaps: bool
) -> list[tuple[str, _Color]]:
  """What is written beside which color; `gaps`: frames without a phase."""
  named = zip(map(_shortened, class_names), colors, strict=False)
  return [*named, *([("no phase", _NO_PHASE)] if gaps else [])]


def _entry_width(legend: Sequence[tuple[str, _Color]]) -> int:
  """Pixels that the longest entry takes."""
  names = (TextPath((0, 0), name, size=_FONT_SIZE) for name, _ in legend)
  widest = max((name.get_extents().width for name in names), default=0)
  return _pixels(widest / _FONT_SIZE + _EXTRA_WIDTH) if legend else 0


def _pixels(heights: float) -> int:
  """Pixels of so many heights of the font."""
  return math.ceil(heights * _FONT_SIZE * _DPI / 72)


def _shortened(name: str) -> str:
  fits = len(name) <= _LONGEST_NAME
  return name if fits else f"{name[: _LONGEST_NAME - 3]}..."


def _phase_colors(count: int) -> list[_Color]:
  """Colors, [0, 1] RGB, that tell so many phases apart."""
  palette = colormaps["tab10" if count <= 10 else "tab20"].colors
  return [palette[phase % len(palette)] for phase in range(count)]


def _strip(
  video: Video,
  num_frames: int,
  colors: Sequence[_Color],
) -> np.ndarray:
  """Frames of a video beside each other, its phases in a band below."""
  steps = np.linspace(0, len(video.jpegs) - 1, num_frames).round().astype(int)
  row = np.concatenate([_thumbnail(video.jpegs[t]) for t in steps], axis=1)
  if not video.labels:
    return row
  # Each column has the color of the frame at this share of the video.
  columns = np.arange(row.shape[1]) * len(video.labels) // row.shape[1]
  palette = np.array([*colors, _NO_PHASE])
  band = palette[[video.labels[t] for t in columns]] * 255
  band = np.broadcast_to(band, (_BAND_HEIGHT, *band.shape)).astype(np.uint8)
  return np.concatenate([row, band])


def _thumbnail(jpeg: bytes) -> np.ndarray:
  image = tf.io.decode_jpeg(jpeg, channels=3).numpy()
  height, width = image.shape[:2]
  size = (max(1, round(width * _THUMBNAIL_HEIGHT / height)), _THUMBNAIL_HEIGHT)
  return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def problems(
  records: Sequence[Record], num_classes: int, known_by: str
) -> list[str]:
  """Reads every record, decodes every frame and says what is wrong.

  Args:
    records: As `record_index.find_records` returns them.
    num_classes: Number of phases; 0 = any.
    known_by: What tells their number, for messages.

  Returns:
    A line for each record that is not sound.
  """
  found = []
  for record in records:
    try:
      record_index.check([record])
      example = record_index.parse(record)
      reason = _contradiction(example, num_classes, known_by)
      if reason:
        found.append(f"{record_index.place(record, example)}: {reason}")
    except UserError as error:
      found.append(str(error))
  return found


def _contradiction(
  example: tf.train.SequenceExample, num_classes: int, known_by: str
) -> str | None:
  """What does not fit together in a record that can be read."""
  lists = example.feature_lists.feature_list
  count = len(lists["video"].feature)
  stated = example.context.feature["len"].int64_list.value
  if stated and stated[0] != count:
    return f"`len` says {stated[0]} frames, there are {count}"
  labels = [
    x for s in lists["frame_labels"].feature for x in s.int64_list.value
  ]
  for t, label in enumerate(labels):
    if label < -1:
      return f"frame {t} has label {label}, expected -1 or more"
    if 0 < num_classes <= label:
      return (
        f"frame {t} has label {label}, expected -1 to {num_classes - 1}, as"
        f" {known_by} names {num_classes} phases"
      )
  return None


def _check(
  records: Sequence[Record], path: str, dataset: str, split: str
) -> None:
  """Prints what is wrong with records; an error if anything is."""
  folder = dataset_info.records_folder(path, dataset)
  stored = dataset_info.read_file(folder, dataset)
  known_by = dataset_info.FILE_NAME if stored else f"the paper on {dataset}"
  names = dataset_info.names_of_classes(path, dataset)
  found = problems(records, len(names), known_by)
  for problem in found:
    print(problem)
  if found:
    raise UserError(
      f"{dataset}_{split}: {len(found)} of {len(records)} records are not"
      " sound, see above; convert their videos again"
    )
  print(f"{dataset}_{split}: {len(records)} records, all sound")
  if not names:
    print(
      "How many phases there may be is not known, as no"
      f" {dataset_info.FILE_NAME} names them; labels may be any number."
    )


def main() -> None:
  """Draws or checks the records that the flags name."""
  path, dataset, split = FLAGS.path_to_tfrecords, FLAGS.dataset, FLAGS.split
  paths = dataset_info.record_paths(path, dataset, split)
  records = record_index.find_records(paths)
  if FLAGS.check:
    _check(records, path, dataset, split)
    return
  if not cv2.haveImageWriter(FLAGS.sheet):
    raise UserError(
      "--sheet: expected a picture by its ending, such as sheet.png, received"
      f" {FLAGS.sheet!r}"
    )
  info = dataset_info.read(path, dataset)
  name, of_split = f"{dataset}_{split}", info.splits[split]
  print("\n".join(dataset_info.describe(name, of_split, info.class_names)))
  record_index.check(records[: FLAGS.max_videos])
  sheet = contact_sheet(
    [read(record) for record in records[: FLAGS.max_videos]],
    info.class_names,
    FLAGS.frames_per_video,
  )
  with atomic_write(FLAGS.sheet) as temporary:
    cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
  print(f"Contact sheet: {FLAGS.sheet}")


if __name__ == "__main__":
  flags.DEFINE_string("dataset", None, "Name of the data set.", required=True)
  flags.DEFINE_string("split", "train", "Name of the split.")
  command_line.define_path(
    "path_to_tfrecords",
    "/tmp/%s_tfrecords/",
    "Folder of the records; %s stands for the data set.",
  )
  command_line.define_path(
    "sheet", "/tmp/contact_sheet.png", "Picture to write."
  )
  flags.DEFINE_integer(
    "max_videos", 12, "Videos on the contact sheet.", lower_bound=1
  )
  flags.DEFINE_integer(
    "frames_per_video", 10, "Frames of each of them.", lower_bound=1
  )
  flags.DEFINE_boolean(
    "check", False, "Whether to look for damage instead of drawing."
  )
  command_line.run(main)
