import numpy as np
import pytest
import tensorflow as tf

from algos.alignment import AlignmentLoss
from algos.alignment_sal_tcn import compute_weights
from algos.sal import SalLoss
from data.sampling import PositivePairSampler
from tests.helpers import tiny
from tests.helpers.errors import message_of

SETTINGS = ("TRAIN.NUM_FRAMES=6", "ALIGNMENT.LOSS_TYPE=classification")


def combination(alignment, sal):
  return tiny.algorithm(
    "TRAINING_ALGO=alignment_sal_tcn",
    *SETTINGS,
    f"ALIGNMENT_SAL_TCN.ALIGNMENT_LOSS_WEIGHT={alignment}",
    f"ALIGNMENT_SAL_TCN.SAL_LOSS_WEIGHT={sal}",
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
  weights = {"alignment": alignment, "sal": sal, "tcn": 1 - alignment - sal}
  used = {name for name, weight in weights.items() if weight > 1e-6}
  algo = combination(alignment, sal)
  assert isinstance(algo.sampler, PositivePairSampler) == ("tcn" in used)
  assert (algo.head is not None) == ("sal" in used)
  batch, embs = data_for(algo)
  losses = algo.compute_losses(embs, batch, training=True)
  tags = {name: f"alignment_sal_tcn/{name}_loss" for name in used}
  assert set(losses) == {"loss", *tags.values()}
  total = sum(weights[name] * losses[tag] for name, tag in tags.items())
  np.testing.assert_allclose(losses["loss"], total, rtol=1e-5)


@pytest.mark.parametrize(
  ("weights", "alone"),
  [((1, 0), "alignment"), ((0, 1), "sal"), ((0, 0), "tcn")],
)
def test_a_part_that_is_off_computes_nothing(weights, alone):
  """The graph of one part is as large as that of the algorithm alone."""
  algo = combination(*weights)
  other = tiny.algorithm(*SETTINGS, f"TRAINING_ALGO={alone}")
  batch, embs = data_for(algo)

  def graph_size(algo):
    compute = tf.function(lambda embs: algo.compute_losses(embs, batch, True))
    return len(compute.get_concrete_function(embs).graph.get_operations())

  # The weight itself, and a tag of its own.
  assert graph_size(algo) <= graph_size(other) + 6
  assert len(algo.weights) == len(other.weights)


@pytest.mark.parametrize("loss", [AlignmentLoss, SalLoss])
def test_parts_see_one_frame_of_each_pair_in_order_of_time(loss, monkeypatch):
  """Anchors 20 and 21 may have positives 19 and 16: SaL needs them sorted."""
  algo = combination(0.4, 0.4)
  received = []
  monkeypatch.setattr(
    loss, "__call__", lambda _, *inputs: received.append(inputs) or 0.0
  )
  # Positive, anchor, positive, anchor, ...; an embedding tells its step.
  steps = np.array([[9, 10, 6, 11, 7, 12, 19, 20, 16, 21, 24, 25]] * 8)
  embs = np.repeat(steps[..., None], 6, axis=-1).astype(np.float32)
  lengths = tf.fill([8], tf.constant(30, tf.int64))
  batch = {"steps": tf.constant(steps), "seq_lens": lengths}
  for _ in range(2):
    algo.compute_losses(tf.constant(embs), batch, training=True)
  choices = []
  for embs, seen, *_ in received:
    np.testing.assert_array_equal(embs[..., 0], seen["steps"])
    choices.append([tuple(row) for row in seen["steps"].numpy()])
    # Drawn for each video.
    assert set(choices[-1]) == {(6, 7, 9, 16, 19, 24), (10, 11, 12, 20, 21, 25)}
  assert choices[0] != choices[1]


@pytest.mark.parametrize(
  ("alignment", "sal"), [(-0.1, 0.5), (0.5, -0.1), (0.8, 0.3)]
)
def test_impossible_weights_are_refused(alignment, sal):
  settings = tiny.config().ALIGNMENT_SAL_TCN
  settings.update(ALIGNMENT_LOSS_WEIGHT=alignment, SAL_LOSS_WEIGHT=sal)
  assert message_of(compute_weights, settings) == (
    "ALIGNMENT_SAL_TCN: expected ALIGNMENT_LOSS_WEIGHT and SAL_LOSS_WEIGHT of"
    " at least 0 that sum to at most 1, received"
    f" {alignment} and {sal}; lower them, TCN gets the rest"
  )


def test_tcn_gets_the_rest_of_the_weights():
  weights = compute_weights(tiny.config().ALIGNMENT_SAL_TCN)
  assert weights == pytest.approx({"alignment": 0.33, "sal": 0.33, "tcn": 0.34})
