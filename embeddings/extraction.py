"""Embedding whole videos with a trained network."""

import itertools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import logging
from easydict import EasyDict

import datasets
from algos.algorithm import Algorithm
from data import example_parser, examples, preprocessing
from data.dataset_info import read_dataset_file
from embeddings.types import EmbeddedSplit, EmbeddedVideo

# Embeds [L, D] float32 from encoded frames [F] and ascending steps [L].
EmbedVideo = Callable[[np.ndarray, np.ndarray], np.ndarray]


def embed_split(
  embed_video: EmbedVideo,
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
    embed_video: As `video_embedder` makes it, of networks that are restored.
    config: The configuration.
    dataset: Name of the data set.
    split: `train`, `val`, ...
    max_embs: Videos to embed at most; 0 = all.
    keep_frames: Whether to return the frames as well, as large as they are
      stored (all like the first one, where sizes differ).

  Returns:
    The embedded videos, with labels.

  Raises:
    UserError: There are no records, or one is damaged.
  """
  embedded = []
  stored = read_dataset_file(config.PATH_TO_TFRECORDS, dataset)
  info = stored.splits.get(split) if stored else None
  sources = {v["name"]: v["source"] for v in info.videos} if info else {}
  videos = datasets.iterate_videos(config, dataset, split)
  for video in itertools.islice(videos, max_embs or None):
    steps = np.arange(0, video["seq_len"], config.DATA.SAMPLE_ALL_STRIDE)
    try:
      embs = embed_video(video["jpegs"], steps)
    except (tf.errors.InvalidArgumentError, ValueError):
      records = datasets.list_split_records(config, dataset, split)
      examples.check_records(records)
      raise
    frames = None
    if keep_frames:
      size = embedded[0].frames.shape[2:0:-1] if embedded else None
      frames = decode_frames(video["jpegs"][steps], size)
    name = video["name"].decode(errors="replace")
    numbers = (int(video["seq_len"]), int(video["seq_label"]))
    labels, times = video["frame_labels"][steps], None
    if len(video["times"]):
      times = video["times"][steps]
    elif info and info.fps:
      times = steps / info.fps
    kept = labels, frames, times, sources.get(name, "")
    embedded.append(EmbeddedVideo(embs, steps, name, *numbers, *kept))
  logging.info("Embedded %d %s videos of %s", len(embedded), split, dataset)
  return EmbeddedSplit(embedded)


def decode_frames(
  jpegs: np.ndarray, size: tuple[int, int] | None = None
) -> np.ndarray:
  """Decode frames, resized to a width and height; None keeps their own."""
  frames = example_parser.decode_frames(tf.constant(jpegs)).numpy()
  if size in (None, frames.shape[2:0:-1]):
    return frames
  import cv2  # Here, for evaluation does without.

  area = cv2.INTER_AREA
  return np.stack([cv2.resize(x, size, interpolation=area) for x in frames])


def video_embedder(algo: Algorithm, config: EasyDict) -> EmbedVideo:
  """Compile the network for embedding encoded videos.

  That takes seconds, so one function serves all videos, and all checkpoints
  that are restored into the algorithm one after another. The backbone sees each
  frame once, however many contexts it is in.

  Args:
    algo: The algorithm.
    config: The configuration.

  Returns:
    A function of encoded frames [F] and ascending steps [L] that returns
    embeddings [L, D] float32.
  """
  size = algo.emb.piece_size

  @tf.function(autograph=False)
  def compute_piece(jpegs: tf.Tensor) -> tf.Tensor:
    frames = example_parser.decode_frames(jpegs)
    crop = config.AUGMENTATION.RANDOM_CROP
    return algo.features(preprocessing.prepare(frames, config.IMAGE_SIZE, crop))

  def embed_video(jpegs: np.ndarray, steps: np.ndarray) -> np.ndarray:
    def compute_features(indices: np.ndarray) -> tf.Tensor:
      features = []
      for piece in np.split(indices, range(size, len(indices), size)):
        # Repeats the last frame, so that one shape is compiled.
        padded = np.pad(piece, (0, size - len(piece)), mode="edge")
        features.append(compute_piece(jpegs[padded])[: len(piece)])
      return tf.concat(features, 0)

    return algo.emb.embed_video(compute_features, steps)

  return embed_video
