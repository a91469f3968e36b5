"""Embedding video files and folders of images that are in no record."""

import dataclasses
import glob
import itertools
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import logging
from easydict import EasyDict

import datasets
from core.errors import UserError
from data import dataset_info, examples
from data.encoded_frames import EncodedFrames
from embeddings.extraction import VideoEmbedder, decode_frames
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from media.frame_encoding import FrameEncoding
from media.frame_store import store_frames
from media.sources import open_source


def find_videos(patterns: Sequence[str]) -> dict[str, pathlib.Path]:
  """Find video files and image folders.

  Args:
    patterns: Paths, or patterns such as `clips/*.mp4`.

  Returns:
    Name -> path, each path once, in the order of the patterns, those of one in
    alphabetical order. The name is the path below the folder that all have in
    common, without ending where names differ without.

  Raises:
    UserError: Nothing matches a pattern.
  """
  found: dict[str, None] = {}
  for pattern in patterns:
    pattern = os.path.expanduser(pattern)
    paths = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
    if not paths:
      raise UserError(
        f"--videos: expected video files or folders of images, received none"
        f" that match {pattern}; correct it"
      )
    found |= dict.fromkeys(paths)
  paths = list(map(pathlib.Path, found))
  root = os.path.commonpath([path.absolute().parent for path in paths])
  names = [path.absolute().relative_to(root) for path in paths]
  short = [
    name if path.is_dir() else name.with_suffix("")
    for name, path in zip(names, paths, strict=True)
  ]
  if len(set(short)) == len(names):
    names = short
  return dict(zip(map(pathlib.Path.as_posix, names), paths, strict=True))


def find_encoding(config: EasyDict) -> FrameEncoding:
  """Find how the frames were stored that a network was trained with.

  Args:
    config: The configuration of the run.

  Returns:
    What `dataset.json` of its first data set says; of sets that older versions
    made, the size and the rate; of other programs' records, the size.

  Raises:
    UserError: There is no such data set.
  """
  dataset = config.DATASETS[0]
  stored = dataset_info.read_dataset_file(config.PATH_TO_TFRECORDS, dataset)
  info = stored.splits.get("train") if stored else None
  if info and info.encoding:
    return FrameEncoding.from_fields(info.encoding)
  record = datasets.list_split_records(config, dataset, "train")[0]
  first = examples.read_example(record).jpegs[:1]
  height, width = decode_frames(first).shape[1:3]
  return FrameEncoding((width, height), fps=(info and info.fps) or 0.0)


def embed_videos(
  embedder: VideoEmbedder,
  paths: Mapping[str, pathlib.Path],
  encoding: FrameEncoding,
  stride: int = 1,
  keep_frames: bool = False,
  skip_broken: bool = False,
) -> EmbeddedSplit:
  """Embed video files and folders of images.

  The embeddings are those that records of the same files would have. The
  encoded frames of a video or two lie in temporary files meanwhile, so that
  memory does not grow with the length of a video.

  Args:
    embedder: Of networks that are restored.
    paths: Name of a video -> its path, see `find_videos`.
    encoding: How their frames are chosen and stored.
    stride: Every so many of these are embedded.
    keep_frames: Whether to return the frames as well.
    skip_broken: Whether to leave out a broken video, with a warning.

  Returns:
    The embedded videos, without labels.

  Raises:
    UserError: A video can't be read, or all are left out.
  """
  embedded: list[EmbeddedVideo] = []
  with tempfile.TemporaryDirectory() as folder:
    videos = _read_videos(paths, encoding, stride, skip_broken, folder)
    videos, read = itertools.tee(videos)
    sources = ((jpegs, video.steps) for _, jpegs, video in videos)
    for embs, (file, jpegs, video) in zip(
      embedder(sources), read, strict=False
    ):
      frames = None
      if keep_frames:
        size = embedded[0].frames.shape[2:0:-1] if embedded else None
        frames = decode_frames(jpegs[video.steps], size)
      file.unlink()
      embedded.append(dataclasses.replace(video, embs=embs, frames=frames))
  if not embedded:
    raise UserError(
      "--videos: expected at least one video that can be read, received none,"
      " see above; replace them"
    )
  return EmbeddedSplit(embedded)


def _read_videos(
  paths: Mapping[str, pathlib.Path],
  encoding: FrameEncoding,
  stride: int,
  skip_broken: bool,
  folder: str,
) -> Iterator[tuple[pathlib.Path, EncodedFrames, EmbeddedVideo]]:
  """Yield a file of encoded frames, the frames, and what is known of a video.

  See `embed_videos`; the files are in `folder`.
  """
  for number, (name, path) in enumerate(paths.items()):
    target = pathlib.Path(folder, str(number))
    reader = open_source(path, encoding)
    try:
      with target.open("wb") as file:
        stored = list(store_frames(reader, path, encoding, file))
    except UserError as error:
      target.unlink()
      if not skip_broken:
        raise
      logging.warning("Left out %s", error)
      continue
    for note in reader.facts.notes:
      logging.warning("%s: %s", path, note)
    sizes = np.array([frame.num_bytes for frame in stored])
    jpegs = EncodedFrames(target, np.cumsum(sizes) - sizes, sizes)
    steps = np.arange(0, len(stored), stride)
    times = np.array([frame.time for frame in stored])[steps]
    facts = {"times": times if stored[-1].time else None, "source": str(path)}
    video = EmbeddedVideo(np.empty(0), steps, name, len(stored), **facts)
    yield target, jpegs, video
