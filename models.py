"""Backbones (frame to feature map), embedders (to embeddings), classifiers.

Every function returns a built `keras.Model`; the settings come as arguments.
"""

import importlib
import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf
from easydict import EasyDict

from core.errors import UserError, first_line
from core.settings import nearest
from networks.batch_norm import FusedBatchNormalization
from networks.temporal_convolution import TemporalConvolution

# Ending of the names of networks that start from ImageNet weights.
PRETRAINED = "_pretrained"
_RESNET_FILE = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"


def resolve_precision(precision: str) -> str:
  """What a PRECISION of `auto` means on this machine.

  Args:
    precision: `float32`, `bfloat16`, or `auto`: bfloat16 where all GPUs, or on
      a machine without one the CPU, have instructions for it; float32
      elsewhere, where bfloat16 would be slower.

  Returns:
    `float32` or `bfloat16`.
  """
  if precision != "auto":
    return precision
  gpus = tf.config.list_physical_devices("GPU")
  fast = all(map(_gpu_has_bfloat16, gpus)) if gpus else _cpu_has_bfloat16()
  return "bfloat16" if fast else "float32"


def compute_policy(precision: str) -> str:
  """The Keras dtype policy of a PRECISION: `float32` or `mixed_bfloat16`."""
  fast = resolve_precision(precision) == "bfloat16"
  return "mixed_bfloat16" if fast else "float32"


def _gpu_has_bfloat16(gpu: tf.config.PhysicalDevice) -> bool:
  details = tf.config.experimental.get_device_details(gpu)
  # Ampere; a device that does not tell counts as older.
  return details.get("compute_capability", (0, 0)) >= (8, 0)


def _cpu_has_bfloat16() -> bool:
  flags = pathlib.Path("/proc/cpuinfo")
  return flags.exists() and "avx512_bf16" in flags.read_text()


def build_backbone(config: EasyDict) -> keras.Model:
  """Builds the backbone: [N, H, W, 3] in [-1, 1] to [N, h, w, channels].

  Args:
    config: The configuration; BASE_MODEL.NETWORK names the network and LAYER
      the layer whose output is the feature map.

  Returns:
    A model whose trainable variables are those TRAIN_BASE allows.

  Raises:
    UserError: There is no such network or layer, its weights can't be had, or
      it has nothing that TRAIN_BASE could train.
  """
  model = config.MODEL
  name = model.BASE_MODEL.NETWORK
  if name.endswith(".keras"):
    network = _load_keras_file(name, config.IMAGE_SIZE)
  elif name == "VGGM":
    network = vggm(model.VGGM.USE_BN)
  elif name == "Resnet50":
    network = _resnet(weights=None)
  elif name == "Resnet50_pretrained":
    network = _pretrained_resnet(model.RESNET_PRETRAINED_WEIGHTS)
  else:
    network = _keras_application(name, config.IMAGE_SIZE)
  network = _up_to(network, model.BASE_MODEL.LAYER, name)
  network = _with_fast_layers(
    network, compute_policy(config.PRECISION), model.BATCH_NORM_MOMENTUM
  )
  _set_trainable(network, model.TRAIN_BASE)
  if model.TRAIN_BASE == "only_bn" and not network.trainable_variables:
    raise UserError(
      "MODEL.TRAIN_BASE: only_bn trains the batch norm of the backbone, and"
      f" {name} up to {model.BASE_MODEL.LAYER} has none; choose train_all or"
      " frozen"
    )
  return network


def _load_keras_file(path: str, image_size: int) -> keras.Model:
  if not pathlib.Path(path).is_file():
    raise UserError(
      f"MODEL.BASE_MODEL.NETWORK: {path} not found; expected a .keras file that"
      " takes RGB frames in [-1, 1]"
    )
  try:
    network = keras.models.load_model(path, compile=False)
    received = [tensor.shape for tensor in network.inputs]
  except Exception as error:  # Keras raises many types for a broken file.
    raise UserError(
      f"MODEL.BASE_MODEL.NETWORK: {path} is no loadable .keras file"
      f" ({first_line(error)}); expected a built network that takes RGB frames"
      " in [-1, 1]"
    ) from error
  expected = (None, image_size, image_size, 3)
  if len(received) != 1 or not tf.TensorShape(received[0]).is_compatible_with(
    expected
  ):
    raise UserError(
      f"MODEL.BASE_MODEL.NETWORK: {path} takes inputs {received}; expected"
      f" [{expected}], set IMAGE_SIZE to fit or save it for any size"
    )
  return network


