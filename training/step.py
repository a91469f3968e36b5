"""One compiled training step, on as many replicas as there are."""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from algos.algorithm import Algorithm, Batch
from training.checkpoints import trainable_variables


def distribute(
  strategy: tf.distribute.Strategy, batches: tf.data.Dataset
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
  """Split each batch among the replicas of a strategy, if there are several."""
  # A distributed data set has a tuner of its own, see `datasets`.
  if strategy.num_replicas_in_sync == 1:
    return batches
  # The batches are drawn by number, so there are no files to shard by.
  options = tf.data.Options()
  policy = tf.data.experimental.AutoShardPolicy.DATA
  options.experimental_distribute.auto_shard_policy = policy
  return strategy.experimental_distribute_dataset(batches.with_options(options))


def build_train_step(
  strategy: tf.distribute.Strategy,
  algo: Algorithm,
  optimizer: keras.optimizers.Optimizer,
  debug: bool = False,
) -> Callable[[Batch], dict[str, tf.Tensor]]:
  """Compile one training step.

  Args:
    strategy: Its replicas each take a part of the batch.
    algo: The algorithm, built in the strategy's scope.
    optimizer: Built on `trainable_variables(algo)` in that scope.
    debug: Whether to return the norm of each gradient, too.

  Returns:
    A function of a batch that updates the variables and returns scalars to log:
    `loss` (penalties included), `reg_loss` and the algorithm's parts.
  """
  variables = trainable_variables(algo)
  num_replicas = strategy.num_replicas_in_sync

  def replica_step(batch: Batch) -> dict[str, tf.Tensor]:
    with tf.GradientTape() as tape:
      embs = algo(batch, training=True)
      scalars = algo.compute_losses(embs, batch, training=True)
      scalars["reg_loss"] = algo.regularization_loss()
      scalars["loss"] += scalars["reg_loss"]
      # Gradients are summed over replicas.
      loss = scalars["loss"] / num_replicas
    gradients = tape.gradient(loss, variables)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    if debug:
      for variable, gradient in zip(variables, gradients, strict=True):
        scalars[f"gradient_norm/{variable.path}"] = tf.norm(gradient)
    return scalars

  @tf.function(autograph=False)
  def train_step(batch: Batch) -> dict[str, tf.Tensor]:
    scalars = strategy.run(replica_step, args=(batch,))
    mean = functools.partial(strategy.reduce, "MEAN", axis=None)
    return {tag: mean(value) for tag, value in scalars.items()}

  return train_step
