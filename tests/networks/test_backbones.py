import hashlib
import itertools
import urllib.request

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import config
from networks import imagenet_weights
from networks.backbones import build_backbone, build_vggm
from networks.layers import FusedBatchNormalization
from tests.helpers import servers, tiny
from tests.helpers.errors import message_of

RESNET_FILE = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
RESNET_LAYER = "MODEL.BASE_MODEL.LAYER=conv2_block1_out"
NOT_LEARNED = ("moving_mean", "moving_variance")


def network(name):
  return f"MODEL.BASE_MODEL.NETWORK={name}"


RESNET = "Resnet50_pretrained"
PRETRAINED_RESNET = (network(RESNET), RESNET_LAYER)


def backbone(*settings):
  keras.utils.set_random_seed(0)
  return build_backbone(tiny.config(*settings))


def write_legacy_file(model, path):
  """Writes weights as Keras 2 did: a group a layer, named in attributes."""
  with h5py.File(path, "w") as file:
    file.attrs["backend"] = b"tensorflow"
    file.attrs["keras_version"] = b"2.2.4"
    file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
    for layer in model.layers:
      group = file.create_group(layer.name)
      learned = [w for w in layer.weights if w.name not in NOT_LEARNED]
      others = [w for w in layer.weights if w.name in NOT_LEARNED]
      names = [f"{layer.name}/{w.name}:0" for w in learned + others]
      group.attrs["weight_names"] = np.array(names, "S")
      for key, weight in zip(names, learned + others, strict=True):
        group[key] = weight.numpy()


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory):
  """A file of the published layout and name; only its first layers matter."""
  keras.utils.set_random_seed(7)
  resnet = keras.applications.ResNet50V2(
    include_top=False, weights=None, input_shape=(None, None, 3)
  )
  rng = np.random.default_rng(7)
  for layer in tiny.list_leaves(resnet)[:25]:
    layer.set_weights([rng.uniform(0.01, 0.1, w.shape) for w in layer.weights])
  path = tmp_path_factory.mktemp("weights") / RESNET_FILE
  write_legacy_file(resnet, path)
  output = resnet.get_layer("conv2_block1_out").output
  return path, keras.Model(resnet.inputs[0], output)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
  """A user's network: nested, misnamed, with a batch norm without scale."""
  keras.utils.set_random_seed(8)
  inner = keras.Sequential([keras.Input([None, None, 3])], name="inner")
  inner.add(keras.layers.Conv2D(4, 3, 2, use_bias=False, name="bn_gamma"))
  inner.add(keras.layers.BatchNormalization(scale=False))
  inputs = keras.Input([None, None, 3])
  x = keras.layers.BatchNormalization(name="dense")(inner(inputs))
  x = keras.layers.ReLU(name="features")(x)
  model = keras.Model(inputs, keras.layers.Flatten(name="more")(x[:, :2, :2]))
  rng = np.random.default_rng(8)
  model.set_weights([rng.uniform(0.1, 1.0, w.shape) for w in model.weights])
  # How a user left it must not decide what we train.
  inner.trainable = False
  path = tmp_path_factory.mktemp("network") / "own.keras"
  model.save(path)
  return path, model


def test_pretrained_resnet_reads_the_published_layout(resnet_file):
  path, reference = resnet_file
  cnn = backbone(*PRETRAINED_RESNET, weights_setting(path))
  for weight, expected in zip(cnn.weights, reference.weights, strict=True):
    assert weight.path == expected.path
    np.testing.assert_array_equal(weight, expected)
  x = tiny.frames(2, 32, 32, 3)
  np.testing.assert_allclose(cnn(x), reference(x), rtol=1e-4, atol=1e-5)


@pytest.fixture
def offline(monkeypatch, tmp_path):
  """Nothing can be downloaded, and nothing was before."""
  from keras.src.backend import config as keras_config

  monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
  monkeypatch.setenv("KERAS_HOME", str(tmp_path))
  for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
  for name in ("no_proxy", "NO_PROXY"):
    monkeypatch.delenv(name, raising=False)
  # The first request fixes the proxies of all.
  monkeypatch.setattr(urllib.request, "_opener", None)


