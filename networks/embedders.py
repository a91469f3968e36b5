"""Embedders: networks that turn the features of frames into embeddings.

A new embedder is a function and a line in `EMBEDDERS`.
"""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from easydict import EasyDict

from core.errors import UserError
from data.sampling import context_steps
from networks import layers
from networks.precision import compute_policy

# Makes features [n, ...] of a video from frame indices [n].
ComputeFeatures = Callable[[np.ndarray], tf.Tensor]


class Embedder(keras.Model):
  """Embeds the frames of videos by their features and those of their contexts.

  A part that sees one frame with its context at a time, then perhaps a
  recurrent part, which runs over the frames of a video. An embedder of another
  kind, such as one that looks at a whole video, overrides `call` and
  `embed_video`.

  Attributes:
    frame_network: [N, C, h, w, channels] to [N, F].
    recurrent_network: [B, S, F] and states [B, units] to [B, S, D] and the
      states after; or None.
    embedding_size: D.
    piece_size: Frames of a long video that are embedded at a time.

  Args:
    config: The configuration; DATA describes contexts, EVAL.FRAMES_PER_BATCH is
      the size of a piece.
    frame_network: As above, built.
    recurrent_network: Likewise.
  """

  def __init__(
    self,
    config: EasyDict,
    frame_network: keras.Model,
    recurrent_network: keras.Model | None = None,
  ) -> None:
    super().__init__(name="emb")
    self.frame_network = frame_network
    self.recurrent_network = recurrent_network
    self.piece_size = config.EVAL.FRAMES_PER_BATCH
    self._find_context = functools.partial(context_steps, config=config.DATA)
    last = recurrent_network or frame_network
    self.embedding_size = last.outputs[0].shape[-1]
    self.built = True

  def call(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Embed sampled frames.

    Args:
      features: [B, S, C, h, w, channels] feature maps; vectors [B, S, C,
        channels] are maps of 1 x 1.
      training: Whether batch norm and dropout train.

    Returns:
      [B, S, D] float32 embeddings.
    """
    states = self._initial_states(keras.ops.shape(features)[0])
    return self._embed_piece(features, states, training)[0]

  def embed_video(
    self, compute_features: ComputeFeatures, steps: np.ndarray
  ) -> np.ndarray:
    """Embed frames of a whole video, a piece at a time.

    Embeddings do not depend on the size of the pieces. Features are held only
    for the frames between a piece and the start of its contexts.

    Args:
      compute_features: Makes features from frame indices; asked once for each
        frame that is embedded or lies in a context, and for those of one piece
        at a time.
      steps: [L] indices of the frames to embed, ascending.

    Returns:
      [L, D] float32 embeddings.
    """
    size = self.piece_size
    features: dict[int, tf.Tensor] = {}
    states = self._initial_states(1)
    embs = []
    for piece in np.split(steps, range(size, len(steps), size)):
      context = np.asarray(self._find_context(piece))
      # Contexts reach into the past only: what lies before is not needed again.
      features = {t: x for t, x in features.items() if t >= context.min()}
      new = np.setdiff1d(context, list(features))
      if new.size:
        computed = tf.unstack(compute_features(new))
        features |= zip(new.tolist(), computed, strict=True)
      stacked = tf.stack([features[t] for t in context.tolist()])
      stacked = tf.reshape(stacked, [len(piece), -1, *stacked.shape[1:]])
      # One shape is compiled. Only the last piece is padded, so that no padding
      # enters a state in use.
      rows = np.minimum(np.arange(size), len(piece) - 1)
      padded = tf.gather(stacked, rows)[None]
      piece_embs, states = self._compiled(padded, states, training=False)
      embs.append(piece_embs[0, : len(piece)].numpy())
    return np.concatenate(embs)

  def _initial_states(self, batch_size: int | tf.Tensor) -> list[tf.Tensor]:
    """Make the states at the start of videos: zeros, [B, units] each."""
    network = self.recurrent_network
    sizes = [x.shape[-1] for x in network.inputs[1:]] if network else []
    return [tf.zeros([batch_size, size]) for size in sizes]

  def _embed_piece(
    self, features: tf.Tensor, states: list[tf.Tensor], training: bool
  ) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Embed a piece of each video; return the states after it, too."""
    batch_size, num_frames = keras.ops.shape(features)[:2]
    # Gives vectors the shape of maps of 1 x 1.
    maps = tf.reshape(features, [-1, *self.frame_network.input_shape[1:]])
    vectors = self.frame_network(maps, training=training)
    embs = tf.reshape(vectors, [batch_size, num_frames, vectors.shape[-1]])
    if self.recurrent_network:
      embs, *states = self.recurrent_network([embs, *states], training=training)
    return embs, states

  @functools.cached_property
  def _compiled(self) -> Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]:
    """Compile `_embed_piece`; cached where no checkpoint looks."""
    return tf.function(self._embed_piece, autograph=False)


def build_embedder(config: EasyDict, backbone: keras.Model) -> Embedder:
  """Build the embedder MODEL.EMBEDDER_TYPE for the features of a backbone.

  Args:
    config: The configuration.
    backbone: As `build_backbone` returns it.

  Returns:
    The embedder.

  Raises:
    UserError: The embedder can't take the context frames of DATA.NUM_STEPS.
  """
  size = config.IMAGE_SIZE
  *place, channels = backbone.compute_output_shape([1, size, size, 3])[1:]
  build = EMBEDDERS[config.MODEL.EMBEDDER_TYPE]
  embedder = build(config, (*(place or (1, 1)), channels))
  embedder.trainable = config.MODEL.TRAIN_EMBEDDING
  return embedder


