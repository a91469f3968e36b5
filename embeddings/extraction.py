"""Embedding whole videos with a trained network."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from absl import logging
from easydict import EasyDict

import datasets
from algos.algorithm import Algorithm
from data import example_parser, examples, preprocessing
from data.sampling import context_steps

# Of encoded frames [F] and ascending steps [L] makes embeddings [L, D] float32.
EmbedVideo = Callable[[np.ndarray, np.ndarray], np.ndarray]


def embed_split(
  embed_video: EmbedVideo,
  config: EasyDict,
  dataset: str,
  split: str,
  max_embs: int = 0,
  keep_frames: bool = False,
) -> dict[str, list[Any]]:
  """Embeds the videos of one split of a data set.

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
    One entry a video of `embs` [L, D] float32, `steps` [L] int64, `labels` [L]
    int64 (-1 = none), `names`, `seq_lens`, `seq_labels` and, if kept, `frames`
    [L, H, W, 3] uint8, as `embeddings.save` takes them.

  Raises:
    UserError: There are no records, or one is damaged.
  """
  keys = ["embs", "steps", "labels", "names", "seq_lens", "seq_labels"]
  result = {key: [] for key in keys + ["frames"] * keep_frames}
  for number, video in enumerate(
    datasets.iterate_videos(config, dataset, split)
  ):
    if max_embs and number == max_embs:
      break
    steps = np.arange(0, video["seq_len"], config.DATA.SAMPLE_ALL_STRIDE)
    try:
      result["embs"].append(embed_video(video["jpegs"], steps))
    except (tf.errors.InvalidArgumentError, ValueError):
      examples.check_records(
        datasets.list_split_records(config, dataset, split)
      )
      raise
    result["steps"].append(steps)
    result["labels"].append(video["frame_labels"][steps])
    result["names"].append(video["name"].decode(errors="replace"))
    result["seq_lens"].append(int(video["seq_len"]))
    result["seq_labels"].append(int(video["seq_label"]))
    if keep_frames:
      first = result["frames"][0] if result["frames"] else None
      frames = example_parser.decode_frames(
        tf.constant(video["jpegs"][steps])
      ).numpy()
      result["frames"].append(_like(frames, first))
  logging.info(
    "Embedded %d %s videos of %s", len(result["embs"]), split, dataset
  )
  return result


def video_embedder(algo: Algorithm, config: EasyDict) -> EmbedVideo:
  """Compiles the network for embedding videos piece by piece.

  That takes seconds, so one function serves all videos, and all checkpoints
  that are restored into the algorithm one after another. The backbone sees each
  frame once, however many contexts it is in, and no more than a few pieces of
  FRAMES_PER_BATCH frames are in memory.

  Args:
    algo: The algorithm.
    config: The configuration.

  Returns:
    A function of encoded frames [F] and ascending steps [L] that returns
    embeddings [L, D] float32.
  """
  size = config.EVAL.FRAMES_PER_BATCH

  @tf.function
  def features_of(jpegs: tf.Tensor) -> tf.Tensor:
    frames = preprocessing.prepare(
      example_parser.decode_frames(jpegs),
      config.IMAGE_SIZE,
      config.AUGMENTATION.RANDOM_CROP,
    )
    return algo.features(frames)

  embed = tf.function(algo.emb.embed_piece)

  def embed_video(jpegs: np.ndarray, steps: np.ndarray) -> np.ndarray:
    features: dict[int, tf.Tensor] = {}
    states = algo.emb.initial_states(1)
    pieces = []
    for piece in np.split(steps, range(size, len(steps), size)):
      context = context_steps(piece, config.DATA).numpy()
      # Contexts reach into the past only: what lies before is not needed again.
      features = {t: x for t, x in features.items() if t >= context.min()}
      new = np.setdiff1d(context, list(features))
      for part in np.split(new, range(size, len(new), size)):
        maps = features_of(jpegs[_padded(part, size)])
        features.update(zip(part.tolist(), tf.unstack(maps), strict=False))
      stacked = tf.stack([features[t] for t in context.tolist()])
      stacked = tf.reshape(
        stacked, [-1, config.DATA.NUM_STEPS, *stacked.shape[1:]]
      )
      # Only the last piece is padded, so no padding enters a state in use.
      rows = _padded(np.arange(len(piece)), size)
      embs, states = embed(tf.gather(stacked, rows)[None], states)
      pieces.append(embs[0, : len(piece)].numpy())
    return np.concatenate(pieces)

  return embed_video


def _padded(indices: np.ndarray, size: int) -> np.ndarray:
  """Repeats the last index up to `size`, so that one shape is compiled."""
  return np.pad(indices, (0, size - len(indices)), mode="edge")


def _like(frames: np.ndarray, example: np.ndarray | None) -> np.ndarray:
  if example is None or frames.shape[1:] == example.shape[1:]:
    return frames
  height, width = example.shape[1:3]
  return np.stack(
    [
      cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
      for frame in frames
    ]
  )