def weights_setting(path):
  return f"MODEL.RESNET_PRETRAINED_WEIGHTS={path}"


@pytest.fixture
def default_weights(monkeypatch, tmp_path):
  """A default that is not there, on any machine."""
  path = tmp_path / "default.h5"
  model = config.CONFIG.MODEL
  monkeypatch.setitem(model, "RESNET_PRETRAINED_WEIGHTS", str(path))
  return path


@pytest.mark.parametrize(
  "fault", ["missing", "garbage", "other network", "imagenet", "default"]
)
def test_weights_that_cannot_be_had_name_both_ways(
  fault, offline, default_weights, tmp_path
):
  given = {"imagenet": "imagenet", "default": default_weights}
  path = given.get(fault, tmp_path / RESNET_FILE)
  if fault == "garbage":
    path.write_bytes(b"<html>not found</html>" * 100)
  elif fault == "other network":
    write_legacy_file(build_vggm(True), path)
  message = message_of(backbone, *PRETRAINED_RESNET, weights_setting(path))
  reason = {"missing": "no such file); "}.get(fault, "")
  reason = "<urlopen error [" if fault in given else reason
  assert message.startswith(
    "MODEL.RESNET_PRETRAINED_WEIGHTS: expected a file of ImageNet weights or"
    f" imagenet, received {path} ({reason}"
  )
  assert message.endswith(
    "); either connect this machine to the network and pass --set"
    " MODEL.RESNET_PRETRAINED_WEIGHTS=imagenet, or download"
    f" {imagenet_weights.URL} elsewhere and pass --set"
    " MODEL.RESNET_PRETRAINED_WEIGHTS=PATH (to train from scratch instead:"
    " --set MODEL.BASE_MODEL.NETWORK=Resnet50)"
  )


@pytest.mark.parametrize("given", ["imagenet", "default"])
def test_missing_weights_are_downloaded(
  given, resnet_file, default_weights, monkeypatch, tmp_path
):
  content = resnet_file[0].read_bytes()
  monkeypatch.setenv("KERAS_HOME", str(tmp_path))
  monkeypatch.setenv("no_proxy", "127.0.0.1")
  digest = hashlib.md5(content).hexdigest()
  monkeypatch.setattr(imagenet_weights, "_MD5", digest)
  with servers.serve(content) as server:
    monkeypatch.setattr(imagenet_weights, "URL", server.url)
    path = default_weights if given == "default" else given
    cnn = backbone(*PRETRAINED_RESNET, weights_setting(path))
  for weight, expected in zip(cnn.weights, resnet_file[1].weights, strict=True):
    np.testing.assert_array_equal(weight, expected)
  assert (tmp_path / "models" / RESNET_FILE).read_bytes() == content


def test_pretrained_application_without_a_network_connection(offline):
  message = message_of(backbone, network("MobileNetV2_pretrained"))
  assert message.startswith(
    "MODEL.BASE_MODEL.NETWORK: expected a network that Keras can build,"
    " received MobileNetV2_pretrained ("
  )
  assert message.endswith(
    "; choose another, or the name without _pretrained for random weights"
  )


@pytest.mark.parametrize(
  ("name", "module", "layer", "is_other"),
  [
    # The first takes [-1, 1] as it comes, the second BGR less its mean.
    ("MobileNetV2", "mobilenet_v2", "expanded_conv_project_BN", False),
    ("VGG16", "vgg16", "block2_conv1", True),
  ],
)
def test_an_application_receives_its_pixel_range(name, module, layer, is_other):
  # VGG16 has no batch norm.
  settings = (f"MODEL.BASE_MODEL.LAYER={layer}", "MODEL.TRAIN_BASE=frozen")
  cnn = backbone(network(name), *settings)
  build = getattr(keras.applications, name)
  whole = build(include_top=False, weights=None, input_shape=(32, 32, 3))
  reference = keras.Model(whole.inputs[0], whole.get_layer(layer).output)
  reference.set_weights(cnn.get_weights())
  x = tiny.frames(2, 32, 32, 3).numpy()
  module = getattr(keras.applications, module)
  expected = reference(module.preprocess_input((x + 1.0) * 127.5))
  assert np.abs(expected).max() > 0.01
  np.testing.assert_allclose(cnn(x), expected, rtol=1e-3, atol=1e-3)
  # Pixels in [-1, 1] would be something else altogether.
  difference = np.abs(reference(x) - expected).max()
  assert (difference > 0.1 * np.abs(expected).max()) == is_other


