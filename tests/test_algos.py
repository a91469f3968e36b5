import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

import checkpoints
from algos import ALGOS
from errors import UserError
from tcc.alignment import compute_alignment_loss

SPEC = {
  "frames": tf.TensorSpec([None, 3, 2, 32, 32, 3], tf.float32),
  "steps": tf.TensorSpec([None, 3], tf.int64),
  "seq_lens": tf.TensorSpec([None], tf.int64),
  "frame_labels": tf.TensorSpec([None, 3], tf.int64),
  "seq_labels": tf.TensorSpec([None], tf.int64),
  "name": tf.TensorSpec([None], tf.string),
}


@pytest.fixture(scope="module", params=ALGOS)
def algo(request):
  return tiny.algorithm(f"TRAINING_ALGO={request.param}")


def test_embeddings_are_the_same_in_a_graph_of_unknown_batch_size(algo):
  graph = tf.function(
    lambda batch: algo(batch, training=False), input_signature=[SPEC]
  )
  for num_videos in (2, 3):
    data = tiny.batch(num_videos, num_frames=3, seed=num_videos)
    embs = algo(data, training=False)
    assert embs.shape == [num_videos, 3, 6]
    assert embs.dtype == tf.float32
    np.testing.assert_allclose(graph(data), embs, rtol=1e-4, atol=1e-5)
  assert graph.get_concrete_function().output_shapes.as_list() == [None, 3, 6]


def test_training_in_a_graph_equals_eager(algo):
  """Embeddings and statistics; dropout is off, it would draw anew."""
  config = tiny.config("MODEL.CONV_EMBEDDER_MODEL.FC_DROPOUT_RATE=0.0")
  config.TRAINING_ALGO = algo.name
  data = tiny.batch()
  results = []
  for wrap in (lambda f: f, tf.function):
    twin = ALGOS[algo.name](config)
    twin.set_weights(algo.get_weights())

    @wrap
    def losses(batch, twin=twin):
      return twin.compute_losses(twin(batch, training=True), batch, True)

    loss = losses(data)["loss"]
    assert loss.shape == []
    results.append([loss, *twin.get_weights()])
  for eager, graph in zip(*results, strict=True):
    np.testing.assert_allclose(graph, eager, rtol=1e-3, atol=1e-5)


def test_an_embedding_sees_its_own_context_only(algo):
  data = tiny.batch()
  embs = algo(data).numpy()
  frames = data["frames"].numpy()
  for b, s in np.ndindex(2, 3):
    features = algo.features(tf.constant(frames[b, s]))
    np.testing.assert_allclose(
      algo.embed(features[None])[0], embs[b, s], rtol=1e-4, atol=1e-5
    )
  frames[1, 2, 0] = 0.5
  changed = algo(data | {"frames": tf.constant(frames)}).numpy()
  differs = np.abs(changed - embs).max(-1) > 1e-6
  np.testing.assert_array_equal(differs, [[False] * 3, [False, False, True]])


def test_inference_changes_nothing(algo):
  before = algo.get_weights()
  data = tiny.batch()
  np.testing.assert_array_equal(algo(data), algo(data, training=False))
  for old, new in zip(before, algo.get_weights(), strict=True):
    np.testing.assert_array_equal(new, old)


def test_steps_lower_the_loss(algo):
  keras.utils.set_random_seed(0)
  # Without dropout, and with a loss that is smooth from the first step on.
  config = tiny.config(
    f"TRAINING_ALGO={algo.name}",
    "MODEL.CONV_EMBEDDER_MODEL.FC_DROPOUT_RATE=0.0",
    "ALIGNMENT.LOSS_TYPE=classification",
  )
  twin = ALGOS[algo.name](config)
  variables = checkpoints.trainable_variables(twin)
  optimizer = keras.optimizers.Adam(0.003)
  optimizer.build(variables)
  data = tiny.batch()
  first = float(twin.compute_loss(twin(data, training=True), data))
  for _ in range(8):
    tiny.take_step(twin, variables, optimizer, data)
  assert float(twin.compute_loss(twin(data, training=True), data)) < first


def test_trainable_variables_have_one_order_and_no_statistics(algo):
  variables = checkpoints.trainable_variables(algo)
  assert [id(v) for v in variables] == [
    id(v) for v in checkpoints.trainable_variables(algo)
  ]
  assert len({id(v) for v in variables}) == len(variables)
  statistics = {
    id(w)
    for network in (algo.cnn, algo.emb)
    for layer in network.layers
    if isinstance(layer, keras.layers.BatchNormalization)
    for w in (layer.moving_mean, layer.moving_variance)
  }
  assert len(statistics) == 2 * 4
  assert not statistics & {id(v) for v in variables}


@pytest.mark.parametrize(
  "loss_type", ["classification", "regression_mse", "regression_huber"]
)
def test_alignment_hands_its_settings_to_the_loss(loss_type):
  algo = tiny.algorithm(
    f"ALIGNMENT.LOSS_TYPE={loss_type}",
    "ALIGNMENT.LABEL_SMOOTHING=0.3",
    "ALIGNMENT.SOFTMAX_TEMPERATURE=0.7",
    "ALIGNMENT.HUBER_DELTA=0.01",
    "ALIGNMENT.NORMALIZE_INDICES=false",
    "ALIGNMENT.SIMILARITY_TYPE=cosine",
  )
  data = tiny.batch()
  embs = tiny.frames(2, 3, 6)
  expected = compute_alignment_loss(
    embs,
    2,
    steps=data["steps"],
    seq_lens=data["seq_lens"],
    loss_type=loss_type,
    label_smoothing=0.3,
    temperature=0.7,
    huber_delta=0.01,
    normalize_indices=False,
    similarity_type="cosine",
  )
  np.testing.assert_allclose(algo.compute_loss(embs, data), expected)
  assert set(algo.compute_losses(embs, data, True)) == {"loss"}


def test_stochastic_alignment_has_finite_losses_that_vary():
  algo = tiny.algorithm("ALIGNMENT.STOCHASTIC_MATCHING=true")
  data = tiny.batch()
  embs = tiny.frames(2, 3, 6)
  losses = [float(algo.compute_loss(embs, data)) for _ in range(6)]
  assert np.isfinite(losses).all()
  assert len(set(losses)) > 1


@pytest.mark.parametrize("section", ["TRAIN", "EVAL"])
def test_alignment_needs_enough_videos_in_a_batch(section):
  with pytest.raises(UserError) as caught:
    tiny.algorithm(f"{section}.BATCH_SIZE=1")
  assert str(caught.value) == (
    f"{section}.BATCH_SIZE: alignment needs at least 2 videos to cycle through;"
    " received 1"
  )
  with pytest.raises(UserError, match="needs at least 3 videos"):
    tiny.algorithm(
      "ALIGNMENT.STOCHASTIC_MATCHING=true", "ALIGNMENT.CYCLE_LENGTH=3"
    )
