r"""Converts the Penn Action data set to one set of TFRecords an action.

    python -m dataset_preparation.penn_action --penn_dir ~/Penn_Action \
      --label_file ~/penn_phases.csv --output_dir ~/penn

`--penn_dir` is the published folder: `frames/0001/000001.jpg`, ... and
`labels/0001.mat`, of which `action` and `train` are read. Phases come in any
format of `label_files`, by the number of the video (`0001`).
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
from dataset_preparation.build_records import LabelOptions
from dataset_preparation.conversion import FrameEncoding
from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.shards import ShardOptions

# Penn Action's own names of the actions, where ours are others.
_RENAMED = {
  "bowl": "bowling",
  "pullup": "pullups",
  "pushup": "pushups",
  "squat": "squats",
}
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

# Action -> split -> name of a video -> folder of its images.
Videos = dict[str, dict[str, dict[str, pathlib.Path]]]


def find_videos(penn_dir: str | os.PathLike) -> Videos:
  """Lists the videos of the actions that have phases.

  Args:
    penn_dir: The published folder.

  Returns:
    Action -> `train` and `val` -> name of a video -> folder of its images.

  Raises:
    UserError: The folder is another one, or a `.mat` file or its images are
      missing or damaged.
  """
  root = pathlib.Path(penn_dir)
  files = sorted(root.glob("labels/*.mat"))
  if not files:
    raise UserError(
      f"{root / 'labels'}: found no .mat files; expected the published Penn"
      " Action folder, with frames/ and labels/; correct --penn_dir"
    )
  videos = {action: {s: {} for s in SPLITS} for action in PUBLISHED_COUNTS}
  for file in files:
    action, split = _read_mat(file)
    if action not in videos:
      continue
    folder = root / "frames" / file.stem
    if not folder.is_dir():
      raise UserError(
        f"{folder}: expected a folder of images, as {file} describes one;"
        " unpack the data set again"
      )
    videos[action][split][file.stem] = folder
  return videos


def _read_mat(file: pathlib.Path) -> tuple[str, str]:
  """Our name of the action, and the official split."""
  try:
    content = scipy.io.loadmat(file)
    action = str(content["action"].item())
    # 1 for training, -1 for testing.
    split = "train" if content["train"].item() > 0 else "val"
  # Damage makes SciPy raise whatever it stumbles over.
  except Exception as error:
    raise UserError(
      f"{file}: expected a .mat file with `action` and `train`, received"
      f" something else ({errors.first_line(error)}); unpack the data set again"
    ) from error
  return _RENAMED.get(action, action), split


def convert(
  penn_dir: str | os.PathLike,
  output_dir: str,
  *,
  storing: FrameEncoding | None = None,
  labeling: LabelOptions | None = None,
  writing: ShardOptions | None = None,
) -> dict[str, SplitInfo]:
  """Converts the actions that have phases.

  Args:
    penn_dir: The published folder.
    output_dir: Folder of the records, with `%s` for the name of the action.
    storing: How frames are stored; None, as for the others: the defaults.
    labeling: How videos get their labels; those that have none in the label
      file are left out.
    writing: How records are written.

  Returns:
    `<action>_<split>` -> what became of it, without those that have no videos.

  Raises:
    UserError: See `find_videos` and `build_records.prepare`.
  """
  labeling = labeling or LabelOptions()
  videos = find_videos(penn_dir)
  if labeling.label_file:
    videos = _labeled(videos, labeling.label_file)
  parts = []
  for action, splits in videos.items():
    present = {f"{action}_{s}": paths for s, paths in splits.items() if paths}
    if present:
      # Phases that have names are numbered action by action.
      parts += build_records.plan(present, output_dir, labeling)
  _check_counts(videos)
  return shards.write(
    parts, storing or FrameEncoding(), output_dir, writing or ShardOptions()
  )


def _labeled(videos: Videos, label_file: str | os.PathLike) -> Videos:
  known = read_label_file(label_file, videos=()).places
  found = {
    action: {
      split: {name: path for name, path in paths.items() if name in known}
      for split, paths in splits.items()
    }
    for action, splits in videos.items()
  }
  left, kept = (_count(x) for x in (videos, found))
  if not kept:
    raise UserError(
      f"{label_file}: labels none of the {left} videos; expected names such as"
      " '0001'"
    )
  if kept < left:
    logging.warning(
      "%s: %d of %d videos have no labels and are left out",
      *(label_file, left - kept, left),
    )
  return found


def _count(videos: Videos) -> int:
  return sum(
    len(paths) for splits in videos.values() for paths in splits.values()
  )


def _check_counts(videos: Videos) -> None:
  """Warns where there are other numbers of videos than published."""
  for action, published in PUBLISHED_COUNTS.items():
    found = tuple(len(videos[action][split]) for split in SPLITS)
    if found != published:
      logging.warning(
        "%s: %d train and %d val videos, the paper has %d and %d",
        *(action, *found, *published),
      )


def main() -> None:
  """Converts the data set that the flags name."""
  args = flags.FLAGS
  output_dir = args.output_dir
  if "%s" not in output_dir:
    output_dir = f"{output_dir}/%s_tfrecords"
  written = convert(
    args.penn_dir,
    output_dir,
    storing=preparation_flags.storing(),
    labeling=preparation_flags.labeling(),
    writing=preparation_flags.writing(),
  )
  names = {video["name"] for info in written.values() for video in info.videos}
  skipped = {x["name"] for info in written.values() for x in info.skipped}
  unused = build_records.unused_labels(
    preparation_flags.labeling().label_file, names | skipped
  )
  preparation_flags.tell(written, output_dir, unused)


if __name__ == "__main__":
  preparation_flags.define_storing()
  preparation_flags.define_labeling()
  preparation_flags.define_writing()
  flags.adopt_module_key_flags(preparation_flags)
  command_line.define_path(
    "penn_dir", None, "The published Penn Action folder.", required=True
  )
  command_line.run(main)
