"""Aligns recordings of four sensors that follow one process at varying speed.

Prints how far apart in the process nearest neighbors are, in new recordings.
Usage: python -m examples.align_sequences
"""

import keras
import numpy as np
import tensorflow as tf

from tcc import compute_alignment_loss

WINDOW, LOSS_TYPE = 9, "regression_mse_var"


def record(rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
  """Make [count, 56, 4] signals and [count, 48] progress of their windows."""
  speed = np.exp(0.7 * rng.normal(size=[count, 7])).repeat(8, axis=1)
  progress = np.cumsum(speed, axis=1) / speed.sum(axis=1, keepdims=True)
  angle = 2 * np.pi * progress[..., None] * np.linspace(0.5, 2.5, 4)
  gain = rng.uniform(0.7, 1.4, [count, 1, 4])  # Differs in every recording.
  offset = rng.normal(scale=0.5, size=[count, 1, 4])
  signals = gain * np.sin(angle + np.arange(4)) + offset
  signals += rng.normal(scale=0.05, size=signals.shape)
  return signals.astype(np.float32), progress[:, WINDOW // 2 : -(WINDOW // 2)]


def alignment_error(embs: np.ndarray, progress: np.ndarray) -> float:
  """Measure the mean difference in progress of nearest neighbors."""
  distances = np.linalg.norm(embs[:, None, :, None] - embs[:, None], axis=-1)
  found = np.take_along_axis(progress[None], distances.argmin(-1), axis=-1)
  different = ~np.eye(len(embs), dtype=bool)
  return np.abs(progress[:, None] - found)[different].mean()


keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
signals, _ = record(rng, 200)
unseen, progress = record(rng, 10)
# Neither recurrence nor padding: an encoder that knows how far a window is from
# the border can count the frames, which solves the loss without alignment.
layers = [keras.layers.Conv1D(64, WINDOW, activation="relu")]
layers += [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(16)]
encoder, optimizer = keras.Sequential(layers), keras.optimizers.Adam(2e-3)


@tf.function
def train_step(batch: tf.Tensor) -> None:
  """Take one training step."""
  with tf.GradientTape() as tape:
    loss = compute_alignment_loss(encoder(batch), 8, loss_type=LOSS_TYPE)
  weights = encoder.trainable_variables
  optimizer.apply(tape.gradient(loss, weights), weights)


before = alignment_error(encoder(unseen).numpy(), progress)
for _ in range(600):
  train_step(signals[rng.choice(len(signals), 8, replace=False)])
after = alignment_error(encoder(unseen).numpy(), progress)
print(f"error before training: {before:.3f}, after training: {after:.3f}")