def _resnet(weights: str | None) -> keras.Model:
  return keras.applications.ResNet50V2(
    include_top=False, weights=weights, input_shape=(None, None, 3)
  )


def _pretrained_resnet(weights: str) -> keras.Model:
  """Takes ImageNet weights from a file, or has Keras download them."""
  if weights != "imagenet" and not pathlib.Path(weights).is_file():
    raise _no_weights(weights, "no such file")
  try:
    return _resnet(weights)
  except Exception as error:  # Keras raises bare Exception without a network.
    raise _no_weights(weights, first_line(error)) from error


def _no_weights(weights: str, reason: str) -> UserError:
  return UserError(
    "MODEL.RESNET_PRETRAINED_WEIGHTS: can't get the ImageNet weights from"
    f" {weights} ({reason}); either download {_RESNET_FILE} from the releases"
    " of github.com/keras-team/keras-applications and pass --set"
    " MODEL.RESNET_PRETRAINED_WEIGHTS=PATH, or, with a network connection,"
    " pass --set MODEL.RESNET_PRETRAINED_WEIGHTS=imagenet (to train from"
    " scratch instead: --set MODEL.BASE_MODEL.NETWORK=Resnet50)"
  )


def _keras_application(name: str, image_size: int) -> keras.Model:
  """Any network of keras.applications, given the pixel range it expects."""
  build = getattr(keras.applications, name.removesuffix(PRETRAINED), None)
  if not callable(build):
    raise UserError(
      f"MODEL.BASE_MODEL.NETWORK: unknown network {name!r}; expected"
      " Resnet50_pretrained, Resnet50, VGGM, a name in keras.applications such"
      " as MobileNetV2 (with the ending _pretrained for ImageNet weights), or"
      f" the path of a .keras file; did you mean {_nearest_network(name)}?"
    )
  weights = "imagenet" if name.endswith(PRETRAINED) else None
  # Each family normalizes its input in a function of its module.
  preprocess = importlib.import_module(build.__module__).preprocess_input
  frames = keras.Input([image_size, image_size, 3])
  try:
    return build(
      include_top=False,
      weights=weights,
      input_tensor=preprocess((frames + 1.0) * 127.5),
    )
  except Exception as error:  # Keras raises bare Exception without a network.
    raise UserError(
      f"MODEL.BASE_MODEL.NETWORK: can't build {name}"
      f" ({first_line(error)})"
      + ("; without _pretrained its weights are random" if weights else "")
    ) from error


def _nearest_network(name: str) -> str:
  applications = [
    key for key, value in vars(keras.applications).items() if callable(value)
  ]
  known = ["VGGM", "Resnet50", *applications]
  known += [key + PRETRAINED for key in known[1:]]
  return nearest(name, known)


def vggm(use_batch_norm: bool) -> keras.Model:
  """VGG-M of the paper's table 8, trained from scratch.

  Args:
    use_batch_norm: Whether each convolution is followed by batch norm.

  Returns:
    [N, H, W, 3] to [N, H/16, W/16, 512]; its blocks' outputs are named conv2,
    conv3 and conv4.
  """

  def convolution(x, channels, size, strides, name):
    """Convolution, batch norm and ReLU; the last of them carries the name."""
    x = keras.layers.Conv2D(
      channels,
      size,
      strides,
      padding="same",
      kernel_initializer="he_normal",
      name=f"{name}_conv",
    )(x)
    if use_batch_norm:
      x = FusedBatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=name)(x)

  def pool(x, size):
    return keras.layers.MaxPooling2D(size, 2, padding="same")(x)

  inputs = keras.Input([None, None, 3])
  x = pool(convolution(inputs, 64, 7, 2, "conv1"), 3)
  for block, channels in ((2, 128), (3, 256), (4, 512)):
    x = x if block == 2 else pool(x, 2)
    x = convolution(x, channels, 3, 1, f"conv{block}_1")
    x = convolution(x, channels, 3, 1, f"conv{block}")
  return keras.Model(inputs, x, name="vggm")


