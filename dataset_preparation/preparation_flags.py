"""Flags that the preparation commands share, and what they stand for."""

import itertools
import pathlib
import sys
from collections.abc import Collection, Mapping, Sequence

from absl import flags

from core import command_line
from core.errors import UserError
from data import dataset_info, shard_files
from data.dataset_info import SplitInfo
from dataset_preparation import build_records, dry_run, splits
from dataset_preparation.build_records import SplitOptions
from dataset_preparation.labels.options import OUTSIDE_SEGMENTS, LabelOptions
from dataset_preparation.shards import ShardOptions
from media import frame_flags
from media.frame_encoding import FrameEncoding

FLAGS = flags.FLAGS
# --help lists them under the command that defines them.
flags.disclaim_key_flags()

# Exit status if videos were skipped.
_INCOMPLETE = 2


def define_records_flags() -> None:
  """Define the flags that say which records a command reads."""
  flags.DEFINE_string("dataset", None, "Name of the data set.", required=True)
  flags.DEFINE_string("split", "train", "Name of the split.")
  command_line.define_path(
    "path_to_tfrecords",
    "/tmp/%s_tfrecords/",
    "Folder of the records; %s stands for the data set.",
  )


def define_label_flags() -> None:
  """Define the flags on labels."""
  command_line.define_path(
    "label_file",
    None,
    "Phases of the videos: a table (CSV), JSON, an export of ELAN, VIA, Label"
    " Studio, CVAT or BORIS, or a folder of such files or of NumPy arrays, see"
    " docs/data.md; none = no labels.",
  )
  flags.DEFINE_list(
    "phases",
    [],
    "Names of the phases in the order of their numbers; by default those in"
    " dataset.json, or as they come in --label_file.",
  )
  flags.DEFINE_boolean(
    "frame_labels",
    True,
    "Whether to store the label of each frame when there is a --label_file.",
  )
  flags.DEFINE_string(
    "label_tier",
    "",
    "Tier, subject or annotator in --label_file that counts; by default all,"
    " which have to draw the same segments.",
  )
  flags.DEFINE_enum(
    "outside_segments",
    *(OUTSIDE_SEGMENTS[0], OUTSIDE_SEGMENTS),
    "Label of frames between segments, before the first and after the last:"
    " that of the nearest, or none, -1.",
  )
  flags.DEFINE_boolean(
    "resample_labels",
    False,
    "Whether a video may have another number of labels than frames: each frame"
    " then gets the nearest.",
  )
  flags.DEFINE_integer(
    "action_label", -1, "Label of each video as a whole, -1 = none.", -1
  )
  flags.DEFINE_integer(
    "expected_segments",
    0,
    "Number of segments that every video must have, 0 = any.",
    lower_bound=0,
  )


def get_label_options() -> LabelOptions:
  """Return how the flags want videos to be labeled."""
  return LabelOptions(
    label_file=FLAGS.label_file if FLAGS.frame_labels else None,
    phases=FLAGS.phases,
    expected_segments=FLAGS.expected_segments,
    action_label=FLAGS.action_label,
    label_tier=FLAGS.label_tier,
    outside_segments=FLAGS.outside_segments,
    resample_labels=FLAGS.resample_labels,
  )


def define_split_flags() -> None:
  """Define the flags on the name of the records and their splits."""
  flags.DEFINE_string(
    "name",
    None,
    "Name of the records, <dataset>_<split>; with --split <dataset> alone, to"
    " which each split's name is added.",
    required=True,
  )
  flags.DEFINE_list(
    "split", [], "Splits to divide the videos into, such as train=0.8,val=0.2."
  )
  flags.DEFINE_integer("seed", 0, "Seed of the choice that --split makes.")
  command_line.define_path(
    "group_file",
    None,
    "CSV table video,group: --split keeps the videos of a group together.",
  )


