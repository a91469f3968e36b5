import keras
import numpy as np
import pytest
import tensorflow as tf

from networks import embedders
from networks.layers import FusedBatchNormalization
from tests.helpers import tiny
from tests.helpers.errors import message_of


def embedder(*settings):
  """The part of the embedder that sees one frame and its context."""
  section = [f"MODEL.CONV_EMBEDDER_MODEL.{setting}" for setting in settings]
  keras.utils.set_random_seed(1)
  config = tiny.config("DATA.NUM_STEPS=3", *section)
  return embedders.build_conv_embedder(config, (4, 5, 6)).frame_network


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
  expected = reference(x.numpy()) @ kernel + bias
  np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


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
  sizes_of_1 = ("CONV_LAYERS=[[8, 3, true]]", "FC_LAYERS=[[10, true]]")
  model = embedder(*sizes_of_1, f"CAPACITY_SCALAR={scalar}", "EMBEDDING_SIZE=9")
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
  kind = f"BASE_DROPOUT_SPATIAL={str(spatial).lower()}"
  model = embedder("BASE_DROPOUT_RATE=0.5", kind)
  dropout = model.layers[1]
  x = tf.ones([4, 3, 4, 5, 6])
  kept = dropout(x, training=True).numpy() != 0
  assert 0.2 < kept.mean() < 0.8
  assert (kept.all((1, 2, 3)) | ~kept.any((1, 2, 3))).all() == spatial
  np.testing.assert_array_equal(model(x, training=False), model(x))


def test_fc_dropout_is_before_each_dense_layer_and_only_in_training():
  model = embedder("FC_LAYERS=[[8, true], [8, true]]", "FC_DROPOUT_RATE=0.5")
  kinds = [type(layer).__name__ for layer in model.layers]
  assert kinds[-5:] == ["Dropout", "Dense", "Dropout", "Dense", "Dense"]
  assert [layer.rate for layer in model.layers[-5:-1:2]] == [0.5, 0.5]
  x = tiny.frames(5, 3, 4, 5, 6)
  np.testing.assert_array_equal(model(x, training=False), model(x))
  assert not np.array_equal(model(x, training=True), model(x, training=True))


@pytest.mark.parametrize(("use", "count"), [("true", 1), ("false", 0)])
def test_batch_norm_is_fused_and_can_be_left_out(use, count):
  kinds = [type(layer) for layer in embedder(f"USE_BN={use}").layers]
  assert kinds.count(FusedBatchNormalization) == count


def convgru(*settings, num_context=1):
  section = [f"MODEL.CONVGRU_EMBEDDER_MODEL.{setting}" for setting in settings]
  config = tiny.config(f"DATA.NUM_STEPS={num_context}", *section)
  return embedders.build_convgru_embedder(config, (4, 5, 6))


def test_convgru_takes_one_context_frame():
  assert message_of(convgru, num_context=2) == (
    "DATA.NUM_STEPS: expected 1 for the convgru embedder, whose context is its"
    " state, received 2; set DATA.NUM_STEPS=1"
  )


def test_convgru_equals_a_naive_one():
  emb = convgru("CONV_LAYERS=[]", "GRU_LAYERS=[3]")
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
  expected = np.stack(expected, 1)
  np.testing.assert_allclose(emb(x), expected, rtol=1e-4, atol=1e-5)
  assert emb.embedding_size == 3


def test_convgru_has_dropout_before_the_recurrent_layers():
  emb = convgru("DROPOUT_RATE=0.5")
  assert isinstance(emb.frame_network.layers[-1], keras.layers.Dropout)
  x = tiny.frames(2, 3, 1, 4, 5, 6)
  assert not np.array_equal(emb(x, training=True), emb(x))


@pytest.mark.parametrize("name", embedders.EMBEDDERS)
def test_vectors_are_maps_of_one_place(name):
  """A backbone may give vectors [N, c], whatever the embedder."""
  settings = ("DATA.NUM_STEPS=1", "EVAL.FRAMES_PER_BATCH=3")
  config = tiny.config(f"MODEL.EMBEDDER_TYPE={name}", *settings)
  frames = keras.Input([None, None, 3])
  pool = keras.layers.GlobalAveragePooling2D
  vectors, maps = (
    keras.Model(frames, pool(keepdims=keep)(frames)) for keep in (False, True)
  )
  build = embedders.build_embedder
  embedder, twin = (build(config, model) for model in (vectors, maps))
  twin.set_weights(embedder.get_weights())
  video = tiny.frames(7, 32, 32, 3)
  [embs] = embedder(vectors(video)[None, :, None])
  np.testing.assert_allclose(embs, twin(maps(video)[None, :, None])[0])
  compute = lambda indices: vectors(tf.gather(video, indices))  # noqa: E731
  whole = embedder.embed_video(compute, np.arange(7))
  np.testing.assert_allclose(whole, embs, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 4])
def test_a_video_needs_each_feature_once_and_holds_few(stride):
  config = tiny.config("DATA.NUM_STEPS=2", "DATA.FRAME_STRIDE=6")
  backbone = keras.Sequential([keras.Input([32, 32, 3]), keras.layers.ReLU()])
  embedder = embedders.build_embedder(config, backbone)
  embedder.piece_size = 4
  asked = []

  def compute_features(indices):
    asked.append(indices)
    assert len(indices) <= 2 * embedder.piece_size
    return tf.zeros([len(indices), 32, 32, 3])

  steps = np.arange(0, 30, stride)
  assert embedder.embed_video(compute_features, steps).shape == (len(steps), 6)
  needed = np.union1d(steps, np.maximum(steps - 6, 0))
  assert sorted(np.concatenate(asked)) == needed.tolist()


def test_regularization_is_the_mean_over_kernels_and_biases():
  settings = ("MODEL.L2_REG_WEIGHT=0.01", "MODEL.TRAIN_BASE=train_all")
  algo = tiny.algorithm(*settings)
  penalties = []
  for v in algo.emb.trainable_variables:
    v.assign(tf.fill(v.shape, 0.5))
    if v.name in ("kernel", "bias"):
      penalties.append(0.01 * 0.25 * np.prod(v.shape))
  assert len(penalties) == 6
  loss = algo.regularization_loss()
  np.testing.assert_allclose(loss, np.mean(penalties), rtol=1e-5)
