"""Backbones (frame to feature map) and embedders (feature maps to embedding).

Every function returns a built `keras.Model`; the settings come as arguments.
"""

import importlib
import pathlib

import keras
import tensorflow as tf
from easydict import EasyDict

from batch_norm import FusedBatchNormalization
from errors import UserError, first_line

# Ending of the names of networks that start from ImageNet weights.
PRETRAINED = "_pretrained"
_RESNET_FILE = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"


def compute_policy(precision: str) -> str:
  """The Keras dtype policy of a PRECISION: where layers compute in bfloat16.

  Args:
    precision: `float32`, `bfloat16`, or `auto`: bfloat16 on a GPU and on a CPU
      with instructions for it, float32 elsewhere, where it would be slower.

  Returns:
    `float32` or `mixed_bfloat16`.
  """
  if precision == "auto":
    fast = bool(tf.config.list_physical_devices("GPU")) or _cpu_has_bfloat16()
    precision = "bfloat16" if fast else "float32"
  return "mixed_bfloat16" if precision == "bfloat16" else "float32"


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
    UserError: There is no such network or layer, or its weights can't be had.
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
      " the path of a .keras file"
    )
  weights = "imagenet" if name.endswith(PRETRAINED) else None
  # Each family normalises its input in a function of its module.
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
      f" {', '.join(names[-12:])}, ..."
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


def conv_embedder(
  feature_shape: tuple[int, int, int],
  num_context: int,
  settings: EasyDict,
  l2_weight: float,
  batch_norm_momentum: float,
  policy: str,
) -> keras.Model:
  """The convolutional embedder (paper, table 9).

  Args:
    feature_shape: Height, width and channels of the backbone's feature map.
    num_context: Context frames an embedding sees, C.
    settings: The CONV_EMBEDDER_MODEL section.
    l2_weight: Weight of the L2 penalty on kernels and biases.
    batch_norm_momentum: Share of the old moving statistics a step keeps.
    policy: Keras dtype policy of all layers but the last, which is float32.

  Returns:
    A model from [N, C, h, w, channels] to [N, EMBEDDING_SIZE] float32.
  """
  regularized = {
    "kernel_regularizer": keras.regularizers.L2(l2_weight),
    "bias_regularizer": keras.regularizers.L2(l2_weight),
  }
  inputs = keras.Input([num_context, *feature_shape], dtype="float32")
  x = inputs
  if settings.BASE_DROPOUT_RATE:
    dropout = (
      keras.layers.SpatialDropout3D
      if settings.BASE_DROPOUT_SPATIAL
      else keras.layers.Dropout
    )
    x = dropout(settings.BASE_DROPOUT_RATE, dtype=policy)(x)
  for channels, size, activate in settings.CONV_LAYERS:
    x = keras.layers.Conv3D(
      _scaled(channels, settings.CAPACITY_SCALAR),
      size,
      padding="same",
      kernel_initializer="he_normal",
      dtype=policy,
      **regularized,
    )(x)
    if settings.USE_BN:
      x = FusedBatchNormalization(momentum=batch_norm_momentum, dtype=policy)(x)
    if activate:
      x = keras.layers.ReLU(dtype=policy)(x)
  x = _FLATTEN[settings.FLATTEN_METHOD](dtype=policy)(x)
  for units, activate in settings.FC_LAYERS:
    x = keras.layers.Dropout(settings.FC_DROPOUT_RATE, dtype=policy)(x)
    x = keras.layers.Dense(
      _scaled(units, settings.CAPACITY_SCALAR),
      activation="relu" if activate else None,
      dtype=policy,
      **regularized,
    )(x)
  x = keras.layers.Dense(
    settings.EMBEDDING_SIZE, dtype="float32", **regularized
  )(x)
  if settings.L2_NORMALIZE:
    x = keras.layers.UnitNormalization(dtype="float32")(x)
  return keras.Model(inputs, x, name="emb")


def _scaled(size: int, scalar: float) -> int:
  return max(1, int(size * scalar))


_FLATTEN = {
  "max_pool": keras.layers.GlobalMaxPooling3D,
  "avg_pool": keras.layers.GlobalAveragePooling3D,
  "flatten": keras.layers.Flatten,
}


def build_embedder(config: EasyDict, backbone: keras.Model) -> keras.Model:
  """Builds the embedder EMBEDDER_TYPE for the feature maps of a backbone.

  Args:
    config: The configuration.
    backbone: As `build_backbone` returns it.

  Returns:
    A model from [N, C, h, w, channels] to [N, EMBEDDING_SIZE] float32.
  """
  size = config.IMAGE_SIZE
  model = config.MODEL
  embedder = EMBEDDERS[model.EMBEDDER_TYPE](
    backbone.compute_output_shape([1, size, size, 3])[1:],
    config.DATA.NUM_STEPS,
    model.CONV_EMBEDDER_MODEL,
    model.L2_REG_WEIGHT,
    model.BATCH_NORM_MOMENTUM,
    compute_policy(config.PRECISION),
  )
  embedder.trainable = model.TRAIN_EMBEDDING
  return embedder


EMBEDDERS = {"conv": conv_embedder}
