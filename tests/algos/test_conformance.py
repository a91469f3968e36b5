"""Conformance: each property holds for every algorithm and embedder."""

import contextlib
import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import algos
import models
import train
from data.batches import Batches
from data.sampling import PositivePairSampler
from tests.helpers import tiny
from training import checkpoints
from training.optimizers import build_optimizer

NUM_FRAMES = 5
STOCHASTIC = ("ALIGNMENT.STOCHASTIC_MATCHING=true", "ALIGNMENT.FRACTION=0.5")
# Algorithms whose recurrent embedder the quick tests leave out: those of others
# are the same.
SLOW = ("sal", "tcn", "alignment_sal_tcn", "classification")
COMBINATIONS = [
  *itertools.product(algos.ALGOS, models.EMBEDDERS),
  # What an option draws by chance.
  ("alignment", "conv", *STOCHASTIC),
  ("sal", "conv", "SAL.DROPOUT_RATE=0.3"),
]
STATISTICS = ("moving_mean", "moving_variance")
# Labels as sparse as they come: some frames, some whole videos have none.
LABELS = np.array(
  [[0, 1, -1, 2, 2], [-1] * 5, [2, 2, 1, 1, 0], [1, 0, 0, 2, 1]]
)


def settings_of(algo, embedder, *options):
  return (
    f"TRAINING_ALGO={algo}",
    f"MODEL.EMBEDDER_TYPE={embedder}",
    f"TRAIN.NUM_FRAMES={NUM_FRAMES}",
    f"EVAL.NUM_FRAMES={NUM_FRAMES}",
    # A recurrent embedder takes no context.
    f"DATA.NUM_STEPS={2 if embedder == 'conv' else 1}",
    "CLASSIFICATION.NUM_CLASSES=3",
    # What is drawn anew at each step is switched on where a test is about it.
    "MODEL.CONV_EMBEDDER_MODEL.FC_DROPOUT_RATE=0.0",
    *options,
  )


def mark_slow(combination):
  is_slow = combination[0] in SLOW and combination[1] != "conv"
  marks = [pytest.mark.slow] if is_slow else []
  return pytest.param(combination, marks=marks, id="-".join(combination))


@pytest.fixture(scope="module", params=map(mark_slow, COMBINATIONS))
def settings(request):
  return settings_of(*request.param)


@pytest.fixture(scope="module")
def built(settings):
  algo = tiny.algorithm(*settings)
  return algo, [v.numpy() for v in algo.variables]


@pytest.fixture
def algo(built):
  """An algorithm as it was built, whatever a test before did to it."""
  return reset(built)


def reset(built):
  algo, values = built
  for variable, value in zip(algo.variables, values, strict=True):
    variable.assign(value)
  return algo


def batch_for(algo, num_videos=2, seed=0, labels=True):
  """A batch as the sampler makes it for an algorithm."""
  num_context = algo.emb.frame_network.input_shape[1]
  num_frames = (1 + isinstance(algo.sampler, PositivePairSampler)) * NUM_FRAMES
  data = tiny.batch(num_videos, num_frames, num_context, seed=seed)
  # As many frames as SaL needs, all different.
  steps = np.tile(np.arange(num_frames) * 2 + seed, [num_videos, 1])
  data["steps"] = tf.constant(steps, tf.int64)
  data["seq_lens"] = tf.fill([num_videos], tf.constant(50, tf.int64))
  if labels:
    rows = np.resize(LABELS, [num_videos, num_frames])
    data["frame_labels"] = tf.constant(rows, tf.int64)
  return data


def ids(variables):
  return {id(v) for v in variables}


def of_batch_norms(network, *names):
  """Ids of some variables of all batch norms."""
  norms = filter(tiny.is_batch_norm, tiny.list_leaves(network))
  return ids(getattr(layer, name) for layer in norms for name in names)


def random_state(algo):
  return [v.numpy() for v in algo.variables if id(v) not in ids(algo.weights)]


