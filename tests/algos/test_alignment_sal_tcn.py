import numpy as np
import pytest
import tensorflow as tf

from algos.alignment_sal_tcn import compute_weights
from algos.sal import SalLoss
from core.errors import UserError
from data.sampling import PositivePairSampler
from tests.helpers import tiny

PARTS = ("alignment", "sal", "tcn")


def combination(alignment, sal):
  return tiny.algorithm(
    "TRAINING_ALGO=alignment_sal_tcn",
    "TRAIN.NUM_FRAMES=6",
    f"ALIGNMENT_SAL_TCN.ALIGNMENT_LOSS_WEIGHT={alignment}",
    f"ALIGNMENT_SAL_TCN.SAL_LOSS_WEIGHT={sal}",
    "ALIGNMENT.LOSS_TYPE=classification",
  )


def data_for(algo):
  num_frames = 12 if isinstance(algo.sampler, PositivePairSampler) else 6
  steps = np.tile(np.arange(num_frames), [2, 1])
  return {
    "steps": tf.constant(steps, tf.int64),
    "seq_lens": tf.constant([30, 40], tf.int64),
  }, tiny.frames(2, num_frames, 6)


@pytest.mark.parametrize(
  ("alignment", "sal"),
  [(0.33, 0.33), (1, 0), (0, 1), (0, 0), (0.5, 0.5), (0.7, 0.3), (0.25, 0)],
)
def test_only_what_has_a_weight_is_there(alignment, sal):
  weights = dict(zip(PARTS, (alignment, sal, 1 - alignment - sal), strict=True))
  used = {name for name, weight in weights.items() if weight > 1e-6}
  algo = combination(alignment, sal)
  assert isinstance(algo.sampler, PositivePairSampler) == ("tcn" in used)
  assert (algo.head is not None) == ("sal" in used)
  batch, embs = data_for(algo)
  losses = algo.compute_losses(embs, batch, training=True)
  assert set(losses) == {"loss"} | {
    f"alignment_sal_tcn/{name}_loss" for name in used
  }
  total = sum(
    weights[name] * losses[f"alignment_sal_tcn/{name}_loss"] for name in used
  )
  np.testing.assert_allclose(losses["loss"], total, rtol=1e-5)


@pytest.mark.parametrize(
  ("weights", "alone"),
  [((1, 0), "alignment"), ((0, 1), "sal"), ((0, 0), "tcn")],
)
def test_a_part_that_is_off_computes_nothing(weights, alone):
  """The graph of one part is as large as that of the algorithm alone."""
  plain = tiny.algorithm(
    f"TRAINING_ALGO={alone}",
    "TRAIN.NUM_FRAMES=6",
    "ALIGNMENT.LOSS_TYPE=classification",
  )
  algos = combination(*weights), plain
  sizes = []
  for algo in algos:
    batch, embs = data_for(algo)
    graph = tf.function(
      lambda e, algo=algo, batch=batch: algo.compute_losses(e, batch, True)
    ).get_concrete_function(embs)
    sizes.append(len(graph.graph.get_operations()))
  # The weight itself, and a tag of its own.
  assert sizes[0] <= sizes[1] + 6
  assert len(algos[0].weights) == len(algos[1].weights)


def test_parts_see_one_frame_of_each_pair():
  algo = combination(0.5, 0.0)
  batch, embs = data_for(algo)
  twin = combination(1.0, 0.0)
  received = {
    float(
      algo.compute_losses(embs, batch, True)["alignment_sal_tcn/alignment_loss"]
    )
    for _ in range(20)
  }
  expected = set()
  for choice in np.ndindex(2, 2):
    rows = [np.arange(odd, 12, 2) for odd in choice]
    some = tf.gather(embs, rows, batch_dims=1)
    steps = tf.gather(batch["steps"], rows, batch_dims=1)
    expected.add(float(twin.compute_loss(some, {**batch, "steps": steps})))
  assert len(expected) == 4
  for value in received:
    assert min(abs(value - x) for x in expected) < 1e-5
  assert len({round(value, 5) for value in received}) == 4


def test_parts_see_positives_in_order_of_time(monkeypatch):
  """Anchors 20 and 21 may have positives 19 and 16: SaL needs them sorted."""
  algo = combination(0.4, 0.4)
  received = []
  monkeypatch.setattr(
    SalLoss, "__call__", lambda _, *inputs: received.append(inputs) or 0.0
  )
  # Positive, anchor, positive, anchor, ...; an embedding tells its step.
  steps = np.array([[9, 10, 6, 11, 7, 12, 19, 20, 16, 21, 24, 25]] * 8)
  embs = np.repeat(steps[..., None], 6, axis=-1).astype(np.float32)
  batch = {"steps": tf.constant(steps), "seq_lens": tf.fill([8], 30)}
  algo.compute_losses(tf.constant(embs), batch, training=True)
  [(embs, seen, *_)] = received
  np.testing.assert_array_equal(embs[..., 0], seen["steps"])
  assert {tuple(row) for row in seen["steps"].numpy()} == {
    (6, 7, 9, 16, 19, 24),
    (10, 11, 12, 20, 21, 25),
  }


@pytest.mark.parametrize(
  ("alignment", "sal"), [(-0.1, 0.5), (0.5, -0.1), (0.8, 0.3)]
)
def test_impossible_weights_are_refused(alignment, sal):
  settings = tiny.config().ALIGNMENT_SAL_TCN
  settings.update(ALIGNMENT_LOSS_WEIGHT=alignment, SAL_LOSS_WEIGHT=sal)
  with pytest.raises(UserError) as caught:
    compute_weights(settings)
  assert str(caught.value) == (
    "ALIGNMENT_SAL_TCN: expected ALIGNMENT_LOSS_WEIGHT and SAL_LOSS_WEIGHT of"
    " at least 0 that sum to at most 1, received"
    f" {alignment} and {sal}; lower them, TCN gets the rest"
  )


def test_weights_sum_to_1():
  settings = tiny.config().ALIGNMENT_SAL_TCN
  weights = compute_weights(settings)
  assert weights == {
    "alignment": 0.33,
    "sal": 0.33,
    "tcn": pytest.approx(0.34),
  }
