"""Records of the videos of a folder, with the labels that are there."""

import os
import pathlib
from collections.abc import Mapping, Sequence

from core.errors import UserError
from core.files import atomic_write
from data import dataset_info
from dataset_preparation import shards
from dataset_preparation.conversion import Source
from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.shards import ShardOptions, SplitPlan
from media.frame_encoding import FrameEncoding

# Name of the data set.
DATASET = "videos"
# Small, since an interrupted conversion goes on with the next of them.
_FILES_PER_SHARD = 8


def write_records(
  paths: Mapping[str, pathlib.Path],
  splits: Mapping[str, Sequence[str]],
  encoding: FrameEncoding,
  folder: pathlib.Path,
  label_file: str | os.PathLike | None = None,
) -> dict[str, str]:
  """Convert videos to records, unless that is done as they are now.

  Args:
    paths: Name of a video -> its file.
    splits: Name of a split -> names of its videos.
    encoding: How frames are stored.
    folder: Folder of the records.
    label_file: Labels of some or all of the videos; None for none.

  Returns:
    The reason why each video that can't be read to its end is left out.

  Raises:
    UserError: The label file can't be read or doesn't fit a video, no video can
      be read, or the records can't be written.
  """
  labels, class_names = {}, ()
  if label_file:
    file = read_label_file(LabelOptions(label_file), paths)
    labels = file.find_labels(file.match(paths))
    class_names = file.class_names
  plans = [
    SplitPlan(
      f"{DATASET}_{split}",
      [Source(name, paths[name], labels.get(name)) for name in names],
      class_names,
    )
    for split, names in splits.items()
  ]
  made_from = "".join(
    f"{plan.name} {shards.compute_fingerprint(plan.sources, encoding)}"
    f" {', '.join(class_names)}\n"
    for plan in plans
  )
  stamp = folder / "made_from.txt"
  if not stamp.exists() or stamp.read_text("utf-8") != made_from:
    options = ShardOptions(_FILES_PER_SHARD, overwrite=True, skip_broken=True)
    shards.write_splits(plans, encoding, folder, options)
    with atomic_write(stamp) as temporary:
      temporary.write_text(made_from, "utf-8")
  done = dataset_info.read_dataset_file(folder, DATASET).splits
  skipped = (video for split in splits for video in done[split].skipped)
  reasons = {video["name"]: video["reason"] for video in skipped}
  for name, reason in reasons.items():
    if name in labels and not reason.startswith(f"{paths[name]}:"):
      raise UserError(reason)  # A mistake in its labels.
  return reasons
