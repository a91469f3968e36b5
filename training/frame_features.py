"""Features of whole videos: computed in full batches, kept if they stay."""

import collections
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from easydict import EasyDict

import models
from algos.algorithm import Algorithm
from data import examples, preprocessing
from data.encoded_frames import EncodedFrames
from data.feature_cache import FeatureCache, View
from networks.embedders import Places, cut_rows

# By the numbers of videos in `Places`: encoded frames, and the seed of their
# augmentation, which is not used otherwise.
Sources = Mapping[int, tuple[EncodedFrames, Sequence[int]]]
NO_SEED = (0, 0)


class FrameFeatures:
  """Computes features of encoded frames.

  A batch is decoded while the one before is in the network, and its frames may
  be those of several videos.

  Args:
    algo: The algorithm; `algo.emb.piece_size` is the size of a batch.
    config: The configuration.
    augment: Whether to augment frames, each video in its own way.
  """

  def __init__(
    self, algo: Algorithm, config: EasyDict, augment: bool = False
  ) -> None:
    self._algo = algo
    size, settings = config.IMAGE_SIZE, config.AUGMENTATION
    spec = tf.TensorSpec([size, size, 3], tf.float32)

    def prepare_frame(item: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
      jpeg, seed = item
      frames = preprocessing.decode(jpeg[None])
      if augment:
        return preprocessing.augment(frames, settings, size, seed)[0]
      return preprocessing.prepare(frames, size, settings.RANDOM_CROP)[0]

    def prepare(jpegs: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
      items = jpegs, seeds
      return tf.map_fn(prepare_frame, items, fn_output_signature=spec)

    self._prepare = tf.function(prepare, autograph=False)
    self._compute = tf.function(algo.features, autograph=False)

  def compute_batches(
    self, sources: Sources, batches: Iterator[Places]
  ) -> Iterator[tuple[Places, tf.Tensor]]:
    """Compute the features of batches of frames.

    Args:
      sources: The videos; looked up when a batch asks for them.
      batches: Places [n, 2] in them, n at most `piece_size`.

    Yields:
      Each batch, and the features [piece_size, ...] of its frames; those behind
      the first n are no more than filling.
    """
    waiting = collections.deque()
    with ThreadPoolExecutor(1) as pool:
      for places in itertools.chain(batches, [None]):
        if places is not None:
          waiting.append((places, pool.submit(self._load, sources, places)))
        if len(waiting) > (places is not None):
          done, frames = waiting.popleft()
          yield done, self._compute(frames.result())

  def _load(self, sources: Sources, places: Places) -> tf.Tensor:
    """Read and prepare frames, repeating the last one to a whole batch."""
    jpegs, seeds = [], []
    for number, rows in itertools.groupby(places.tolist(), lambda x: x[0]):
      frames, seed = sources[number]
      jpegs.extend(frames[np.array([frame for _, frame in rows])])
      seeds.extend([seed] * (len(jpegs) - len(seeds)))
    missing = self._algo.emb.piece_size - len(jpegs)
    jpegs, seeds = ([*x, *[x[-1]] * missing] for x in (jpegs, seeds))
    return self._prepare(tf.constant(jpegs), tf.constant(seeds, tf.int64))

  def fill_cache(self, cache: FeatureCache, views: Sequence[View]) -> None:
    """Compute the features of those views that a cache lacks.

    Raises:
      UserError: There is no room, or a record is damaged.
    """
    cache.fill(views, functools.partial(self._compute_views, cache))

  def _compute_views(
    self, cache: FeatureCache, views: Sequence[View]
  ) -> Iterator[np.ndarray]:
    """Yield the features [n, ...] of all frames of views, in order."""
    videos = [examples.read_example(view.record).jpegs for view in views]
    seeds = map(cache.make_seed, views)
    sources = dict(enumerate(zip(videos, seeds, strict=True)))
    frames = (
      np.stack([np.full(len(video), number), np.arange(len(video))], axis=-1)
      for number, video in enumerate(videos)
    )
    batches = cut_rows(frames, self._algo.emb.piece_size)
    for places, features in self.compute_batches(sources, batches):
      yield features[: len(places)].numpy()


def keeps_features(config: EasyDict) -> bool:
  """Return whether features stay the same, and may be kept on disk."""
  return config.MODEL.TRAIN_BASE == "frozen" and config.DATA.CACHE_MAX_GB > 0


def build_cache(algo: Algorithm, config: EasyDict) -> FeatureCache | None:
  """Build the cache of an algorithm's features, if they stay the same.

  Args:
    algo: The algorithm, its weights restored.
    config: The configuration.

  Returns:
    The cache; None if the backbone is trained or nothing may be kept.
  """
  if not keeps_features(config):
    return None
  cnn, size = algo.cnn, config.IMAGE_SIZE
  layers = cnn.to_json()
  # Keras counts the names of layers up.
  for number, layer in enumerate(cnn.layers):
    layers = layers.replace(f'"{layer.name}"', f'"{number}"')
  weights = hashlib.sha256()
  for weight in cnn.get_weights():
    weights.update(np.ascontiguousarray(weight).data)
  facts = {
    "network": config.MODEL.BASE_MODEL.NETWORK.removesuffix(models.PRETRAINED),
    "layer": config.MODEL.BASE_MODEL.LAYER,
    "layers_sha256": hashlib.sha256(layers.encode()).hexdigest(),
    "weights_sha256": weights.hexdigest(),
    "image_size": size,
    "crop": config.AUGMENTATION.RANDOM_CROP,
    "precision": config.PRECISION,
  }
  shape = cnn.compute_output_shape([1, size, size, 3])[1:]
  dtype = tf.as_dtype(cnn.outputs[0].dtype).as_numpy_dtype
  return FeatureCache(config, facts, shape, np.dtype(dtype))
