"""Backbones: networks that turn single frames into features.

A new backbone is a function and a line in `BACKBONES`.
"""

import importlib
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from easydict import EasyDict

import config as configuration
from core.errors import UserError, first_line
from core.settings import nearest
from networks import imagenet_weights
from networks.layers import FusedBatchNormalization
from networks.precision import compute_policy

# Ending of the names of networks that start from ImageNet weights.
PRETRAINED = "_pretrained"
# Name, channels, kernel size and stride of each convolution of VGG-M, and the
# size of the max-pool of stride 2 behind it, 0 = none.
_VGGM = (
  ("conv1", 64, 7, 2, 3),
  ("conv2_1", 128, 3, 1, 0),
  ("conv2", 128, 3, 1, 2),
  ("conv3_1", 256, 3, 1, 0),
  ("conv3", 256, 3, 1, 2),
  ("conv4_1", 512, 3, 1, 0),
  ("conv4", 512, 3, 1, 0),
)


class Backbone(NamedTuple):
  """An entry of `BACKBONES`.

  Attributes:
    build: Takes the configuration and returns a network of one input, frames
      [N, H, W, 3] in [-1, 1]: it maps them to the pixel range of its weights
      itself. Its layers give feature maps [N, h, w, c] or vectors [N, c].
    layer: Name of the layer whose output is taken where MODEL.BASE_MODEL.LAYER
      is empty; None = the last one.
  """

  build: Callable[[EasyDict], keras.Model]
  layer: str | None = None


def build_backbone(config: EasyDict) -> keras.Model:
  """Build the backbone that MODEL.BASE_MODEL.NETWORK names.

  Args:
    config: The configuration; MODEL.BASE_MODEL.LAYER names the layer whose
      output is taken, MODEL.TRAIN_BASE what can be trained.

  Returns:
    A model from frames [N, H, W, 3] in [-1, 1] to feature maps [N, h, w, c] or
    vectors [N, c], whose trainable variables are those TRAIN_BASE allows.

  Raises:
    UserError: There is no such network or layer, its weights can't be had, or
      it has nothing that TRAIN_BASE could train.
  """
  model = config.MODEL
  name = model.BASE_MODEL.NETWORK
  backbone = find_backbone(name)
  layer = model.BASE_MODEL.LAYER or backbone.layer
  network = _copy_to_train(_cut_at(backbone.build(config), layer, name), config)
  if model.TRAIN_BASE == "only_bn" and not network.trainable_variables:
    raise UserError(
      "MODEL.TRAIN_BASE: expected a backbone with batch norm for only_bn,"
      f" received {name} up to {layer} without; choose train_all or frozen"
    )
  return network


def find_backbone(name: str) -> Backbone:
  """Look up a backbone by its name, or by the ending of a file's name.

  Args:
    name: Value of MODEL.BASE_MODEL.NETWORK.

  Returns:
    The entry of `BACKBONES`.

  Raises:
    UserError: There is none; the message has the nearest name.
  """
  for key in (name, pathlib.PurePath(name).suffix):
    if key in BACKBONES:
      return BACKBONES[key]
  raise UserError(
    "MODEL.BASE_MODEL.NETWORK: expected Resnet50_pretrained, Resnet50, VGGM, a"
    " name in keras.applications such as MobileNetV2 (with the ending"
    " _pretrained for ImageNet weights) or the path of a .keras file, received"
    f" {name!r}; did you mean {nearest(name, list(BACKBONES))}?"
  )


def _cut_at(network: keras.Model, layer: str | None, name: str) -> keras.Model:
  names = [item.name for item in network.layers]
  layer = layer or names[-1]
  if layer not in names:
    raise UserError(
      f"MODEL.BASE_MODEL.LAYER: expected a layer of {name}, one of"
      f" {', '.join(names[-12:])}, ..., received {layer!r}; did you mean"
      f" {nearest(layer, names)}?"
    )
  output = network.get_layer(layer).output
  return keras.Model(network.inputs[0], output, name="cnn")


def _copy_to_train(network: keras.Model, config: EasyDict) -> keras.Model:
  """Copy a network with fused batch norm, ready to train as MODEL says."""
  policy, trains = compute_policy(config.PRECISION), config.MODEL.TRAIN_BASE
  momentum = config.MODEL.BATCH_NORM_MOMENTUM

  def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    # A pixel range is scaled by operations, which hold no variables.
    if not isinstance(layer, keras.layers.Layer):
      return layer
    settings, kind = layer.get_config(), type(layer)
    if not isinstance(layer, keras.layers.InputLayer):
      settings |= {"dtype": policy, "trainable": trains == "train_all"}
    if isinstance(layer, keras.layers.BatchNormalization):
      kind = FusedBatchNormalization
      settings |= {"momentum": momentum, "trainable": trains != "frozen"}
    return kind.from_config(settings)

  clone = keras.models.clone_model(network, clone_function=copy, recursive=True)
  clone.set_weights(network.get_weights())
  return clone


