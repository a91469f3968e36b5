r"""Converts the Penn Action data set to one set of TFRecords per action.

    python -m dataset_preparation.penn_action --penn_dir ~/Penn_Action \
      --label_file ~/penn_phases.csv --output_dir ~/penn

`--penn_dir` is the published folder: `frames/0001/000001.jpg`, ... and
`labels/0001.mat`, of which `action` and `train` are read. Phases come in any
format of `labels.label_file`, by the number of the video (`0001`).
"""

import pathlib
import sys

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import os

import scipy.io
from absl import flags, logging

from core import command_line, errors
from core.errors import UserError
from data.dataset_info import SplitInfo
from dataset_preparation import build_records, preparation_flags, shards
from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.shards import ShardOptions
from media import frame_flags
from media.frame_encoding import FrameEncoding

# Penn Action's names of actions that are called otherwise here.
_OURS = dict(bowl="bowling", pullup="pullups", pushup="pushups", squat="squats")
SPLITS = ("train", "val")
# Videos of train and val in the paper's table 4. The other two actions of Penn
# Action, jump_rope and strum_guitar, have no phases.
PUBLISHED_COUNTS = {
  "baseball_pitch": (103, 63),
  "baseball_swing": (113, 57),
  "bench_press": (69, 71),
  "bowling": (134, 85),
  "clean_and_jerk": (40, 42),
  "golf_swing": (87, 77),
  "jumping_jacks": (56, 56),
  "pullups": (98, 101),
  "pushups": (102, 105),
  "situp": (50, 50),
  "squats": (114, 116),
  "tennis_forehand": (79, 74),
  "tennis_serve": (115, 69),
}

# `<action>_<split>` -> name of a video -> folder of its images.
Videos = dict[str, dict[str, pathlib.Path]]


def find_videos(penn_dir: str | os.PathLike) -> Videos:
  """List the videos of the actions that have phases.

  Args:
    penn_dir: The published folder.

  Returns:
    `<action>_train` and `<action>_val` -> name of a video -> folder of its
    images.

  Raises:
    UserError: It is another folder, or a `.mat` file or its images are missing
      or damaged.
  """
  root = pathlib.Path(penn_dir)
  mat_files = sorted(root.glob("labels/*.mat"))
  if not mat_files:
    raise UserError(
      f"{root / 'labels'}: expected the .mat files of the published Penn"
      " Action folder, beside frames/, received none; correct --penn_dir"
    )
  videos = {f"{a}_{s}": {} for a in PUBLISHED_COUNTS for s in SPLITS}
  for file in mat_files:
    name = _read_mat(file)
    if name not in videos:
      continue
    folder = root / "frames" / file.stem
    if not folder.is_dir():
      raise UserError(
        f"{folder}: expected the folder of images that {file} describes,"
        " received none; unpack the data set again"
      )
    videos[name][file.stem] = folder
  return videos


def _read_mat(file: pathlib.Path) -> str:
  """Return `<action>_<split>` with our name of the action."""
  try:
    content = scipy.io.loadmat(file)
    action = str(content["action"].item())
    # 1 for training, -1 for testing.
    split = "train" if content["train"].item() > 0 else "val"
  # SciPy raises many types of exceptions for damaged files.
  except Exception as error:
    raise UserError(
      f"{file}: expected a .mat file with `action` and `train`, received"
      f" something else ({errors.first_line(error)}); unpack the data set again"
    ) from error
  return f"{_OURS.get(action, action)}_{split}"


def convert_actions(
  penn_dir: str | os.PathLike,
  output_dir: str,
  *,
  encoding: FrameEncoding | None = None,
  labels: LabelOptions | None = None,
  options: ShardOptions | None = None,
) -> dict[str, SplitInfo]:
  """Convert the actions that have phases.

  Args:
    penn_dir: The published folder.
    output_dir: Folder of the records, with `%s` for the name of the action.
    encoding: How frames are stored; None, as for the others, for the defaults.
    labels: How videos get their labels; videos that the label file doesn't list
      are left out.
    options: How records are written.

  Returns:
    `<action>_<split>` -> facts about it, for splits that have videos.

  Raises:
    UserError: See `find_videos` and `build_records.build_records`.
  """
  labels, encoding = labels or LabelOptions(), encoding or FrameEncoding()
  videos = find_videos(penn_dir)
  if labels.label_file:
    videos = _keep_labeled(videos, labels.label_file)
  plans = []
  for action in PUBLISHED_COUNTS:
    names = (f"{action}_{split}" for split in SPLITS)
    if present := {name: videos[name] for name in names if videos[name]}:
      # Phases that have names are numbered for each action anew.
      plans += build_records.plan_splits(present, output_dir, labels)
  _check_counts(videos)
  options = options or ShardOptions()
  return shards.write_splits(plans, encoding, output_dir, options)


def _keep_labeled(videos: Videos, label_file: str | os.PathLike) -> Videos:
  file = read_label_file(LabelOptions(label_file), videos=())
  labeled = file.match([name for paths in videos.values() for name in paths])
  found = {
    split: {name: paths[name] for name in paths if name in labeled}
    for split, paths in videos.items()
  }
  total, kept = (sum(map(len, x.values())) for x in (videos, found))
  if not kept:
    raise UserError(
      f"{label_file}: expected labels of the {total} videos, named such as"
      " '0001', received none; correct the names"
    )
  if kept < total:
    text = "%s: %d of %d videos have no labels and are left out"
    logging.warning(text, label_file, total - kept, total)
  return found


def _check_counts(videos: Videos) -> None:
  """Warn if the numbers of videos differ from the published ones."""
  text = "%s: %d train and %d val videos, the paper has %d and %d"
  for action, published in PUBLISHED_COUNTS.items():
    found = tuple(len(videos[f"{action}_{split}"]) for split in SPLITS)
    if found != published:
      logging.warning(text, action, *found, *published)


def main() -> None:
  """Convert the data set that the flags name."""
  output_dir = flags.FLAGS.output_dir
  if "%s" not in output_dir:
    output_dir = f"{output_dir}/%s_tfrecords"
  labels = preparation_flags.get_label_options()
  written = convert_actions(
    flags.FLAGS.penn_dir,
    output_dir,
    encoding=frame_flags.get(),
    labels=labels,
    options=preparation_flags.get_shard_options(),
  )
  facts = (x for info in written.values() for x in info.videos + info.skipped)
  names = [fields["name"] for fields in facts]
  unused = build_records.describe_unused_labels(labels.label_file, names)
  preparation_flags.report(written, output_dir, unused)


if __name__ == "__main__":
  frame_flags.define()
  preparation_flags.define_label_flags()
  preparation_flags.define_shard_flags()
  command_line.define_path(
    "penn_dir", None, "The published Penn Action folder.", required=True
  )
  command_line.run(main)