@pytest.mark.parametrize("layer", ["features", "dense", "inner"])
def test_keras_file_gives_the_outputs_it_was_saved_with(keras_file, layer):
  path, model = keras_file
  cnn = backbone(network(path), f"MODEL.BASE_MODEL.LAYER={layer}")
  x = tiny.frames(2, 32, 32, 3)
  steps = ["inner", "dense", "features"]
  expected = x
  for name in steps[: steps.index(layer) + 1]:
    expected = model.get_layer(name)(expected)
  np.testing.assert_allclose(cnn(x), expected, rtol=1e-4, atol=1e-5)
  norms = filter(tiny.is_batch_norm, tiny.list_leaves(cnn))
  assert {type(layer) for layer in norms} == {FusedBatchNormalization}


def test_keras_file_errors(tmp_path):
  gray = "Shapes (None, 64, 64, 1) and (None, 32, 32, 3) are incompatible);"
  reasons = {"missing": "File not found", "broken": "", "unbuilt": ""}
  paths = {x: tmp_path / f"{x}.keras" for x in (*reasons, "gray")}
  paths["broken"].write_bytes(b"PK not a zip archive")
  relu = keras.layers.ReLU(name="conv2")
  keras.Sequential([keras.Input([64, 64, 1]), relu]).save(paths["gray"])
  keras.Sequential([keras.layers.ReLU(name="conv2")]).save(paths["unbuilt"])
  for fault, reason in (reasons | {"gray": gray}).items():
    message = message_of(backbone, network(paths[fault]))
    assert message.startswith(
      "MODEL.BASE_MODEL.NETWORK: expected a .keras file of a built network that"
      f" takes RGB frames (None, 32, 32, 3) in [-1, 1], received {paths[fault]}"
      f" ({reason}"
    )
    assert message.endswith(
      "); check the path, set IMAGE_SIZE to fit or save it for any size"
    )


@pytest.mark.parametrize(
  ("name", "near"),
  [
    *(("Resnet51", "Resnet50"), ("resnet50", "Resnet50"), ("VGG-M", "VGGM")),
    *(("Resnet50_pretraind", RESNET), ("MobilNetV2", "MobileNetV2")),
    ("ResNet101V2_pretrainde", "ResNet101V2_pretrained"),
  ],
)
def test_unknown_network(name, near):
  assert message_of(backbone, network(f"'{name}'")) == (
    "MODEL.BASE_MODEL.NETWORK: expected Resnet50_pretrained, Resnet50, VGGM, a"
    " name in keras.applications such as MobileNetV2 (with the ending"
    " _pretrained for ImageNet weights) or the path of a .keras file, received"
    f" {name!r}; did you mean {near}?"
  )


def test_unknown_layer_lists_known_ones():
  message = message_of(backbone, "MODEL.BASE_MODEL.LAYER=conv_4")
  assert message.startswith("MODEL.BASE_MODEL.LAYER: expected a layer of VGGM,")
  assert message.endswith(
    " conv4_1_conv, conv4_1_bn, conv4_1, conv4_conv, conv4_bn, conv4, ...,"
    " received 'conv_4'; did you mean conv4?"
  )


