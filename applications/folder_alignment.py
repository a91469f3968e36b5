"""Alignment of the videos of a folder, see `align_folder`."""

import dataclasses
import os
import pathlib
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from absl import logging
from easydict import EasyDict

import config as configuration
import embeddings
import train
from applications import folder_output, training_plan
from applications.folder_records import DATASET, write_records
from applications.folder_videos import (
  ReadableVideo,
  inspect_folder,
  inspect_video,
)
from applications.judgement import Judgement, judge
from applications.training_plan import Plan
from core import files, run_directory
from core.errors import UserError
from embeddings import extraction, video_files
from embeddings.types import EmbeddedSplit
from media.frame_encoding import FrameEncoding
from training.log import read_losses
from visualization.matching import find_medoid

_CONFIG = pathlib.Path(__file__).resolve().parents[1] / "configs/own_videos.yml"
# Pixels of the shorter side of stored frames: the network's largest picture.
_SHORT_SIDE = 224


@dataclasses.dataclass(frozen=True)
class Options:
  """What a user may choose.

  Attributes:
    minutes: What everything may take.
    config: YAML file that training starts from; None for
      `configs/own_videos.yml`.
    set: Settings that replace those of `config`, `KEY=value`; the plan decides
      sizes and steps.
    backbone: A .keras file; None for the backbone of `config`.
    logdir: A trained run to use instead of training; None trains.
    label_file: Labels of some or all videos, to show; None for none.
    reference_video: Name of the video that the others follow, or a video file
      to add to them; None for the one that is nearest to all others.
    use_dtw: Whether to match by dynamic time warping instead of nearest
      neighbors.
  """

  minutes: float = 10.0
  config: str | os.PathLike | None = None
  set: Sequence[str] = ()
  backbone: str | None = None
  logdir: str | None = None
  label_file: str | None = None
  reference_video: str | None = None
  use_dtw: bool = False


def align_folder(
  input_dir: str | os.PathLike, output_dir: str | os.PathLike, options: Options
) -> Judgement:
  """Align the videos of a folder.

  Args:
    input_dir: Folder of the videos; those in it are searched too.
    output_dir: Folder to write to, see the module.
    options: What the user chooses.

  Returns:
    What the alignment is worth.

  Raises:
    UserError: There are fewer than two videos, the backbone or the run can't be
      had, or the output can't be written.
    SystemExit: Training was interrupted; its checkpoint is saved.
  """
  folder = _make_output(input_dir, output_dir)
  found, left_out = inspect_folder(input_dir)
  reference = _add_reference(found, options.reference_video)
  _check_count(found, left_out)
  if options.logdir:
    plan, config = None, configuration.load_run(options.logdir)
    encoding, splits = video_files.find_encoding(config), {"new": [*found]}
  else:
    plan, config = _plan(found, folder, options)
    encoding = FrameEncoding(short_side=_SHORT_SIDE, fps=plan.fps)
    splits = plan.splits
  config.DATASETS = [DATASET]
  config.PATH_TO_TFRECORDS = str(folder / "records")
  config.DATA.CACHE_DIR = str(folder / "cache")
  logging.info("Converting %d videos", len(found))
  broken = write_records(
    {name: video.path for name, video in found.items()},
    splits,
    encoding,
    folder / "records",
    options.label_file,
  )
  left_out |= broken
  found = {name: x for name, x in found.items() if name not in broken}
  _check_count(found, left_out)
  if reference in broken:
    raise UserError(f"--reference_video: {broken[reference]}")
  config, losses = _train(config) if plan else (config, [])
  embedded = _embed(config, splits, found)
  videos = [dataclasses.replace(x, frames=None) for x in embedded.videos]
  bare = dataclasses.replace(embedded, videos=videos)
  embeddings.save(folder / "embeddings.npy", bare)
  held_out = plan.held_out if plan else ()
  judgement = judge(videos, held_out, losses, config)
  if reference:
    number = [*found].index(reference)
  else:
    number = find_medoid([video.embs for video in videos])
  left_out = [f"Left out {name}: {why}." for name, why in left_out.items()]
  notes = [*judgement.sentences, *left_out]
  folder_output.write_all(folder, embedded, number, notes, options.use_dtw)
  return judgement


