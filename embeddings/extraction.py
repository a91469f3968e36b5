"""Embedding whole videos with a trained network."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from easydict import EasyDict

import datasets
from algos.algorithm import Algorithm
from core.progress import progress
from data import examples, preprocessing
from data.dataset_info import load_class_names, read_dataset_file
from data.encoded_frames import EncodedFrames
from data.feature_cache import (
  CachedFeatures,
  FeatureCache,
  NoRoomError,
  View,
)
from data.tfrecords import Record
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from networks.embedders import Places
from training import checkpoints
from training.frame_features import NO_SEED, FrameFeatures, Sources, build_cache

# The frames of a video, or their features.
Frames = EncodedFrames | CachedFeatures


class VideoEmbedder:
  """Embeds videos with the networks of an algorithm.

  Compiling takes seconds, so one embedder serves all videos, and all
  checkpoints that are restored into the algorithm one after another. The
  backbone sees each frame once, however many contexts it is in.

  Args:
    algo: The algorithm.
    config: The configuration.

  Attributes:
    algo: As above.
  """

  def __init__(self, algo: Algorithm, config: EasyDict) -> None:
    self.algo = algo
    self._config = config
    self._features = FrameFeatures(algo, config)
    self._encode = tf.function(algo.emb.encode_frames, autograph=False)

  def __call__(
    self, videos: Iterable[tuple[Frames, np.ndarray]]
  ) -> Iterator[np.ndarray]:
    """Embed videos.

    Args:
      videos: For each its frames, of all videos encoded or of all cached, and
        the steps [L] to embed, ascending. They are read when they are needed:
        those of the next video, while this one is embedded.

    Yields:
      [L, D] float32 embeddings of each video.
    """
    sources: dict[int, tuple[Frames, tuple[int, int]]] = {}

    def list_steps() -> Iterator[np.ndarray]:
      for number, (frames, steps) in enumerate(videos):
        sources[number] = frames, NO_SEED
        yield steps

    def encode(batches: Iterator[Places]) -> Iterator[tuple[Places, tf.Tensor]]:
      first = next(batches)
      batches = itertools.chain([first], batches)
      is_cached = isinstance(sources[first[0, 0]][0], CachedFeatures)
      read = self._read_batches if is_cached else self._features.compute_batches
      for places, features in read(sources, batches):
        yield places, self._encode(features)[: len(places)]

    yield from self.algo.emb.embed_videos(encode, list_steps())

  def _read_batches(
    self, sources: Sources, batches: Iterator[Places]
  ) -> Iterator[tuple[Places, tf.Tensor]]:
    """Read features, see `FrameFeatures.compute_batches`."""
    for places in batches:
      parts = [
        sources[number][0][places[places[:, 0] == number, 1]]
        for number in dict.fromkeys(places[:, 0].tolist())
      ]
      features = np.concatenate(parts)
      missing = self.algo.emb.piece_size - len(features)
      padding = [[0, missing], *[[0, 0]] * (features.ndim - 1)]
      yield places, tf.constant(np.pad(features, padding, mode="edge"))

  def cache_features(self, records: Sequence[Record]) -> FeatureCache | None:
    """Cache the features of videos, if the backbone is frozen.

    Args:
      records: The records of the videos.

    Returns:
      A cache that holds them; None, with a warning, where there is no room.
    """
    cache = build_cache(self.algo, self._config)
    if not cache:
      return None
    try:
      self._features.fill_cache(cache, list(map(View, records)))
    except NoRoomError as error:
      logging.warning("Features are computed each time: %s", error)
      return None
    return cache


def restore_embedder(config: EasyDict) -> VideoEmbedder:
  """Build the networks of a run and restore its last checkpoint.

  Args:
    config: The configuration of the run.

  Returns:
    An embedder of these networks.

  Raises:
    UserError: There is no checkpoint, or it is damaged.
  """
  path = checkpoints.latest_checkpoint(config.LOGDIR)
  algo = checkpoints.build_to_restore(config)
  checkpoints.restore_networks(algo, path)
  return VideoEmbedder(algo, config)


def embed_split(
  embedder: VideoEmbedder,
  config: EasyDict,
  dataset: str,
  split: str,
  max_embs: int = 0,
  keep_frames: bool = False,
) -> EmbeddedSplit:
  """Embed the videos of one split of a data set.

  Every SAMPLE_ALL_STRIDE-th frame is embedded. An embedding depends on the
  video alone, not on EVAL.FRAMES_PER_BATCH or the other videos.

  Args:
    embedder: Of networks that are restored.
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...
    max_embs: Videos to embed at most; 0 = all.
    keep_frames: Whether to return the frames as well, as large as they are
      stored (all like the first one, where sizes differ).

  Returns:
    The embedded videos, with labels and, as far as they are known, the names of
    the phases.

  Raises:
    UserError: There are no records, or one is damaged.
  """
  records = datasets.list_split_records(config, dataset, split)
  records = records[: max_embs or None]
  videos = datasets.iterate_videos(config, dataset, split)
  videos = list(itertools.islice(videos, len(records)))
  stride = config.DATA.SAMPLE_ALL_STRIDE
  steps = [np.arange(0, video["seq_len"], stride) for video in videos]
  # All frames are worth caching if all are embedded.
  cache = embedder.cache_features(records) if stride == 1 else None
  sources = map(cache.open, map(View, records)) if cache else None
  sources = sources or (video["jpegs"] for video in videos)
  try:
    results = embedder(zip(sources, steps, strict=True))
    embs = [*progress(results, f"Embedding {split}", len(steps), "video")]
  except (tf.errors.InvalidArgumentError, ValueError):
    examples.check_records(records)
    raise
  stored = read_dataset_file(config.PATH_TO_TFRECORDS, dataset)
  info = stored.splits.get(split) if stored else None
  origins = {v["name"]: v["source"] for v in info.videos} if info else {}
  fps = info.fps if info else None
  embedded: list[EmbeddedVideo] = []
  for video, rows, values in zip(videos, steps, embs, strict=True):
    frames = None
    if keep_frames:
      size = embedded[0].frames.shape[2:0:-1] if embedded else None
      frames = decode_frames(video["jpegs"][rows], size)
    embedded.append(_describe(video, rows, values, frames, fps, origins))
  logging.info("Embedded %d %s videos of %s", len(embedded), split, dataset)
  names = load_class_names(config.PATH_TO_TFRECORDS, dataset)
  return EmbeddedSplit(embedded, names)


class StoredFrames:
  """Frames of a video that are decoded when one is asked for.

  Args:
    jpegs: All frames of the video, encoded.
    steps: [L] int, those that are meant.

  Attributes:
    shape: (L, H, W, 3), as large as the first one is stored.
  """

  def __init__(self, jpegs: EncodedFrames, steps: np.ndarray) -> None:
    self._jpegs, self._steps = jpegs, steps
    self.shape = (len(steps), *self[0].shape)

  def __getitem__(self, row: int) -> np.ndarray:
    """Decode one frame, [H, W, 3] uint8 RGB."""
    jpeg = self._jpegs[self._steps[row]]
    return tf.io.decode_jpeg(jpeg, channels=3).numpy()


def attach_frames(
  config: EasyDict, dataset: str, split: str, embedded: EmbeddedSplit
) -> EmbeddedSplit:
  """Give embedded videos their frames, to be decoded when one is asked for.

  Args:
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...
    embedded: What `embed_split` returned for these.

  Returns:
    The same with `StoredFrames`.
  """
  stored = datasets.iterate_videos(config, dataset, split)
  videos = [
    dataclasses.replace(video, frames=StoredFrames(facts["jpegs"], video.steps))
    for video, facts in zip(embedded.videos, stored, strict=False)
  ]
  return dataclasses.replace(embedded, videos=videos)


def _describe(
  video: Mapping[str, Any],
  steps: np.ndarray,
  embs: np.ndarray,
  frames: np.ndarray | None,
  fps: float | None,
  origins: Mapping[str, str],
) -> EmbeddedVideo:
  """Join embeddings with what the record and `dataset.json` say of a video."""
  times = None
  if len(video["times"]):
    times = video["times"][steps]
  elif fps:
    times = steps / fps
  name = video["name"].decode(errors="replace")
  return EmbeddedVideo(
    embs=embs,
    steps=steps,
    name=name,
    seq_len=int(video["seq_len"]),
    seq_label=int(video["seq_label"]),
    labels=video["frame_labels"][steps],
    frames=frames,
    times=times,
    source=origins.get(name, ""),
  )


def decode_frames(
  jpegs: np.ndarray, size: tuple[int, int] | None = None
) -> np.ndarray:
  """Decode frames, resized to a width and height; None keeps their own."""
  frames = preprocessing.decode(tf.constant(jpegs)).numpy()
  if size in (None, frames.shape[2:0:-1]):
    return frames
  import cv2  # Here, for evaluation does without.

  area = cv2.INTER_AREA
  return np.stack([cv2.resize(x, size, interpolation=area) for x in frames])