def test_an_empty_layer_is_the_default_of_the_backbone(keras_file):
  layer = "MODEL.BASE_MODEL.LAYER=''"
  assert backbone(layer).output_shape[-1] == 512
  # The last of a file without a default, here vectors.
  algo = tiny.algorithm(layer, network(keras_file[0]))
  assert len(algo.cnn.output_shape) == 2
  assert algo(tiny.batch(), training=True).shape == (2, 3, 6)


@pytest.mark.parametrize("use_batch_norm", [False, True])
def test_vggm_has_the_shapes_of_table_8(use_batch_norm):
  model = build_vggm(use_batch_norm)
  sizes = {"conv2": (56, 128), "conv3": (28, 256), "conv4": (14, 512)}
  for layer, (size, channels) in sizes.items():
    maps = keras.Model(model.inputs, model.get_layer(layer).output)
    shape = maps.compute_output_shape([5, 224, 224, 3])
    assert shape == (5, size, size, channels)
  assert model.output_shape == (None, None, None, 512)
  convolutions = [(64, 7, 3), (128, 3, 64), (128, 3, 128), (256, 3, 128)]
  convolutions += [(256, 3, 256), (512, 3, 256), (512, 3, 512)]
  of_each = 1 + 4 * use_batch_norm
  expected = sum(n * (k * k * m + of_each) for n, k, m in convolutions)
  assert model.count_params() == expected


def weights_of(model, only_batch_norm=False):
  """Ids of a model's weights but moving statistics."""
  return {
    id(w)
    for layer in tiny.list_leaves(model)
    for w in layer.weights
    if w.name not in NOT_LEARNED
    and (tiny.is_batch_norm(layer) or not only_batch_norm)
  }


MOBILE_LAYER = "MODEL.BASE_MODEL.LAYER=expanded_conv_project_BN"
# What has no batch norm is refused with only_bn.
CASES = [
  *itertools.product(["VGGM", "own.keras"], ["train_all", "only_bn", "frozen"]),
  ("VGGM", "train_all", "MODEL.VGGM.USE_BN=false"),
  ("Resnet50", "train_all", RESNET_LAYER),
  ("MobileNetV2", "only_bn", MOBILE_LAYER),
]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_train_base_says_what_trains(case, keras_file):
  """By the kind of layer, not by its name."""
  name, train_base, *settings = case
  if name == "own.keras":
    settings, name = ["MODEL.BASE_MODEL.LAYER=features"], keras_file[0]
  cnn = backbone(network(name), f"MODEL.TRAIN_BASE={train_base}", *settings)
  expected = weights_of(cnn, only_batch_norm=train_base == "only_bn")
  assert expected
  trained = {id(v) for v in cnn.trainable_variables}
  assert trained == (set() if train_base == "frozen" else expected)


def test_what_is_not_trained_computes_as_in_evaluation():
  settings = ("MODEL.TRAIN_EMBEDDING=false", "MODEL.TRAIN_BASE=frozen")
  algo = tiny.algorithm(*settings)
  data = tiny.batch()
  np.testing.assert_array_equal(algo(data, training=True), algo(data))
  assert algo.regularization_loss() == 0.0


def test_batch_norm_momentum_reaches_every_layer(keras_file):
  settings = (network(keras_file[0]), "MODEL.BASE_MODEL.LAYER=features")
  algo = tiny.algorithm(*settings, "MODEL.BATCH_NORM_MOMENTUM=0.25")
  found = [*tiny.list_leaves(algo.cnn), *tiny.list_leaves(algo.emb)]
  found = filter(tiny.is_batch_norm, found)
  assert [layer.momentum for layer in found] == [0.25] * 3
  first = algo.cnn.get_layer("inner").layers[-1]
  old = first.moving_mean.numpy()
  x = tiny.frames(2, 32, 32, 3)
  mean = tf.reduce_mean(algo.cnn.get_layer("inner").layers[0](x), [0, 1, 2])
  algo.features(x, training=True)
  mean = 0.25 * old + 0.75 * mean
  np.testing.assert_allclose(first.moving_mean, mean, rtol=1e-4, atol=1e-6)
