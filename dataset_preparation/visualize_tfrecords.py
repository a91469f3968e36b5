r"""Show what is in a set of TFRecords: a contact sheet and a summary.

    python -m dataset_preparation.visualize_tfrecords --dataset pouring \
      --split train --path_to_tfrecords /tmp/%s_tfrecords --sheet sheet.png

`--check` decodes every frame of every record instead, and lists what is wrong.
"""

import pathlib
import sys

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import cv2
from absl import flags

from core import command_line
from core.errors import UserError
from core.files import atomic_write
from data import dataset_info, examples, shard_files, tfrecords
from dataset_preparation import preparation_flags
from media.contact_sheet import SheetVideo, draw_contact_sheet

FLAGS = flags.FLAGS


def visualize(
  path_to_tfrecords: str,
  dataset: str,
  split: str,
  sheet: str,
  max_videos: int = 12,
  frames_per_video: int = 10,
) -> None:
  """Print a summary of a split and write a contact sheet of its first videos.

  Args:
    path_to_tfrecords: Folder of the records, see `shard_files.records_folder`.
    dataset: Name of the data set.
    split: Name of the split.
    sheet: Picture to write.
    max_videos: Videos on the contact sheet.
    frames_per_video: Frames of each of them.

  Raises:
    UserError: There are no records, one is damaged, or the picture can't be
      written.
  """
  if not cv2.haveImageWriter(sheet):
    raise UserError(
      f"--sheet: expected the name of a picture, received {sheet!r}; give one"
      " such as sheet.png"
    )
  paths = shard_files.list_record_files(path_to_tfrecords, dataset, split)
  info = dataset_info.load_dataset_info(path_to_tfrecords, dataset)
  facts = f"{dataset}_{split}", info.splits[split], info.class_names
  print(*dataset_info.describe_split(*facts), sep="\n")
  videos = []
  for record in tfrecords.list_records(paths)[:max_videos]:
    example = examples.read_example(record)
    examples.check_frames(example)
    videos.append(SheetVideo(example.name, example.jpegs, example.frame_labels))
  picture = draw_contact_sheet(videos, info.class_names, frames_per_video)
  with atomic_write(sheet) as temporary:
    cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
  print(f"Contact sheet: {sheet}")


def check(path_to_tfrecords: str, dataset: str, split: str) -> None:
  """Decode every frame of a split and print what is wrong with its records.

  Args:
    path_to_tfrecords: Folder of the records, see `shard_files.records_folder`.
    dataset: Name of the data set.
    split: Name of the split.

  Raises:
    UserError: There are no records, or some are damaged or contradict
      themselves or the names of the phases.
  """
  paths = shard_files.list_record_files(path_to_tfrecords, dataset, split)
  records = tfrecords.list_records(paths)
  names = dataset_info.load_class_names(path_to_tfrecords, dataset)
  problems = 0
  for record in records:
    try:
      example = examples.read_example(record)
      examples.check_frames(example)
      examples.check_numbers(example, len(names))
    except UserError as error:
      problems += 1
      print(error)
  if problems:
    raise UserError(
      f"{dataset}_{split}: expected {len(records)} sound records, received"
      f" {problems} that are not, see above; convert their videos again"
    )
  print(f"{dataset}_{split}: {len(records)} records, all sound")
  if not names:
    print(
      "How many phases there may be is not known, as no"
      f" {dataset_info.FILE_NAME} names them; labels may be any number."
    )


def main() -> None:
  """Draw or check the records that the flags name."""
  records = FLAGS.path_to_tfrecords, FLAGS.dataset, FLAGS.split
  if FLAGS.check:
    check(*records)
  else:
    visualize(*records, FLAGS.sheet, FLAGS.max_videos, FLAGS.frames_per_video)


if __name__ == "__main__":
  preparation_flags.define_records_flags()
  command_line.define_path(
    "sheet", "/tmp/contact_sheet.png", "Picture to write."
  )
  flags.DEFINE_integer("max_videos", 12, "Videos on the contact sheet.", 1)
  flags.DEFINE_integer("frames_per_video", 10, "Frames of each of them.", 1)
  flags.DEFINE_boolean(
    "check", False, "Whether to look for damage instead of drawing."
  )
  command_line.run(main)
