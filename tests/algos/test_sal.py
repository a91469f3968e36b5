import keras
import numpy as np
import pytest
import tensorflow as tf

from algos.sal import SalLoss, sample_triplets
from tests.helpers import tiny
from tests.helpers.errors import message_of

STEPS = np.array([[0, 3, 4, 9, 20, 21, 30], [5, 6, 7, 8, 9, 10, 11]])
SEED = tf.constant([3, 1], tf.int64)


def draw(steps=STEPS, num_samples=50, fraction=0.75, seed=0):
  places, labels = sample_triplets(
    tf.constant(steps, tf.int64), num_samples, fraction, tf.constant([seed, 1])
  )
  assert places.shape == [len(steps), num_samples, 3]
  assert labels.shape == [len(steps), num_samples]
  return places.numpy(), labels.numpy()


def test_triplets_in_order_and_out_of_order():
  kinds = set()
  for seed in range(5):
    places, labels = draw(seed=seed)
    for (first, middle, last), label in zip(
      places.reshape(-1, 3), labels.ravel(), strict=True
    ):
      assert len({first, middle, last}) == 3
      low, high = min(first, last), max(first, last)
      assert (low < middle < high) == (label == 1)
      # There is room for a and e outside of every (b, d), and for c inside.
      assert low >= 1
      assert high <= STEPS.shape[1] - 2
      assert high - low >= 2
      position = "in" if label else "below" if middle < low else "above"
      kinds.add((position, bool(first < last)))
  assert kinds == {(p, d) for p in ("in", "below", "above") for d in (0, 1)}


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.75, 1.0])
def test_share_of_shuffled_triplets(fraction):
  shares = []
  for seed in range(20):
    _, labels = draw(num_samples=9, fraction=fraction, seed=seed)
    shuffled = (labels == 0).sum()
    assert abs(shuffled - fraction * labels.size) < 1
    shares.append(shuffled / labels.size)
  assert abs(np.mean(shares) - fraction) < 0.03


def test_all_kinds_directions_and_frames_are_as_frequent():
  places, labels = draw(num_samples=4000)
  first, middle, last = np.moveaxis(places[labels == 0], -1, 0)
  assert abs(np.mean(middle > np.maximum(first, last)) - 0.5) < 0.03
  # Taken backwards, (b, a, d) lies above: neither tells the other.
  assert abs(np.mean(first < last) - 0.5) < 0.03
  backwards = places[labels == 1]
  assert abs(np.mean(backwards[:, 0] < backwards[:, 2]) - 0.5) < 0.05
  for video in places:
    assert set(np.unique(video)) == set(range(STEPS.shape[1]))


def test_repeated_frames_are_left_out_where_there_are_enough_others():
  short = [[1, 2, 3, 4, 5, 5, 5], [1, 2, 3, 4, 4, 4, 4]]
  places, labels = draw(short, num_samples=300)
  assert places[0].max() == 4
  # The second video has four frames: five places, one frame twice.
  assert places[1].max() > 3
  assert np.isfinite(labels).all()


def test_the_seed_decides():
  first, again, other = (draw(seed=seed) for seed in (1, 1, 2))
  assert all(map(np.array_equal, first, again))
  assert not np.array_equal(first[0], other[0])


def built_loss(*settings):
  keras.utils.set_random_seed(0)
  frames = ("TRAIN.NUM_FRAMES=7", "EVAL.NUM_FRAMES=7")
  loss = SalLoss(tiny.config(*frames, *settings))
  loss.build(6)
  return loss


def test_loss_is_the_cross_entropy_of_the_drawn_triplets():
  loss = built_loss(
    "SAL.LABEL_SMOOTHING=0.2",
    "SAL.NUM_SAMPLES=6",
    "SAL.FC_LAYERS=[[9, true], [2, false]]",
  )
  embs, steps = tiny.frames(2, 7, 6), tf.constant(STEPS, tf.int64)
  value = loss(embs, {"steps": steps}, SEED, training=True)
  places, labels = sample_triplets(steps, 6, 0.75, SEED)
  w1, b1, w2, b2 = loss.head.get_weights()
  losses = []
  for video in range(2):
    drawn = zip(places[video].numpy(), labels[video].numpy(), strict=True)
    for triplet, label in drawn:
      x = np.concatenate([embs[video, place] for place in triplet])
      logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
      log_p = logits - np.log(np.exp(logits).sum())
      losses.append(-0.9 * log_p[label] - 0.1 * log_p[1 - label])
  np.testing.assert_allclose(value, np.mean(losses), rtol=1e-5)


def loss_and_gradient(loss, embs, batch):
  with tf.GradientTape() as tape:
    tape.watch(embs)
    value = loss(embs, batch, SEED, training=True)
  return value, tape.gradient(value, embs)


def test_videos_of_too_few_frames_do_not_count():
  """Their triplets hold a frame twice: no label is right."""
  loss = built_loss()
  rows = [STEPS[0], [1, 2, 3, 4, 4, 4, 4], STEPS[1], [3] * 7]
  batch, embs = {"steps": tf.constant(rows, tf.int64)}, tiny.frames(4, 7, 6)
  value, gradient = loss_and_gradient(loss, embs, batch)
  moved = tf.reduce_any(gradient != 0, [1, 2])
  np.testing.assert_array_equal(moved, [True, False, True, False])
  # The mean over the triplets of the others.
  changed = tf.concat([embs[:1], embs[1:2] + 1.0, embs[2:]], 0)
  np.testing.assert_array_equal(value, loss(changed, batch, SEED, True))
  # Frames that are all the same give the same logits: only labels differ.
  value = loss(tf.ones_like(embs), batch, SEED, training=False)
  _, labels = sample_triplets(batch["steps"], 8, 0.75, SEED)
  log_p = tf.nn.log_softmax(loss.head(tf.ones([1, 18])))[0]
  expected = -tf.reduce_mean(tf.gather(log_p, labels.numpy()[[0, 2]]))
  np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_a_batch_of_short_videos_teaches_nothing():
  loss, embs = built_loss(), tiny.frames(2, 7, 6)
  batch = {"steps": tf.zeros([2, 7], tf.int64)}
  value, gradient = loss_and_gradient(loss, embs, batch)
  assert value == 0 and not gradient.numpy().any()


def test_too_few_frames_and_a_wrong_last_layer_are_refused():
  assert message_of(built_loss, "TRAIN.NUM_FRAMES=4") == (
    "TRAIN.NUM_FRAMES: expected at least 5 frames of a video for the triplets"
    " of Shuffle and Learn, received 4; raise it"
  )
  assert message_of(built_loss, "SAL.FC_LAYERS=[[3, false]]") == (
    "SAL.FC_LAYERS: expected [2, false] as last layer, for shuffled and in"
    " order, received [[3, False]]; append it"
  )