def get_split_options(videos: Collection[str]) -> SplitOptions:
  """Return how the flags want these videos to be divided."""
  path = FLAGS.group_file
  if path and not FLAGS.split:
    raise UserError(
      "--group_file: expected --split, whose groups it lists, received none;"
      " give --split, or leave --group_file away"
    )
  groups = splits.read_groups(path, videos) if path else {}
  return SplitOptions(splits.parse_shares(FLAGS.split), FLAGS.seed, groups)


def define_shard_flags() -> None:
  """Define the flags on the output."""
  command_line.define_path(
    "output_dir",
    "/tmp/%s_tfrecords/",
    "Folder of the records; %s stands for <dataset>.",
  )
  flags.DEFINE_integer("files_per_shard", 50, "Videos in one record file.", 1)
  flags.DEFINE_integer("num_workers", 0, "Processes; 0 = one a core.", 0)
  flags.DEFINE_boolean(
    "overwrite", False, "Whether to replace records of the same name."
  )


def get_shard_options() -> ShardOptions:
  """Return how the flags want records to be written."""
  return ShardOptions(
    files_per_shard=FLAGS.files_per_shard,
    num_workers=FLAGS.num_workers,
    overwrite=FLAGS.overwrite,
    skip_broken=FLAGS.on_error != "stop",
  )


def define_all_flags() -> None:
  """Define the flags of a command that converts one folder."""
  define_split_flags()
  frame_flags.define()
  define_label_flags()
  define_shard_flags()
  flags.DEFINE_boolean(
    "dry_run",
    False,
    "Whether to say what each video holds and would become, and write nothing.",
  )


def build_and_report(
  paths: Mapping[str, pathlib.Path],
  encoding: FrameEncoding,
  notes: Sequence[str] = (),
) -> None:
  """Convert videos as the flags say, or only inspect them; print a summary.

  Args:
    paths: Name of a record -> its video file or folder of images.
    encoding: How frames are stored.
    notes: Lines that end the summary.

  Raises:
    UserError: See `build_records.build_records`.
    SystemExit: With status 2 if videos were skipped.
  """
  labels, division = get_label_options(), get_split_options(paths)
  target = paths, FLAGS.name, FLAGS.output_dir
  if FLAGS.dry_run:
    plans = build_records.plan_records(*target, labels, division)
    is_sound = dry_run.inspect(plans, encoding, FLAGS.num_workers)
    unused = build_records.describe_unused_labels(labels.label_file, paths)
    print(*notes, *unused, "Nothing was written (--dry_run).", sep="\n")
    sys.exit(0 if is_sound else _INCOMPLETE)
  written = build_records.build_records(
    *target,
    encoding=encoding,
    labels=labels,
    division=division,
    options=get_shard_options(),
  )
  unused = build_records.describe_unused_labels(labels.label_file, paths)
  report(written, FLAGS.output_dir, [*notes, *unused])


def report(
  written: Mapping[str, SplitInfo], output_dir: str, notes: Sequence[str] = ()
) -> None:
  """Print a summary of splits; exit with status 2 if videos were skipped."""
  parse = shard_files.parse_set_name
  for dataset, names in itertools.groupby(written, lambda x: parse(x)[0]):
    folder = shard_files.records_folder(output_dir, dataset)
    info = dataset_info.read_dataset_file(folder, dataset)
    infos = {name: written[name] for name in names}
    print(build_records.summarize(infos, info.class_names))
    print(
      f"Use the records with DATASETS: [{dataset}] and PATH_TO_TFRECORDS:"
      f" {folder}. {folder / dataset_info.FILE_NAME} has the details; edit its"
      " class_names to name the phases."
    )
  for note in notes:
    print(note)
  exit_if_incomplete(written)


def exit_if_incomplete(written: Mapping[str, SplitInfo]) -> None:
  """Exit with status 2 if videos were skipped."""
  if any(info.skipped for info in written.values()):
    sys.exit(_INCOMPLETE)
