"""Writes the embeddings of a data set, or of video files, to a file.

Usage: python extract_embeddings.py --logdir /tmp/my_run --dataset pouring
         --split val --save_path /tmp/embeddings.npy
       python extract_embeddings.py --logdir /tmp/my_run --videos 'clips/*.mp4'
         --save_path /tmp/embeddings.npy

Video files are read as those that the run was trained with: frames of the same
size and rate, unless flags say otherwise.
"""

import core.quiet_tensorflow  # noqa: F401

import dataclasses
import itertools
import pathlib

from absl import flags, logging
from easydict import EasyDict

import config as configuration
import embeddings
from core import files
from core.command_line import define_path, run
from core.errors import UserError
from embeddings import extraction, video_files
from embeddings.types import EmbeddedSplit
from media import frame_flags

FLAGS = flags.FLAGS


def extract(
  config: EasyDict,
  dataset: str,
  split: str,
  save_path: str,
  max_embs: int = 0,
  keep_data: bool = False,
  keep_labels: bool = True,
) -> None:
  """Embed a split with the last checkpoint of LOGDIR and save the result.

  Args:
    config: The configuration of the run.
    dataset: Name of the data set.
    split: `train`, `val`, ...
    save_path: File to write; see `embeddings.save`.
    max_embs: Videos to embed at most; 0 = all.
    keep_data: Whether the frames are saved as well.
    keep_labels: Whether the labels of the frames are saved.

  Raises:
    UserError: There is no checkpoint, no such data set, or no room.
  """
  embedder = _restore(config, save_path)
  embedded = extraction.embed_split(
    embedder, config, dataset, split, max_embs, keep_data
  )
  if not keep_labels:
    videos = [dataclasses.replace(x, labels=None) for x in embedded.videos]
    embedded = EmbeddedSplit(videos)
  _save(save_path, embedded)


def _restore(config: EasyDict, save_path: str) -> extraction.VideoEmbedder:
  """Restore the last checkpoint, before anything is written."""
  embedder = extraction.restore_embedder(config)
  files.make_folder(pathlib.Path(save_path).parent)
  return embedder


def _save(save_path: str, embedded: EmbeddedSplit) -> None:
  embeddings.save(save_path, embedded)
  logging.info("Wrote %d videos to %s", len(embedded.videos), save_path)


def _extract_videos(config: EasyDict) -> None:
  """Embed the video files that the flags name, see `extract`."""
  encoding = frame_flags.get(video_files.find_encoding(config))
  paths = video_files.find_videos(FLAGS.videos)
  paths = dict(itertools.islice(paths.items(), FLAGS.max_embs or None))
  embedded = video_files.embed_videos(
    _restore(config, FLAGS.save_path),
    paths,
    encoding,
    stride=config.DATA.SAMPLE_ALL_STRIDE,
    keep_frames=FLAGS.keep_data,
    skip_broken=FLAGS.on_error != "stop",
  )
  _save(FLAGS.save_path, embedded)


def main() -> None:
  """Read the flags and extract."""
  config = configuration.load_run(FLAGS.logdir)
  if FLAGS.path_to_tfrecords:
    config.PATH_TO_TFRECORDS = FLAGS.path_to_tfrecords
  if FLAGS.frames_per_batch:
    config.EVAL.FRAMES_PER_BATCH = FLAGS.frames_per_batch
  if FLAGS.sample_all_stride:
    config.DATA.SAMPLE_ALL_STRIDE = FLAGS.sample_all_stride
  if FLAGS.videos:
    _extract_videos(config)
  elif FLAGS.dataset and FLAGS.split:
    target = (FLAGS.dataset, FLAGS.split, FLAGS.save_path, FLAGS.max_embs)
    extract(config, *target, FLAGS.keep_data, FLAGS.keep_labels)
  else:
    raise UserError(
      "--dataset: expected a data set and a --split, or --videos, received"
      f" {FLAGS.dataset} and {FLAGS.split}; give --dataset {config.DATASETS[0]}"
      " --split val, or --videos"
    )


if __name__ == "__main__":
  define_path("logdir", "/tmp/alignment_logs", "Log directory of the run.")
  flags.DEFINE_string("dataset", None, "Name of the data set.")
  flags.DEFINE_string("split", None, "Split: train, val, ...")
  flags.DEFINE_multi_string(
    "videos",
    [],
    "Video file or folder of images to embed instead, or a pattern of such;"
    " may be given several times.",
  )
  frame_flags.define()
  define_path("save_path", "/tmp/embeddings.npy", "File to write.")
  define_path(
    "path_to_tfrecords",
    None,
    "Folder of the records, %s = the data set (default: that of the run).",
  )
  flags.DEFINE_integer(
    "frames_per_batch",
    None,
    "Frames embedded at once; for memory and speed (default: that of the run).",
    lower_bound=1,
  )
  flags.DEFINE_bool(
    "keep_data", False, "Save the frames as well, for visualize_alignment.py."
  )
  flags.DEFINE_bool("keep_labels", True, "Save the labels of the frames.")
  flags.DEFINE_integer(
    "sample_all_stride",
    None,
    "Embed every so many frames (default: that of the run).",
    lower_bound=1,
  )
  flags.DEFINE_integer("max_embs", 0, "Videos to embed; 0 = all.", 0)
  run(main)