def _make_output(
  input_dir: str | os.PathLike, output_dir: str | os.PathLike
) -> pathlib.Path:
  """Make the folder of the output, outside of that of the videos."""
  folder = pathlib.Path(output_dir)
  if folder.resolve().is_relative_to(pathlib.Path(input_dir).resolve()):
    raise UserError(
      f"--output_dir: expected a folder outside of {input_dir}, where videos"
      f" are looked for, received {output_dir}; choose another"
    )
  return files.make_folder(folder.absolute())


def _add_reference(
  videos: dict[str, ReadableVideo], reference: str | None
) -> str | None:
  """Return the name of the reference, which may be a file to add."""
  if reference is None or reference in videos:
    return reference
  path = pathlib.Path(reference)
  if not path.is_file():
    raise UserError(
      "--reference_video: expected the name of a video, such as"
      f" {next(iter(videos), 'clip1')}, or a video file, received {reference};"
      " correct it"
    )
  for name, video in videos.items():
    if video.path.samefile(path):
      return name
  name = path.stem if path.stem not in videos else f"{path.stem} (reference)"
  videos[name] = inspect_video(path)
  return name


def _check_count(videos: Collection[str], left_out: dict[str, str]) -> None:
  if len(videos) > 1:
    return
  reasons = "".join(f"; {name}: {why}" for name, why in left_out.items())
  raise UserError(
    f"--input_dir: expected at least two videos, received"
    f" {', '.join(videos) or 'none'}{reasons}; add some, or with --logdir give"
    " an older one as --reference_video"
  )


def _plan(
  videos: dict[str, ReadableVideo], folder: pathlib.Path, options: Options
) -> tuple[Plan, EasyDict]:
  """Follow the plan that is there, or make one and show it."""
  settings = [*options.set]
  if options.backbone:
    path = os.path.abspath(options.backbone)
    settings.append(f"MODEL.BASE_MODEL.NETWORK={path}")
  base = configuration.load([options.config or _CONFIG], settings)
  path = folder / "plan.yml"
  if path.exists():
    plan = Plan.load(path, videos)
    logging.info("Following %s; what is done stays", path)
  else:
    logging.info("Measuring the speed of this machine")
    cost = training_plan.measure_cost(base)
    room = min(base.DATA.CACHE_MAX_GB * 1e9, shutil.disk_usage(folder).free)
    plan = training_plan.make_plan(videos, cost, options.minutes, room)
    plan.save(path)
    logging.info("Plan: %s", plan.describe())
  return plan, training_plan.build_config(base, plan, folder)


def _train(config: EasyDict) -> tuple[EasyDict, list[float]]:
  """Train, or go on with it; return its settings and the reported losses."""
  steps = run_directory.list_checkpoints(config.LOGDIR)
  if not steps or steps[-1][0] < config.TRAIN.MAX_ITERS:
    if stopped_by := train.train(config, force_train=True):
      sys.exit(128 + stopped_by)
  # What depends on the machine is settled there; the folder may have moved.
  settled = configuration.load_run(config.LOGDIR)
  settled.PATH_TO_TFRECORDS = config.PATH_TO_TFRECORDS
  settled.DATA.CACHE_DIR = config.DATA.CACHE_DIR
  return settled, read_losses(config.LOGDIR)


def _embed(
  config: EasyDict, splits: Iterable[str], found: Mapping[str, ReadableVideo]
) -> EmbeddedSplit:
  """Embed all videos, with their frames and files, in the folder's order."""
  embedder = extraction.restore_embedder(config)
  embedded = {}
  for split in splits:
    part = extraction.embed_split(embedder, config, DATASET, split)
    part = extraction.attach_frames(config, DATASET, split, part)
    for video in part.videos:
      source = str(found[video.name].path.absolute())
      embedded[video.name] = dataclasses.replace(video, source=source)
  videos = [embedded[name] for name in found]
  return EmbeddedSplit(videos, part.class_names)