def build_resnet(weights: str | None = None) -> keras.Model:
  """Build ResNet50V2, which takes [-1, 1], for frames of any size."""
  return keras.applications.ResNet50V2(
    include_top=False, weights=weights, input_shape=(None, None, 3)
  )


def _build_pretrained_resnet(config: EasyDict) -> keras.Model:
  """Take ImageNet weights from a file, or else have Keras download them."""
  weights = config.MODEL.RESNET_PRETRAINED_WEIGHTS
  default = configuration.CONFIG.MODEL.RESNET_PRETRAINED_WEIGHTS
  try:
    path = pathlib.Path(weights)
    if weights == "imagenet" or (weights == default and not path.is_file()):
      path = imagenet_weights.fetch_weights()
    if not path.is_file():
      raise FileNotFoundError("no such file")
    return build_resnet(str(path))
  except Exception as error:  # Keras raises bare Exception when offline.
    raise UserError(
      "MODEL.RESNET_PRETRAINED_WEIGHTS: expected a file of ImageNet weights or"
      f" imagenet, received {weights} ({first_line(error)}); either connect"
      " this machine to the network and pass --set"
      " MODEL.RESNET_PRETRAINED_WEIGHTS=imagenet, or download"
      f" {imagenet_weights.URL} elsewhere and pass --set"
      " MODEL.RESNET_PRETRAINED_WEIGHTS=PATH (to train from scratch instead:"
      " --set MODEL.BASE_MODEL.NETWORK=Resnet50)"
    ) from error


def build_vggm(use_batch_norm: bool) -> keras.Model:
  """Build VGG-M of the paper's table 8, which is trained from scratch.

  Args:
    use_batch_norm: Whether each convolution is followed by batch norm.

  Returns:
    [N, H, W, 3] to [N, H/16, W/16, 512]; the outputs of its blocks are named
    conv2, conv3 and conv4.
  """
  x = inputs = keras.Input([None, None, 3])
  options = {"padding": "same", "kernel_initializer": "he_normal"}
  for name, channels, size, strides, pool_size in _VGGM:
    x = keras.layers.Conv2D(
      channels, size, strides, name=f"{name}_conv", **options
    )(x)
    if use_batch_norm:
      x = FusedBatchNormalization(name=f"{name}_bn")(x)
    x = keras.layers.ReLU(name=name)(x)
    if pool_size:
      x = keras.layers.MaxPooling2D(pool_size, 2, padding="same")(x)
  return keras.Model(inputs, x, name="vggm")


def _load_keras_file(config: EasyDict) -> keras.Model:
  path, size = config.MODEL.BASE_MODEL.NETWORK, config.IMAGE_SIZE
  expected = (None, size, size, 3)
  try:
    network = keras.models.load_model(path, compile=False)
    [inputs] = network.inputs
    tf.TensorShape(inputs.shape).assert_is_compatible_with(expected)
  except Exception as error:  # Keras raises many types for a broken file.
    raise UserError(
      "MODEL.BASE_MODEL.NETWORK: expected a .keras file of a built network that"
      f" takes RGB frames {expected} in [-1, 1], received {path}"
      f" ({first_line(error)}); check the path, set IMAGE_SIZE to fit or save"
      " it for any size"
    ) from error
  return network


def _build_application(config: EasyDict) -> keras.Model:
  """Build a network of keras.applications and the pixel range it expects."""
  name, size = config.MODEL.BASE_MODEL.NETWORK, config.IMAGE_SIZE
  weights = "imagenet" if name.endswith(PRETRAINED) else None
  build = getattr(keras.applications, name.removesuffix(PRETRAINED))
  # Each family normalizes its input in a function of its module.
  preprocess = importlib.import_module(build.__module__).preprocess_input
  inputs = preprocess((keras.Input([size, size, 3]) + 1.0) * 127.5)
  try:
    return build(include_top=False, weights=weights, input_tensor=inputs)
  except Exception as error:  # Keras raises bare Exception when offline.
    raise UserError(
      "MODEL.BASE_MODEL.NETWORK: expected a network that Keras can build,"
      f" received {name} ({first_line(error)}); choose another, or the name"
      " without _pretrained for random weights"
    ) from error


# Name, or ending of a file's name -> backbone.
BACKBONES = {
  "Resnet50_pretrained": Backbone(_build_pretrained_resnet, "conv4_block3_out"),
  "Resnet50": Backbone(lambda _: build_resnet(), "conv4_block3_out"),
  "VGGM": Backbone(lambda c: build_vggm(c.MODEL.VGGM.USE_BN), "conv4"),
  ".keras": Backbone(_load_keras_file),
}
BACKBONES |= {
  name + ending: Backbone(_build_application)
  for name, value in vars(keras.applications).items()
  if callable(value)
  for ending in ("", PRETRAINED)
}
