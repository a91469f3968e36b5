"""The cycle-consistency losses by definition, one cycle at a time."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tcc import compute_alignment_loss
from tcc.settings import LOSS_TYPES

# Naive references use this one, and the other numbers' defaults.
TEMPERATURE = 0.4
MODES = {
  "deterministic": {},
  "stochastic": {"stochastic_matching": True, "num_cycles": 64, "seed": [3, 4]},
}
every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
every_loss = pytest.mark.parametrize("loss_type", LOSS_TYPES)


def loss_and_gradient(embs, **options):
  """The loss and its gradient, eagerly or in a graph."""
  embs = tf.convert_to_tensor(embs)
  with tf.GradientTape() as tape:
    tape.watch(embs)
    count = embs.shape[0] or tf.shape(embs)[0]
    loss = compute_alignment_loss(embs, count, **options)
  return loss, tf.convert_to_tensor(tape.gradient(loss, embs))


def softmax(embedding, frames, similarity_type):
  """How likely an embedding goes to each frame of a sequence."""
  squares = -np.sum((embedding - frames) ** 2, axis=1)
  similarity = frames @ embedding if similarity_type == "cosine" else squares
  exponentials = np.exp(similarity / len(embedding) / TEMPERATURE)
  return exponentials / exponentials.sum()


def naive_cycle_loss(embs, times, cycle, start, loss_type, similarity_type):
  """Loss of the cycle from a frame through some sequences, by definition."""
  own, own_times = embs[cycle[0]], times[cycle[0]]
  embedding = own[start]
  for sequence in embs[list(cycle[1:])]:
    embedding = softmax(embedding, sequence, similarity_type) @ sequence
  beta = softmax(embedding, own, similarity_type)
  mean = beta @ own_times
  variance = beta @ (own_times - mean) ** 2
  error = own_times[start] - mean
  target = 0.9 * np.eye(len(own))[start] + 0.1 / len(own)
  return {
    "classification": -target @ np.log(beta),
    "regression_mse": error**2,
    "regression_mse_var": error**2 / variance + 0.001 * np.log(variance),
    "regression_huber": 0.5 * error**2
    if abs(error) <= 0.1
    else 0.1 * (abs(error) - 0.05),
  }[loss_type]


def naive_losses(embs, times, cycle_length, loss_type, similarity_type="l2"):
  """Losses of all cycles through different sequences, from all frames."""
  num_sequences, num_frames, _ = embs.shape
  return np.array(
    [
      naive_cycle_loss(embs, times, cycle, start, loss_type, similarity_type)
      for cycle in itertools.permutations(range(num_sequences), cycle_length)
      for start in range(num_frames)
    ]
  )