@pytest.mark.parametrize(
  ("base", "embedding"),
  [("train_all", 1), ("only_bn", 1), ("only_bn", 0), ("frozen", 1)],
)
def test_a_step_changes_exactly_what_it_should(settings, base, embedding):
  options = (
    f"MODEL.TRAIN_BASE={base}",
    f"MODEL.TRAIN_EMBEDDING={bool(embedding)}",
    # Every unit is on: else a gradient may be 0 by chance.
    "MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, false]]",
    "MODEL.CONVGRU_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, false]]",
    "SAL.FC_LAYERS=[[8, false], [2, false]]",
  )
  algo = tiny.algorithm(*settings, *options)
  learned = ids(algo.head.trainable_variables if algo.head else [])
  moved = set()
  if base == "train_all":
    learned |= ids(algo.cnn.weights) - of_batch_norms(algo.cnn, *STATISTICS)
  if base == "only_bn":
    learned |= of_batch_norms(algo.cnn, "gamma", "beta")
  if base != "frozen":
    moved |= of_batch_norms(algo.cnn, *STATISTICS)
  if embedding:
    learned |= ids(algo.emb.weights) - of_batch_norms(algo.emb, *STATISTICS)
    moved |= of_batch_norms(algo.emb, *STATISTICS)

  variables = checkpoints.trainable_variables(algo)
  assert ids(variables) == learned
  assert len(variables) == len(learned)
  optimizer = build_optimizer(tiny.config(*settings))
  optimizer.build(variables)
  before = [w.numpy() for w in algo.weights]
  tiny.take_step(algo, optimizer, batch_for(algo))
  changed = zip(algo.weights, before, strict=True)
  changed = ids(w for w, old in changed if not np.array_equal(w, old))
  assert moved <= changed <= learned | moved
  # Batch norm takes away what a bias before it adds.
  still = {v.name for v in algo.weights if id(v) in learned - changed}
  assert still <= {"bias"}


