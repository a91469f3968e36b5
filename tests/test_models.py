import itertools

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from core.errors import UserError
from networks.batch_norm import FusedBatchNormalization
from tests.helpers import tiny
from training import checkpoints
from training.optimizers import build_optimizer

RESNET_FILE = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
RESNET_LAYER = "MODEL.BASE_MODEL.LAYER=conv2_block1_out"
NOT_LEARNED = ("moving_mean", "moving_variance")


def network(name):
  return f"MODEL.BASE_MODEL.NETWORK={name}"


def backbone(*settings):
  keras.utils.set_random_seed(0)
  return models.build_backbone(tiny.config(*settings))


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
  for layer in models.leaf_layers(resnet)[:25]:
    layer.set_weights([rng.uniform(0.01, 0.1, w.shape) for w in layer.weights])
  path = tmp_path_factory.mktemp("weights") / RESNET_FILE
  write_legacy_file(resnet, path)
  output = resnet.get_layer("conv2_block1_out").output
  return path, keras.Model(resnet.inputs[0], output)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
  """A user's network: nested, with a batch norm that has no scale."""
  keras.utils.set_random_seed(8)
  inner = keras.Sequential(
    [
      keras.Input([None, None, 3]),
      keras.layers.Conv2D(4, 3, 2, use_bias=False),
      keras.layers.BatchNormalization(scale=False),
    ],
    name="inner",
  )
  inputs = keras.Input([None, None, 3])
  x = keras.layers.BatchNormalization(name="last_bn")(inner(inputs))
  x = keras.layers.ReLU(name="features")(x)
  model = keras.Model(inputs, keras.layers.Flatten(name="more")(x[:, :2, :2]))
  rng = np.random.default_rng(8)
  model.set_weights([rng.uniform(0.1, 1.0, w.shape) for w in model.weights])
  # How a user left it must not decide what we train.
  inner.trainable = False
  path = tmp_path_factory.mktemp("network") / "own.keras"
  model.save(path)
  return path, model


# Networks -------------------------------------------------------------------