def _up_to(network: keras.Model, layer: str, name: str) -> keras.Model:
  names = [item.name for item in network.layers]
  if layer not in names:
    raise UserError(
      f"MODEL.BASE_MODEL.LAYER: {name} has no layer {layer!r}; expected one of"
      f" {', '.join(names[-12:])}, ...; did you mean {nearest(layer, names)}?"
    )
  return keras.Model(
    network.inputs[0], network.get_layer(layer).output, name="cnn"
  )


def _with_fast_layers(
  network: keras.Model, policy: str, momentum: float
) -> keras.Model:
  """Copies a network with fused batch norm, a dtype policy and a momentum."""

  def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    # A pixel range is scaled by operations, which hold no variables.
    if not isinstance(layer, keras.layers.Layer):
      return layer
    settings = layer.get_config()
    if not isinstance(layer, keras.layers.InputLayer):
      settings["dtype"] = policy
    if isinstance(layer, keras.layers.BatchNormalization):
      settings["momentum"] = momentum
      return FusedBatchNormalization.from_config(settings)
    return layer.__class__.from_config(settings)

  fast = keras.models.clone_model(network, clone_function=copy, recursive=True)
  fast.set_weights(network.get_weights())
  return fast


def _set_trainable(network: keras.Model, train_base: str) -> None:
  for layer in leaf_layers(network):
    is_batch_norm = isinstance(layer, keras.layers.BatchNormalization)
    layer.trainable = train_base == "train_all" or (
      train_base == "only_bn" and is_batch_norm
    )


def leaf_layers(network: keras.Model) -> list[keras.layers.Layer]:
  """All layers of a network, those of nested networks included."""
  leaves = []
  for layer in network.layers:
    nested = isinstance(layer, keras.Model)
    leaves.extend(leaf_layers(layer) if nested else [layer])
  return leaves