def build_conv_embedder(
  config: EasyDict, feature_shape: tuple[int, int, int]
) -> Embedder:
  """Build the convolutional embedder (paper, table 9).

  Args:
    config: The configuration; MODEL.CONV_EMBEDDER_MODEL describes the layers,
      of which the last is float32 whatever the PRECISION.
    feature_shape: Height, width and channels of the backbone's feature map.

  Returns:
    An embedder of EMBEDDING_SIZE dimensions, not recurrent.
  """
  model, policy = config.MODEL, compute_policy(config.PRECISION)
  settings = model.CONV_EMBEDDER_MODEL

  def scale(size: int) -> int:
    return max(1, int(size * settings.CAPACITY_SCALAR))

  inputs = keras.Input([config.DATA.NUM_STEPS, *feature_shape], dtype="float32")
  x, rate = inputs, settings.BASE_DROPOUT_RATE
  if rate and settings.BASE_DROPOUT_SPATIAL:
    x = keras.layers.SpatialDropout3D(rate, dtype=policy)(x)
  elif rate:
    x = keras.layers.Dropout(rate, dtype=policy)(x)
  convolutions = [(scale(n), *others) for n, *others in settings.CONV_LAYERS]
  kind, l2_weight = layers.TemporalConvolution, model.L2_REG_WEIGHT
  x = _convolutions(x, kind, convolutions, settings, config)
  x = _FLATTEN[settings.FLATTEN_METHOD](dtype=policy)(x)
  dense, rate = settings.FC_LAYERS, settings.FC_DROPOUT_RATE
  dense = [(scale(units), relu) for units, relu in dense]
  x = layers.dense_layers(x, dense, rate, l2_weight, policy)
  penalties = layers.l2_penalties(l2_weight, "kernel", "bias")
  size = settings.EMBEDDING_SIZE
  x = keras.layers.Dense(size, dtype="float32", **penalties)(x)
  if settings.L2_NORMALIZE:
    x = keras.layers.UnitNormalization(dtype="float32")(x)
  return Embedder(config, keras.Model(inputs, x, name="frame_network"))


def build_convgru_embedder(
  config: EasyDict, feature_shape: tuple[int, int, int]
) -> Embedder:
  """Build the recurrent embedder: convolutions on each frame, then GRUs.

  A recurrent network can solve cycle-consistency by counting frames instead of
  looking at them.

  Args:
    config: The configuration; MODEL.CONVGRU_EMBEDDER_MODEL describes the
      layers. The GRUs are float32 whatever the PRECISION.
    feature_shape: Height, width and channels of the backbone's feature map.

  Returns:
    An embedder of as many dimensions as the last of GRU_LAYERS has units.

  Raises:
    UserError: There is more than one context frame.
  """
  if config.DATA.NUM_STEPS != 1:
    raise UserError(
      "DATA.NUM_STEPS: expected 1 for the convgru embedder, whose context is"
      f" its state, received {config.DATA.NUM_STEPS}; set DATA.NUM_STEPS=1"
    )
  settings = config.MODEL.CONVGRU_EMBEDDER_MODEL
  inputs = keras.Input([1, *feature_shape], dtype="float32")
  x, kind = inputs[:, 0], keras.layers.Conv2D
  x = _convolutions(x, kind, settings.CONV_LAYERS, settings, config)
  x = keras.layers.GlobalMaxPooling2D(dtype=compute_policy(config.PRECISION))(x)
  x = keras.layers.Dropout(settings.DROPOUT_RATE, dtype="float32")(x)
  frame_network = keras.Model(inputs, x, name="frame_network")
  units, l2_weight = settings.GRU_LAYERS, config.MODEL.L2_REG_WEIGHT
  grus = _build_grus(x.shape[-1], units, l2_weight)
  return Embedder(config, frame_network, grus)


def _build_grus(
  input_size: int, units: Sequence[int], l2_weight: float
) -> keras.Model:
  """Stack GRUs over [B, S, input_size]; take states and return the next."""
  inputs = keras.Input([None, input_size], dtype="float32")
  states = [keras.Input([size], dtype="float32") for size in units]
  penalties = layers.l2_penalties(l2_weight, "kernel", "recurrent", "bias")
  options = {"return_sequences": True, "return_state": True, "dtype": "float32"}
  outputs = [inputs]
  for size, state in zip(units, states, strict=True):
    gru = keras.layers.GRU(size, **options, **penalties)
    x, new_state = gru(outputs[0], initial_state=state)
    outputs = [x, *outputs[1:], new_state]
  return keras.Model([inputs, *states], outputs, name="recurrent_network")


def _convolutions(
  x: keras.KerasTensor,
  convolution: type[keras.layers.Layer],
  sizes: Sequence[tuple[int, int, bool]],
  settings: EasyDict,
  config: EasyDict,
) -> keras.KerasTensor:
  """Stack convolutions, with batch norm and ReLU where settings say so."""
  model, policy = config.MODEL, compute_policy(config.PRECISION)
  options = {"padding": "same", "kernel_initializer": "he_normal"}
  options |= layers.l2_penalties(model.L2_REG_WEIGHT, "kernel", "bias")
  momentum = model.BATCH_NORM_MOMENTUM
  for channels, size, activate in sizes:
    x = convolution(channels, size, dtype=policy, **options)(x)
    if settings.USE_BN:
      x = layers.FusedBatchNormalization(momentum=momentum, dtype=policy)(x)
    if activate:
      x = keras.layers.ReLU(dtype=policy)(x)
  return x


_FLATTEN = {
  "max_pool": keras.layers.GlobalMaxPooling3D,
  "avg_pool": keras.layers.GlobalAveragePooling3D,
  "flatten": keras.layers.Flatten,
}
EMBEDDERS = {"conv": build_conv_embedder, "convgru": build_convgru_embedder}