def test_pretrained_resnet_reads_the_published_layout(resnet_file):
  path, reference = resnet_file
  cnn = backbone(
    network("Resnet50_pretrained"),
    RESNET_LAYER,
    f"MODEL.RESNET_PRETRAINED_WEIGHTS={path}",
  )
  for weight, expected in zip(cnn.weights, reference.weights, strict=True):
    assert weight.path == expected.path
    np.testing.assert_array_equal(weight, expected)
  x = tiny.frames(2, 32, 32, 3)
  np.testing.assert_allclose(cnn(x), reference(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("damage", ["missing", "garbage", "other network"])
def test_weights_that_cannot_be_had_name_both_ways(damage, tmp_path):
  path = tmp_path / RESNET_FILE
  if damage == "garbage":
    path.write_bytes(b"<html>not found</html>" * 100)
  elif damage == "other network":
    write_legacy_file(models.vggm(True), path)
  with pytest.raises(UserError) as caught:
    backbone(
      network("Resnet50_pretrained"),
      RESNET_LAYER,
      f"MODEL.RESNET_PRETRAINED_WEIGHTS={path}",
    )
  message = str(caught.value)
  assert message.startswith("MODEL.RESNET_PRETRAINED_WEIGHTS: ")
  assert str(path) in message
  assert "--set MODEL.RESNET_PRETRAINED_WEIGHTS=PATH" in message
  assert "--set MODEL.RESNET_PRETRAINED_WEIGHTS=imagenet" in message
  assert RESNET_FILE in message
  assert "\n" not in message


@pytest.fixture
def offline(monkeypatch, tmp_path):
  """Nothing can be downloaded, and nothing was before."""
  from keras.src.backend import config as keras_config

  monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
  for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
  for name in ("no_proxy", "NO_PROXY"):
    monkeypatch.delenv(name, raising=False)


def test_imagenet_without_a_network_connection_names_both_ways(offline):
  with pytest.raises(UserError) as caught:
    backbone(
      network("Resnet50_pretrained"),
      RESNET_LAYER,
      "MODEL.RESNET_PRETRAINED_WEIGHTS=imagenet",
    )
  message = str(caught.value)
  assert "can't get the ImageNet weights from imagenet" in message
  assert "--set MODEL.RESNET_PRETRAINED_WEIGHTS=PATH" in message
  assert "with a network connection" in message
  assert "\n" not in message


def test_pretrained_application_without_a_network_connection(offline):
  with pytest.raises(UserError) as caught:
    backbone(network("MobileNetV2_pretrained"))
  assert str(caught.value).startswith(
    "MODEL.BASE_MODEL.NETWORK: can't build MobileNetV2_pretrained ("
  )
  assert str(caught.value).endswith(
    "; without _pretrained its weights are random"
  )


@pytest.mark.parametrize(
  "name, layer",
  [
    # The first takes [-1, 1] as it comes, the second BGR less its mean.
    ("MobileNetV2", "expanded_conv_project_BN"),
    ("VGG16", "block2_conv1"),
  ],
)
def test_application_receives_its_own_pixel_range(name, layer):
  cnn = backbone(
    network(name),
    f"MODEL.BASE_MODEL.LAYER={layer}",
    "MODEL.TRAIN_BASE=frozen",  # VGG16 has no batch norm.
  )
  build, module = {
    "MobileNetV2": (keras.applications.MobileNetV2, "mobilenet_v2"),
    "VGG16": (keras.applications.VGG16, "vgg16"),
  }[name]
  whole = build(include_top=False, weights=None, input_shape=(32, 32, 3))
  reference = keras.Model(whole.inputs[0], whole.get_layer(layer).output)
  reference.set_weights(cnn.get_weights())
  x = tiny.frames(2, 32, 32, 3).numpy()
  preprocess = getattr(keras.applications, module).preprocess_input
  expected = reference(preprocess((x + 1.0) * 127.5))
  assert np.abs(expected).max() > 0.01
  np.testing.assert_allclose(cnn(x), expected, rtol=1e-3, atol=1e-3)
  # VGG16 with pixels in [-1, 1] would see something else altogether.
  raw = reference(x).numpy()
  differs = np.abs(raw - expected).max() > 0.1 * np.abs(expected).max()
  assert differs == (name == "VGG16")


@pytest.mark.parametrize("layer", ["features", "last_bn", "inner"])
def test_keras_file_gives_the_outputs_it_was_saved_with(keras_file, layer):
  path, model = keras_file
  cnn = backbone(network(path), f"MODEL.BASE_MODEL.LAYER={layer}")
  x = tiny.frames(2, 32, 32, 3)
  steps = ["inner", "last_bn", "features"]
  expected = x
  for name in steps[: steps.index(layer) + 1]:
    expected = model.get_layer(name)(expected)
  np.testing.assert_allclose(cnn(x), expected, rtol=1e-4, atol=1e-5)
  kinds = {type(item).__name__ for item in leaves(cnn) if is_batch_norm(item)}
  assert kinds == {"FusedBatchNormalization"}


def test_keras_file_errors(tmp_path):
  missing, broken, gray, unbuilt = (
    tmp_path / f"{name}.keras" for name in ("no", "broken", "gray", "unbuilt")
  )
  broken.write_bytes(b"PK not a zip archive")
  keras.Sequential(
    [keras.Input([64, 64, 1]), keras.layers.ReLU(name="conv2")]
  ).save(gray)
  keras.Sequential([keras.layers.ReLU(name="conv2")]).save(unbuilt)
  for path, text in [
    (missing, "not found; expected a .keras file that takes RGB frames"),
    (broken, "is no loadable .keras file ("),
    (unbuilt, "expected a built network that takes RGB frames in [-1, 1]"),
    (
      gray,
      "takes inputs [(None, 64, 64, 1)]; expected [(None, 32, 32, 3)], set"
      " IMAGE_SIZE to fit or save it for any size",
    ),
  ]:
    with pytest.raises(UserError) as caught:
      backbone(network(path))
    message = str(caught.value)
    assert message.startswith(f"MODEL.BASE_MODEL.NETWORK: {path} ")
    assert text in message
    assert "\n" not in message


@pytest.mark.parametrize(
  ("name", "near"),
  [
    ("Resnet51", "Resnet50"),
    ("resnet50", "Resnet50"),
    ("Resnet50_pretraind", "Resnet50_pretrained"),
    ("VGG-M", "VGGM"),
    ("MobilNetV2", "MobileNetV2"),
    ("ResNet101V2_pretrainde", "ResNet101V2_pretrained"),
  ],
)
def test_unknown_network(name, near):
  with pytest.raises(UserError) as caught:
    models.build_backbone(tiny.config(f"MODEL.BASE_MODEL.NETWORK='{name}'"))
  assert str(caught.value) == (
    f"MODEL.BASE_MODEL.NETWORK: unknown network {name!r}; expected"
    " Resnet50_pretrained, Resnet50, VGGM, a name in keras.applications such as"
    " MobileNetV2 (with the ending _pretrained for ImageNet weights), or the"
    f" path of a .keras file; did you mean {near}?"
  )


def test_unknown_layer_lists_known_ones():
  with pytest.raises(UserError) as caught:
    backbone("MODEL.BASE_MODEL.LAYER=conv_4")
  message = str(caught.value)
  assert message.startswith(
    "MODEL.BASE_MODEL.LAYER: VGGM has no layer 'conv_4'; expected one of"
  )
  assert "conv4_1_conv, conv4_1_bn, conv4_1, conv4_conv, conv4_bn, conv4" in (
    message
  )
  assert message.endswith("; did you mean conv4?")


def test_vggm_has_the_shapes_of_table_8():
  plain, normalized = models.vggm(False), models.vggm(True)
  for model in (plain, normalized):
    assert model.compute_output_shape([5, 224, 224, 3]) == (5, 14, 14, 512)
    maps = keras.Model(
      model.inputs, [model.get_layer(f"conv{i}").output for i in (2, 3, 4)]
    )
    assert maps.compute_output_shape([5, 224, 224, 3]) == [
      (5, 56, 56, 128),
      (5, 28, 28, 256),
      (5, 14, 14, 512),
    ]
  convolutions = [(64, 7, 3), (128, 3, 64), (128, 3, 128), (256, 3, 128)]
  convolutions += [(256, 3, 256), (512, 3, 256), (512, 3, 512)]
  num_weights = sum(n * (k * k * m + 1) for n, k, m in convolutions)
  assert plain.count_params() == num_weights
  statistics = 4 * sum(n for n, _, _ in convolutions)
  assert normalized.count_params() == num_weights + statistics
  assert not any(is_batch_norm(layer) for layer in plain.layers)


# What trains ----------------------------------------------------------------


def leaves(model):
  for layer in model.layers:
    if isinstance(layer, keras.Model):
      yield from leaves(layer)
    else:
      yield layer


def is_batch_norm(layer):
  return isinstance(layer, keras.layers.BatchNormalization)


def weights_of(model, learned, only_batch_norm=False):
  """Ids of a model's learned weights, or of its moving statistics."""
  return {
    id(w)
    for layer in leaves(model)
    for w in layer.weights
    if (w.name not in NOT_LEARNED) == learned
    and (is_batch_norm(layer) or not only_batch_norm)
  }


BACKBONES = {
  "VGGM": [network("VGGM")],
  "VGGM without BN": [network("VGGM"), "MODEL.VGGM.USE_BN=false"],
  "Resnet50": [network("Resnet50"), RESNET_LAYER],
  "Resnet50_pretrained": [network("Resnet50_pretrained"), RESNET_LAYER],
  "MobileNetV2": [
    network("MobileNetV2"),
    "MODEL.BASE_MODEL.LAYER=expanded_conv_project_BN",
  ],
  "file": ["MODEL.BASE_MODEL.LAYER=features"],
}


MODES = ["train_all", "only_bn", "frozen"]
# The two ResNets differ in their weights alone, and take seconds to build. What
# has no batch norm is refused with only_bn, see tests/test_train.py.
CASES = [
  *itertools.product(sorted(BACKBONES.keys() - {"Resnet50"}), MODES),
  ("Resnet50", "train_all"),
]
CASES.remove(("VGGM without BN", "only_bn"))


def changed_by_a_step(algo, config, variables):
  weights = [*algo.cnn.weights, *algo.emb.weights]
  optimizer = build_optimizer(config)
  optimizer.build(variables)
  before = [w.numpy() for w in weights]
  tiny.take_step(algo, variables, optimizer, tiny.batch())
  return {
    id(w)
    for w, old in zip(weights, before, strict=True)
    if not np.array_equal(w, old)
  }


@pytest.mark.parametrize("name, train_base", CASES)
def test_a_step_changes_what_train_base_says(
  name, train_base, resnet_file, keras_file
):
  settings = [*BACKBONES[name], f"MODEL.TRAIN_BASE={train_base}"]
  if name == "Resnet50_pretrained":
    settings.append(f"MODEL.RESNET_PRETRAINED_WEIGHTS={resnet_file[0]}")
  if name == "file":
    settings.append(network(keras_file[0]))
  algo = tiny.algorithm(*settings)
  variables = checkpoints.trainable_variables(algo)
  learned = {
    "train_all": weights_of(algo.cnn, learned=True),
    "only_bn": weights_of(algo.cnn, learned=True, only_batch_norm=True),
    "frozen": set(),
  }[train_base] | weights_of(algo.emb, learned=True)
  assert {id(v) for v in variables} == learned
  assert len(variables) == len(learned)

  statistics = weights_of(algo.emb, learned=False)
  if train_base != "frozen":
    statistics |= weights_of(algo.cnn, learned=False)
  changed = changed_by_a_step(algo, tiny.config(*settings), variables)
  assert changed <= learned | statistics
  assert statistics <= changed
  # A bias before batch norm, or a channel that is off, has no gradient.
  for v in variables:
    assert id(v) in changed or v.name in ("bias", "gamma", "beta"), v.path
  assert train_base != "only_bn" or (
    changed & weights_of(algo.cnn, learned=True)
  )


def test_an_embedder_that_is_not_trained_stays_as_it_is():
  algo = tiny.algorithm("MODEL.TRAIN_EMBEDDING=false")
  variables = checkpoints.trainable_variables(algo)
  assert {id(v) for v in variables} == weights_of(
    algo.cnn, learned=True, only_batch_norm=True
  )
  changed = changed_by_a_step(algo, tiny.config(), variables)
  assert changed
  assert not changed & {id(w) for w in algo.emb.weights}
  assert algo.regularization_loss() == 0.0
  still = tiny.algorithm(
    "MODEL.TRAIN_EMBEDDING=false", "MODEL.TRAIN_BASE=frozen"
  )
  data = tiny.batch()
  np.testing.assert_array_equal(still(data, training=True), still(data))


def test_names_do_not_decide_what_trains(tmp_path):
  inputs = keras.Input([None, None, 3])
  x = keras.layers.Conv2D(4, 3, name="batch_normalization_bn_gamma")(inputs)
  x = keras.layers.BatchNormalization(name="dense")(x)
  model = keras.Model(inputs, keras.layers.ReLU(name="features")(x))
  model.save(tmp_path / "odd.keras")
  cnn = backbone(
    network(tmp_path / "odd.keras"), "MODEL.BASE_MODEL.LAYER=features"
  )
  assert [v.path for v in cnn.trainable_variables] == [
    "dense/gamma",
    "dense/beta",
  ]


def test_batch_norm_momentum_reaches_every_layer(keras_file):
  algo = tiny.algorithm(
    network(keras_file[0]),
    "MODEL.BASE_MODEL.LAYER=features",
    "MODEL.BATCH_NORM_MOMENTUM=0.25",
  )
  found = [layer for m in (algo.cnn, algo.emb) for layer in leaves(m)]
  found = [layer for layer in found if is_batch_norm(layer)]
  assert [layer.momentum for layer in found] == [0.25] * 3
  first = algo.cnn.get_layer("inner").layers[-1]
  old = first.moving_mean.numpy()
  x = tiny.frames(2, 32, 32, 3)
  mean = tf.reduce_mean(algo.cnn.get_layer("inner").layers[0](x), [0, 1, 2])
  algo.features(x, training=True)
  np.testing.assert_allclose(
    first.moving_mean, 0.25 * old + 0.75 * mean, rtol=1e-4, atol=1e-6
  )


# Precision ------------------------------------------------------------------


def test_bfloat16_gives_nearly_the_same_float32_embeddings():
  exact, fast = (
    tiny.algorithm(f"PRECISION={precision}")
    for precision in ("float32", "bfloat16")
  )
  fast.set_weights(exact.get_weights())
  assert {w.dtype for w in fast.weights} == {"float32"}
  data = tiny.batch()
  expected, embs = exact(data), fast(data)
  assert embs.dtype == tf.float32
  scale = np.abs(expected).max()
  np.testing.assert_allclose(embs, expected, atol=0.03 * scale)
  assert not np.array_equal(embs, expected)
  for training in (False, True):
    assert fast.features(data["frames"][0, 0], training).dtype == tf.bfloat16


def test_policy_of_a_precision():
  assert models.compute_policy("float32") == "float32"
  assert models.compute_policy("bfloat16") == "mixed_bfloat16"
  auto = models.resolve_precision("auto")
  assert models.compute_policy("auto") == models.compute_policy(auto)


@pytest.mark.parametrize(
  ("capabilities", "expected"),
  [
    ([(8, 0)], "bfloat16"),
    ([(9, 0), (7, 5)], "float32"),
    ([(7, 5)], "float32"),
    ([None], "float32"),
  ],
)
def test_auto_is_bfloat16_where_all_gpus_have_it(
  monkeypatch, capabilities, expected
):
  """GPUs are not at hand in tests: what TensorFlow would tell of them."""
  monkeypatch.setattr(
    tf.config, "list_physical_devices", lambda kind: capabilities
  )
  monkeypatch.setattr(
    tf.config.experimental,
    "get_device_details",
    lambda gpu: {"compute_capability": gpu} if gpu else {},
  )
  assert models.resolve_precision("auto") == expected


# The convolutional embedder -------------------------------------------------


def embedder(*settings, shape=(4, 5, 6), context=3, l2=0.0, policy="float32"):
  """The part of the embedder that sees one frame and its context."""
  section = [f"MODEL.CONV_EMBEDDER_MODEL.{setting}" for setting in settings]
  model = tiny.config(*section, f"MODEL.L2_REG_WEIGHT={l2}").MODEL
  keras.utils.set_random_seed(1)
  return models.conv_embedder(shape, context, model, policy).frame_network


@pytest.mark.parametrize(
  "method, reference",
  [
    ("max_pool", lambda x: np.max(x, (1, 2, 3))),
    ("avg_pool", lambda x: np.mean(x, (1, 2, 3))),
    ("flatten", lambda x: np.reshape(x, [len(x), -1])),
  ],
)
def test_flatten_methods(method, reference):
  model = embedder(f"FLATTEN_METHOD={method}", "CONV_LAYERS=[]", "FC_LAYERS=[]")
  x = tiny.frames(7, 3, 4, 5, 6)
  kernel, bias = model.get_weights()
  np.testing.assert_allclose(
    model(x), reference(x.numpy()) @ kernel + bias, rtol=1e-4, atol=1e-5
  )


def test_embedder_equals_a_naive_one():
  model = embedder("CONV_LAYERS=[[4, 3, true]]", "FC_LAYERS=[[5, true]]")
  rng = np.random.default_rng(2)
  model.set_weights([rng.uniform(-0.5, 1.0, w.shape) for w in model.weights])
  kernel, bias, gamma, beta, w1, b1, w2, b2, mean, variance = (
    v.numpy()
    for v in [*model.trainable_variables, *model.non_trainable_variables][:10]
  )
  variance = np.abs(variance) + 0.1
  model.non_trainable_variables[1].assign(variance)
  x = tiny.frames(2, 3, 4, 5, 6).numpy()
  padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)])
  y = np.zeros([2, 3, 4, 5, 4])
  for t, i, j in np.ndindex(3, 3, 3):
    y += padded[:, t : t + 3, i : i + 4, j : j + 5] @ kernel[t, i, j]
  y = (y + bias - mean) / np.sqrt(variance + 1e-3) * gamma + beta
  y = np.maximum(y, 0.0).max((1, 2, 3))
  expected = np.maximum(y @ w1 + b1, 0.0) @ w2 + b2
  np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
  "scalar, sizes", [(0.01, [1, 1]), (0.5, [4, 5]), (2, [16, 20])]
)
def test_capacity_scalar_multiplies_channels_and_units(scalar, sizes):
  model = embedder(
    "CONV_LAYERS=[[8, 3, true]]",
    "FC_LAYERS=[[10, true]]",
    f"CAPACITY_SCALAR={scalar}",
    "EMBEDDING_SIZE=9",
  )
  biases = [v.shape[0] for v in model.trainable_variables if v.name == "bias"]
  assert biases == [*sizes, 9]
  assert model.output_shape == (None, 9)


