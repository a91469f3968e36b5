import functools

import numpy as np
import pytest
import tensorflow as tf

from tcc import compute_alignment_loss
from tests.helpers import naive_losses
from tests.helpers.naive_losses import every_loss, loss_and_gradient

EMBS = np.random.default_rng(5).normal(size=[4, 3, 2])


def stochastic_loss(embs, cycle_length, num_cycles, seed=None, **options):
  options["temperature"] = naive_losses.TEMPERATURE
  options["stochastic_matching"] = True
  options |= {"cycle_length": cycle_length, "num_cycles": num_cycles}
  return compute_alignment_loss(embs, len(embs), seed=seed, **options)


@pytest.mark.parametrize("cycle_length", [2, 3, 4])
@every_loss
def test_mean_of_many_draws_is_the_mean_of_all_cycles(loss_type, cycle_length):
  steps = np.array([[0, 2, 9], [1, 2, 3], [4, 6, 7], [0, 1, 5]])
  seq_lens = np.array([10, 11, 12, 13])
  times, num_cycles = steps / seq_lens[:, None], 50_000
  all_losses = naive_losses.naive_losses(EMBS, times, cycle_length, loss_type)
  options = {"loss_type": loss_type, "steps": steps, "seq_lens": seq_lens}
  options["seed"] = [6, cycle_length]
  loss = stochastic_loss(EMBS, cycle_length, num_cycles, **options)
  tolerance = 4 * all_losses.std() / num_cycles**0.5
  np.testing.assert_allclose(loss, all_losses.mean(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("cycle_length", [2, 3])
def test_every_draw_is_one_of_all_cycles_and_all_are_drawn(cycle_length):
  embs = EMBS[:3]
  times = np.tile(np.arange(3) / 3, [3, 1])
  find_all = naive_losses.naive_losses
  expected = find_all(embs, times, cycle_length, "classification")
  loss = functools.partial(stochastic_loss, embs, cycle_length, 1)
  one_draw = tf.function(loss)
  draws = [one_draw(tf.constant([7, number])) for number in range(200)]
  distances = np.abs(np.subtract.outer(draws, expected))
  assert distances.min(axis=1).max() < 1e-9
  assert set(distances.argmin(axis=1)) == set(range(len(expected)))


@every_loss
def test_cycles_of_two_agree_with_all_pairs_in_loss_and_gradient(loss_type):
  options = {"loss_type": loss_type, "temperature": 1.0}
  loss, gradient = loss_and_gradient(EMBS, **options)
  options |= {"stochastic_matching": True, "num_cycles": 200_000}
  random_loss, random_gradient = loss_and_gradient(EMBS, seed=[1, 2], **options)
  np.testing.assert_allclose(random_loss, loss, rtol=0.01)
  tolerance = 0.03 * np.abs(gradient).max()
  np.testing.assert_allclose(random_gradient, gradient, rtol=0, atol=tolerance)


def test_the_same_seed_draws_the_same_cycles():
  graph_loss = tf.function(lambda seed: stochastic_loss(EMBS, 3, 5, seed))
  seeds = ([8, 9], [8, 9], np.array([8, 9], np.int64))
  losses = [float(stochastic_loss(EMBS, 3, 5, seed)) for seed in seeds]
  losses.append(float(graph_loss(tf.constant([8, 9]))))
  np.testing.assert_allclose(losses, losses[0], rtol=1e-12)
  others = [float(graph_loss(tf.constant([8, number]))) for number in range(8)]
  assert len({*others, losses[0]}) == 9


@pytest.mark.parametrize("wrap", [lambda call: call, tf.function])
def test_no_seed_draws_other_cycles_at_each_call(wrap):
  call = wrap(lambda: stochastic_loss(EMBS, 3, 5))
  assert len({float(call()) for _ in range(8)}) == 8


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_of_unknown_shape_equals_eager(jit_compile):
  options = {"stochastic_matching": True, "cycle_length": 3, "seed": [1, 2]}

  def run(embs):
    return loss_and_gradient(embs, num_cycles=tf.size(embs), **options)

  spec = tf.TensorSpec([None, None, 2], tf.float64)
  graph = tf.function(run, [spec], jit_compile=jit_compile)
  for value, same in zip(run(EMBS), graph(EMBS), strict=True):
    np.testing.assert_allclose(value, same, rtol=1e-9)