class Embedder(keras.Model):
  """Feature maps of the sampled frames of videos to embeddings.

  A part that sees one frame with its context at a time, then perhaps a
  recurrent part, which runs over the frames of a video and whose state is
  explicit: a long video may come in pieces.

  Attributes:
    frame_network: [N, C, h, w, channels] to [N, F].
    recurrent_network: [B, S, F] and states [B, units] to [B, S, D] and the
      states after; or None.
    embedding_size: D.
  """

  def __init__(
    self,
    frame_network: keras.Model,
    recurrent_network: keras.Model | None = None,
  ) -> None:
    """Takes the two parts, built."""
    super().__init__(name="emb")
    self.frame_network = frame_network
    self.recurrent_network = recurrent_network
    self._state_sizes = []
    self.embedding_size = frame_network.output_shape[-1]
    if recurrent_network:
      (*_, self.embedding_size), *_ = recurrent_network.output_shape
      self._state_sizes = [x.shape[-1] for x in recurrent_network.inputs[1:]]
    self.built = True

  def call(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
    """[B, S, D] float32 embeddings of [B, S, C, h, w, channels] maps."""
    states = self.initial_states(tf.shape(features)[0])
    return self.embed_piece(features, states, training)[0]

  def initial_states(self, batch_size: int | tf.Tensor) -> list[tf.Tensor]:
    """The states at the start of videos: zeros, [B, units] each."""
    return [tf.zeros([batch_size, size]) for size in self._state_sizes]

  def embed_piece(
    self,
    features: tf.Tensor,
    states: list[tf.Tensor],
    training: bool = False,
  ) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Embeds a piece of each of some videos.

    Args:
      features: [B, S, C, h, w, channels] feature maps.
      states: What the call for the piece before returned, or `initial_states`.
      training: Whether batch norm and dropout train.

    Returns:
      [B, S, D] float32 embeddings, and the states after the piece.
    """
    shape = tf.shape(features)
    vectors = self.frame_network(
      tf.reshape(features, tf.concat([[-1], shape[2:]], 0)), training=training
    )
    embs = tf.reshape(
      vectors, [shape[0], features.shape[1] or shape[1], vectors.shape[-1]]
    )
    if self.recurrent_network:
      embs, *states = self.recurrent_network([embs, *states], training=training)
    return embs, states


def _penalties(l2_weight: float, *parts: str) -> dict[str, keras.Regularizer]:
  """L2 penalties as arguments of a layer."""
  return {
    f"{part}_regularizer": keras.regularizers.L2(l2_weight) for part in parts
  }


def conv_embedder(
  feature_shape: tuple[int, int, int],
  num_context: int,
  model: EasyDict,
  policy: str,
) -> Embedder:
  """The convolutional embedder (paper, table 9).

  Args:
    feature_shape: Height, width and channels of the backbone's feature map.
    num_context: Context frames an embedding sees, C.
    model: The MODEL section; CONV_EMBEDDER_MODEL describes the layers.
    policy: Keras dtype policy of all layers but the last, which is float32.

  Returns:
    An embedder of EMBEDDING_SIZE dimensions, not recurrent.
  """
  settings = model.CONV_EMBEDDER_MODEL
  penalties = _penalties(model.L2_REG_WEIGHT, "kernel", "bias")
  inputs = keras.Input([num_context, *feature_shape], dtype="float32")
  x = inputs
  if settings.BASE_DROPOUT_RATE:
    dropout = (
      keras.layers.SpatialDropout3D
      if settings.BASE_DROPOUT_SPATIAL
      else keras.layers.Dropout
    )
    x = dropout(settings.BASE_DROPOUT_RATE, dtype=policy)(x)
  layers = [
    (_scaled(channels, settings.CAPACITY_SCALAR), size, activate)
    for channels, size, activate in settings.CONV_LAYERS
  ]
  x = _convolutions(x, TemporalConvolution, layers, settings, model, policy)
  x = _FLATTEN[settings.FLATTEN_METHOD](dtype=policy)(x)
  for units, activate in settings.FC_LAYERS:
    x = keras.layers.Dropout(settings.FC_DROPOUT_RATE, dtype=policy)(x)
    x = keras.layers.Dense(
      _scaled(units, settings.CAPACITY_SCALAR),
      activation="relu" if activate else None,
      dtype=policy,
      **penalties,
    )(x)
  x = keras.layers.Dense(settings.EMBEDDING_SIZE, dtype="float32", **penalties)(
    x
  )
  if settings.L2_NORMALIZE:
    x = keras.layers.UnitNormalization(dtype="float32")(x)
  return Embedder(keras.Model(inputs, x, name="frame_network"))


def convgru_embedder(
  feature_shape: tuple[int, int, int],
  num_context: int,
  model: EasyDict,
  policy: str,
) -> Embedder:
  """The recurrent embedder: convolutions on each frame, then GRUs over time.

  A recurrent network can solve cycle-consistency by counting frames instead of
  looking at them.

  Args:
    feature_shape: Height, width and channels of the backbone's feature map.
    num_context: Context frames, which has to be 1.
    model: The MODEL section; CONVGRU_EMBEDDER_MODEL describes the layers.
    policy: Keras dtype policy of the convolutions; the GRUs are float32.

  Returns:
    An embedder of as many dimensions as the last of GRU_LAYERS has units.

  Raises:
    UserError: There is more than one context frame.
  """
  if num_context != 1:
    raise UserError(
      "DATA.NUM_STEPS: the convgru embedder sees one frame at a time, its"
      f" context is its state; expected 1, received {num_context}"
    )
  settings = model.CONVGRU_EMBEDDER_MODEL
  inputs = keras.Input([1, *feature_shape], dtype="float32")
  x = inputs[:, 0]
  x = _convolutions(
    x, keras.layers.Conv2D, settings.CONV_LAYERS, settings, model, policy
  )
  x = keras.layers.GlobalMaxPooling2D(dtype=policy)(x)
  x = keras.layers.Dropout(settings.DROPOUT_RATE, dtype="float32")(x)
  return Embedder(
    keras.Model(inputs, x, name="frame_network"),
    _recurrent_network(x.shape[-1], settings.GRU_LAYERS, model.L2_REG_WEIGHT),
  )


def _recurrent_network(
  input_size: int, units: Sequence[int], l2_weight: float
) -> keras.Model:
  """GRUs over [B, S, input_size]; takes their states and returns the next."""
  inputs = keras.Input([None, input_size], dtype="float32")
  states = [keras.Input([size], dtype="float32") for size in units]
  x, new_states = inputs, []
  for size, state in zip(units, states, strict=True):
    x, new_state = keras.layers.GRU(
      size,
      return_sequences=True,
      return_state=True,
      dtype="float32",
      **_penalties(l2_weight, "kernel", "recurrent", "bias"),
    )(x, initial_state=state)
    new_states.append(new_state)
  return keras.Model(
    [inputs, *states], [x, *new_states], name="recurrent_network"
  )


def _convolutions(
  x: keras.KerasTensor,
  convolution: type[keras.layers.Layer],
  layers: Sequence[tuple[int, int, bool]],
  settings: EasyDict,
  model: EasyDict,
  policy: str,
) -> keras.KerasTensor:
  """Convolutions, each with batch norm and ReLU where the settings say so."""
  for channels, size, activate in layers:
    x = convolution(
      channels,
      size,
      padding="same",
      kernel_initializer="he_normal",
      dtype=policy,
      **_penalties(model.L2_REG_WEIGHT, "kernel", "bias"),
    )(x)
    if settings.USE_BN:
      x = FusedBatchNormalization(
        momentum=model.BATCH_NORM_MOMENTUM, dtype=policy
      )(x)
    if activate:
      x = keras.layers.ReLU(dtype=policy)(x)
  return x


def _scaled(size: int, scalar: float) -> int:
  return max(1, int(size * scalar))


_FLATTEN = {
  "max_pool": keras.layers.GlobalMaxPooling3D,
  "avg_pool": keras.layers.GlobalAveragePooling3D,
  "flatten": keras.layers.Flatten,
}


def build_embedder(config: EasyDict, backbone: keras.Model) -> Embedder:
  """Builds the embedder EMBEDDER_TYPE for the feature maps of a backbone.

  Args:
    config: The configuration.
    backbone: As `build_backbone` returns it.

  Returns:
    The embedder.

  Raises:
    UserError: The embedder can't take the context frames of DATA.NUM_STEPS.
  """
  size = config.IMAGE_SIZE
  embedder = EMBEDDERS[config.MODEL.EMBEDDER_TYPE](
    backbone.compute_output_shape([1, size, size, 3])[1:],
    config.DATA.NUM_STEPS,
    config.MODEL,
    compute_policy(config.PRECISION),
  )
  embedder.trainable = config.MODEL.TRAIN_EMBEDDING
  return embedder


EMBEDDERS = {"conv": conv_embedder, "convgru": convgru_embedder}


def dense_head(
  input_size: int,
  layers: Sequence[tuple[int, bool]],
  dropout_rate: float,
  l2_weight: float,
) -> keras.Model:
  """Builds a classifier of embeddings.

  Args:
    input_size: Dimensions of what it classifies.
    layers: Units of each dense layer and whether a ReLU follows.
    dropout_rate: Of the dropout before each layer.
    l2_weight: Weight of the L2 penalty on kernels and biases.

  Returns:
    A model from [N, input_size] to float32 logits [N, units of the last layer].
  """
  inputs = keras.Input([input_size], dtype="float32")
  x = inputs
  for units, activate in layers:
    x = keras.layers.Dropout(dropout_rate, dtype="float32")(x)
    x = keras.layers.Dense(
      units,
      activation="relu" if activate else None,
      dtype="float32",
      **_penalties(l2_weight, "kernel", "bias"),
    )(x)
  return keras.Model(inputs, x, name="head")