def test_l2_normalize_gives_embeddings_of_length_1():
  x = tiny.frames(5, 3, 4, 5, 6)
  unit, raw = embedder("L2_NORMALIZE=true"), embedder()
  lengths = np.linalg.norm(raw(x), axis=1, keepdims=True)
  assert np.abs(lengths - 1.0).min() > 0.01
  np.testing.assert_allclose(unit(x), raw(x) / lengths, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spatial", [False, True])
def test_base_dropout_drops_values_or_whole_channels(spatial):
  model = embedder(
    "BASE_DROPOUT_RATE=0.5", f"BASE_DROPOUT_SPATIAL={str(spatial).lower()}"
  )
  dropout = model.layers[1]
  x = tf.ones([4, 3, 4, 5, 6])
  kept = dropout(x, training=True).numpy() != 0
  assert 0.2 < kept.mean() < 0.8
  uniform = kept.all((1, 2, 3)) | ~kept.any((1, 2, 3))
  assert uniform.all() == spatial
  np.testing.assert_array_equal(model(x, training=False), model(x))


def test_fc_dropout_is_before_each_dense_layer_and_only_in_training():
  settings = ("FC_LAYERS=[[8, true], [8, true]]", "USE_BN=false")
  model = embedder(*settings, "FC_DROPOUT_RATE=0.5")
  kinds = [type(layer).__name__ for layer in model.layers]
  assert kinds[-5:] == ["Dropout", "Dense", "Dropout", "Dense", "Dense"]
  x = tiny.frames(5, 3, 4, 5, 6)
  still = embedder(*settings, "FC_DROPOUT_RATE=0.0")
  still.set_weights(model.get_weights())
  np.testing.assert_array_equal(model(x, training=False), still(x))
  np.testing.assert_array_equal(still(x, training=True), still(x))
  dropped = model(x, training=True)
  assert not np.array_equal(dropped, still(x))
  assert not np.array_equal(dropped, model(x, training=True))


def test_without_batch_norm_there_is_none():
  assert not any(is_batch_norm(x) for x in embedder("USE_BN=false").layers)
  found = [x for x in embedder().layers if is_batch_norm(x)]
  assert [type(x) for x in found] == [FusedBatchNormalization]


# The recurrent embedder ------------------------------------------------------


def convgru(*settings, **options):
  return models.convgru_embedder(
    (4, 5, 6),
    options.get("num_context", 1),
    tiny.config(*settings).MODEL,
    "float32",
  )


def test_convgru_takes_one_context_frame():
  with pytest.raises(UserError) as caught:
    convgru(num_context=2)
  assert str(caught.value) == (
    "DATA.NUM_STEPS: the convgru embedder sees one frame at a time, its context"
    " is its state; expected 1, received 2"
  )


def test_convgru_equals_a_naive_one():
  section = "MODEL.CONVGRU_EMBEDDER_MODEL."
  emb = convgru(
    f"{section}CONV_LAYERS=[]", f"{section}GRU_LAYERS=[3]", "SEED=1"
  )
  rng = np.random.default_rng(1)
  emb.set_weights([rng.normal(size=w.shape) for w in emb.weights])
  kernel, recurrent, (b, c) = emb.get_weights()
  x = tiny.frames(2, 7, 1, 4, 5, 6)
  h = np.zeros([2, 3])
  expected = []
  for vector in np.moveaxis(x.numpy().max((2, 3, 4)), 1, 0):
    z, r, a = np.split(vector @ kernel + b, 3, axis=1)
    hz, hr, ha = np.split(h @ recurrent + c, 3, axis=1)
    z, r = (1 / (1 + np.exp(-s)) for s in (z + hz, r + hr))
    h = z * h + (1 - z) * np.tanh(a + r * ha)
    expected.append(h)
  np.testing.assert_allclose(
    emb(x), np.stack(expected, 1), rtol=1e-4, atol=1e-5
  )
  assert emb.embedding_size == 3


def test_convgru_has_dropout_before_the_recurrent_layers():
  emb = convgru("MODEL.CONVGRU_EMBEDDER_MODEL.DROPOUT_RATE=0.5")
  assert isinstance(emb.frame_network.layers[-1], keras.layers.Dropout)
  x = tiny.frames(2, 3, 1, 4, 5, 6)
  assert not np.array_equal(emb(x, training=True), emb(x))


def test_regularization_is_the_mean_over_kernels_and_biases():
  algo = tiny.algorithm(
    "MODEL.L2_REG_WEIGHT=0.01", "MODEL.TRAIN_BASE=train_all"
  )
  for v in algo.emb.trainable_variables:
    v.assign(tf.fill(v.shape, 0.5))
  penalties = [
    0.01 * 0.25 * np.prod(v.shape)
    for v in algo.emb.trainable_variables
    if v.name in ("kernel", "bias")
  ]
  assert len(penalties) == 6
  np.testing.assert_allclose(
    algo.regularization_loss(), np.mean(penalties), rtol=1e-5
  )