def test_both_modes_give_finite_losses_with_labels_and_without(algo):
  """A classifier learns nothing of unlabeled videos, and breaks nothing."""
  weights = algo.get_weights()
  for training, labels in itertools.product((False, True), repeat=2):
    data = batch_for(algo, labels=labels)
    losses = algo.compute_losses(algo(data, training=training), data, training)
    for value in losses.values():
      assert value.shape == []
      assert np.isfinite(value)
    if not labels:
      assert (losses["loss"] == 0) == algo.needs_labels
    if not training:
      for old, new in zip(weights, algo.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
  assert np.isfinite(algo.regularization_loss())
  np.testing.assert_array_equal(algo(data), algo(data, training=False))


def test_thirty_steps_overfit_a_batch(settings):
  kind = ("MODEL.TRAIN_BASE=only_bn", "ALIGNMENT.LOSS_TYPE=regression_mse_var")
  if "MODEL.EMBEDDER_TYPE=conv" in settings:
    kind = ("MODEL.TRAIN_BASE=train_all", "ALIGNMENT.LOSS_TYPE=classification")
  algo = tiny.algorithm(*settings, *kind, "SAL.NUM_SAMPLES=64")
  data = batch_for(algo)
  optimizer = keras.optimizers.Adam(0.003)
  optimizer.build(checkpoints.trainable_variables(algo))
  step = tf.function(lambda: tiny.take_step(algo, optimizer, data))
  losses = [float(step()) for _ in range(30)]
  assert np.isfinite(losses).all()
  assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_checkpoint_gives_the_same_embeddings_and_draws(
  settings, algo, tmp_path
):
  def build_saver(algo):
    optimizer = build_optimizer(tiny.config(*settings))
    optimizer.build(checkpoints.trainable_variables(algo))
    return optimizer, checkpoints.Saver(algo, optimizer, str(tmp_path))

  optimizer, saver = build_saver(algo)
  data = batch_for(algo)
  tiny.take_step(algo, optimizer, data)
  saver.save(1)
  fresh = tiny.algorithm(*settings, seed=7)
  assert not np.array_equal(fresh(data), algo(data))
  assert build_saver(fresh)[1].restore_latest() == 1
  np.testing.assert_array_equal(fresh(data), algo(data))
  for mine, other in zip(random_state(fresh), random_state(algo), strict=True):
    np.testing.assert_array_equal(mine, other)
  for training in (True, False):
    losses = [x.compute_loss(x(data), data, training) for x in (fresh, algo)]
    np.testing.assert_array_equal(*losses)

  # For evaluation, the networks alone.
  for weight in fresh.weights:
    weight.assign(tf.ones_like(weight))
  checkpoints.restore_networks(fresh, checkpoints.latest_checkpoint(tmp_path))
  np.testing.assert_array_equal(fresh(data), algo(data))


def test_a_graph_equals_eager(built):
  """Loss, embeddings and statistics, in a graph of unknown batch size."""
  results = []
  for in_graph in (False, True):
    algo = reset(built)
    data = batch_for(algo)

    def step(batch, algo=algo):
      embs = algo(batch, training=True)
      return embs, algo.compute_losses(embs, batch, True)

    if in_graph:
      spec = {
        key: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
        for key, value in data.items()
      }
      step = tf.function(step, input_signature=[spec])
    embs, losses = step(data)
    assert embs.dtype == tf.float32
    results.append([embs, *losses.values(), algo(data), *algo.get_weights()])
  for eager, graph in zip(*results, strict=True):
    np.testing.assert_allclose(graph, eager, rtol=1e-3, atol=1e-5)


def test_a_loss_in_inference_mode_repeats(built):
  algo = reset(built)
  first, second = (batch_for(algo, seed=seed) for seed in (0, 1))
  embs = algo(first)
  losses = []
  for data in (first, second, first):
    losses.append(float(algo.compute_loss(embs, data)))
    algo.compute_loss(embs, data, training=True)
  assert losses[0] == losses[2]
  assert float(reset(built).compute_loss(embs, first)) == losses[0]
  draws = [algo.seed(data, training=False) for data in (first, second)]
  assert not np.array_equal(*draws)


def test_draws_depend_on_the_seed_of_the_run():
  algos_by_seed = [tiny.algorithm(f"SEED={seed}") for seed in (0, 5)]
  for training in (True, False):
    draws = [algo.seed(tiny.batch(), training) for algo in algos_by_seed]
    assert not np.array_equal(*draws)


@pytest.mark.parametrize("name", ["tcn", "classification"])
def test_order_of_the_batch_does_not_matter(name):
  """As tests/tcc show of the alignment; SaL draws by place."""
  algo = tiny.algorithm(*settings_of(name, "conv"))
  data = batch_for(algo, num_videos=4)
  embs, order = algo(data), [2, 0, 3, 1]
  permuted = {key: tf.gather(value, order) for key, value in data.items()}
  for training in (True, False):
    np.testing.assert_allclose(
      algo.compute_loss(tf.gather(embs, order), permuted, training),
      algo.compute_loss(embs, data, training),
      rtol=1e-6,
    )


def forward_and_backward(algo, data, wrap=lambda step: step):
  """Embeddings, loss and all gradients; `wrap` may compile the step."""
  variables = checkpoints.trainable_variables(algo)

  @wrap
  def step(data):
    with tf.GradientTape() as tape:
      embs = algo(data, training=True)
      loss = algo.compute_losses(embs, data, True)["loss"]
      loss += algo.regularization_loss()
    return embs, loss, tape.gradient(loss, variables)

  # Names are no numbers, which XLA wants.
  embs, loss, gradients = step({k: v for k, v in data.items() if k != "name"})
  assert embs.dtype == loss.dtype == tf.float32
  assert np.isfinite(loss)
  for gradient in gradients:
    assert gradient.dtype == tf.float32
    assert np.isfinite(gradient).all()
  return embs, loss


@pytest.mark.slow
def test_xla_computes_the_same(built):
  """But for what is drawn by chance, which it draws otherwise."""
  data = batch_for(built[0])
  embs, loss = forward_and_backward(reset(built), data)
  xla = tf.function(jit_compile=True)
  same_embs, same_loss = forward_and_backward(reset(built), data, xla)
  np.testing.assert_allclose(same_embs, embs, rtol=1e-3, atol=1e-5)
  algo = reset(built)
  draws = {float(algo.compute_loss(embs, data, True)) for _ in range(3)}
  if len(draws) == 1:
    np.testing.assert_allclose(same_loss, loss, rtol=1e-3, atol=1e-5)


def test_bfloat16_gives_finite_float32(settings):
  algo = tiny.algorithm(*settings, "PRECISION=bfloat16")
  policies = {layer.compute_dtype for layer in tiny.list_leaves(algo.cnn)}
  assert "bfloat16" in policies
  forward_and_backward(algo, batch_for(algo))


def test_an_embedding_sees_the_past_of_its_video_only(algo):
  data = batch_for(algo)
  embs = algo(data).numpy()
  frames = data["frames"].numpy()
  changed_at = 3
  frames[1, changed_at, 0] = 0.5
  changed = algo(data | {"frames": tf.constant(frames)}).numpy()
  differs = np.abs(changed - embs).max(-1) > 1e-6
  expected = np.zeros_like(differs)
  expected[1, changed_at] = True
  if algo.emb.recurrent_network:
    expected[1, changed_at:] = True
  np.testing.assert_array_equal(differs, expected)


@functools.cache
def two_replicas():
  """One strategy for all tests: those of a process share collective keys."""
  return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def take_step(settings, data, strategy=None):
  """One step of two replicas or of none; returns loss and weights after it."""
  with strategy.scope() if strategy else contextlib.nullcontext():
    algo = tiny.algorithm(*settings, "ALIGNMENT.LOSS_TYPE=classification")
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(checkpoints.trainable_variables(algo))
  if strategy:
    step = train.build_train_step(strategy, algo, optimizer)
    dataset = tf.data.Dataset.from_tensors(data).unbatch().batch(4, True)
    [batch] = train.distribute(strategy, Batches(dataset, []))
    loss = step(batch)["loss"]
  else:
    loss = tiny.take_step(algo, optimizer, data)
  return [loss.numpy(), *algo.get_weights()]


@pytest.mark.slow
def test_two_replicas_equal_the_mean_of_their_two_batches(settings, algo):
  """Loss, gradients, and the statistics of batch norm, which sees its half."""
  data = batch_for(algo, num_videos=4)
  both = take_step(settings, data, two_replicas())
  halves = ({k: x[i : i + 2] for k, x in data.items()} for i in (0, 2))
  alone = [take_step(settings, half) for half in halves]
  mean_loss = np.mean([weights[0] for weights in alone])
  np.testing.assert_allclose(both[0], mean_loss, rtol=1e-4)
  # SGD is linear in the gradient.
  for two, first, second in zip(both, *alone, strict=True):
    np.testing.assert_allclose(two, (first + second) / 2, rtol=1e-3, atol=1e-5)


def test_two_replicas_equal_one_with_the_double_batch():
  """Where neither batch norm nor the loss looks at other videos."""
  settings = settings_of("tcn", "conv", "MODEL.TRAIN_BASE=frozen")
  settings += ("MODEL.CONV_EMBEDDER_MODEL.USE_BN=false",)
  data = batch_for(tiny.algorithm(*settings), num_videos=4)
  both, one = (take_step(settings, data, s) for s in (two_replicas(), None))
  for two, expected in zip(both, one, strict=True):
    np.testing.assert_allclose(two, expected, rtol=1e-4, atol=1e-6)
