"""Aligns sensor recordings of one process that runs at varying speed.

Trains a small Keras encoder with `tcc` on signals that are not video and have
no labels, and prints how far apart in the process nearest neighbours are.

Usage: python -m examples.align_sequences
"""

import keras
import numpy as np
import tensorflow as tf

from tcc import compute_alignment_loss

WINDOW = 9


def record(rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
  """Four noisy sensors whose gain and offset differ in every recording.

  Returns:
    [count, 56, 4] signals; [count, 48] how far the process is, 0 to 1, in the
    middle of each window.
  """
  speed = np.exp(0.7 * rng.normal(size=[count, 7])).repeat(8, axis=1)
  progress = np.cumsum(speed, axis=1) / speed.sum(axis=1, keepdims=True)
  angle = 2 * np.pi * progress[..., None] * np.linspace(0.5, 2.5, 4)
  gain = rng.uniform(0.7, 1.4, [count, 1, 4])
  offset = rng.normal(scale=0.5, size=[count, 1, 4])
  signals = gain * np.sin(angle + np.arange(4)) + offset
  signals += rng.normal(scale=0.05, size=signals.shape)
  return signals.astype(np.float32), progress[:, WINDOW // 2 : -(WINDOW // 2)]


def build_encoder() -> keras.Model:
  """Embeds each window of the signals by itself."""
  # Neither recurrence nor padding: an encoder that can tell how far from the
  # border a window is can count, which solves the loss without any alignment.
  return keras.Sequential(
    [
      keras.layers.Conv1D(64, WINDOW, padding="valid", activation="relu"),
      keras.layers.Dense(64, activation="relu"),
      keras.layers.Dense(16),
    ]
  )


def alignment_error(embs: np.ndarray, progress: np.ndarray) -> float:
  """Mean difference in progress between nearest neighbours of all pairs."""
  distances = np.linalg.norm(embs[:, None, :, None] - embs[:, None], axis=-1)
  neighbors = distances.argmin(axis=-1)  # [N, N, T]
  found = np.take_along_axis(progress[None], neighbors, axis=-1)
  different = ~np.eye(len(embs), dtype=bool)
  return np.abs(progress[:, None] - found)[different].mean()


def main() -> None:
  """Trains; prints the error on recordings that were not trained on."""
  keras.utils.set_random_seed(0)
  rng = np.random.default_rng(0)
  signals, _ = record(rng, 200)
  unseen, progress = record(rng, 10)
  encoder, optimizer = build_encoder(), keras.optimizers.Adam(2e-3)
  before = alignment_error(encoder(unseen).numpy(), progress)

  @tf.function
  def train_step(batch: tf.Tensor) -> None:
    with tf.GradientTape() as tape:
      loss = compute_alignment_loss(
        encoder(batch), batch_size=8, loss_type="regression_mse_var"
      )
    weights = encoder.trainable_variables
    optimizer.apply(tape.gradient(loss, weights), weights)

  for _ in range(600):
    train_step(signals[rng.choice(len(signals), 8, replace=False)])
  print(f"alignment error before training: {before:.3f}")
  after = alignment_error(encoder(unseen).numpy(), progress)
  print(f"alignment error after training: {after:.3f}")


if __name__ == "__main__":
  main()
