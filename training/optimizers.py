"""Optimizers and learning-rate schedules."""

import keras
import tensorflow as tf
from easydict import EasyDict

_MOMENTUM = 0.9


def learning_rate(step: tf.Tensor, lr: EasyDict, max_iters: int) -> tf.Tensor:
  """Compute the learning rate of a step, INITIAL_LR at the first.

  Args:
    step: Steps taken so far, a scalar.
    lr: The OPTIMIZER.LR section.
    max_iters: TRAIN.MAX_ITERS, where `poly` reaches 0.

  Returns:
    Scalar float32.
  """
  step = tf.cast(step, tf.float32)
  rate = lr.INITIAL_LR * SCHEDULES[lr.DECAY_TYPE](step, lr, max_iters)
  if lr.NUM_WARMUP_STEPS:
    rate *= tf.minimum(1.0, (step + 1.0) / lr.NUM_WARMUP_STEPS)
  return rate


def _fixed(step: tf.Tensor, settings: EasyDict, max_iters: int) -> tf.Tensor:
  return tf.ones_like(step)


def _stairs(step: tf.Tensor, settings: EasyDict, max_iters: int) -> tf.Tensor:
  return settings.EXP_DECAY_RATE ** tf.floor(step / settings.EXP_DECAY_STEPS)


def _manual(step: tf.Tensor, settings: EasyDict, max_iters: int) -> tf.Tensor:
  boundaries = tf.constant(settings.MANUAL_LR_STEP_BOUNDARIES, tf.float32)
  passed = tf.reduce_sum(tf.cast(step >= boundaries, tf.float32))
  return settings.MANUAL_LR_DECAY_RATE**passed


def _poly(step: tf.Tensor, settings: EasyDict, max_iters: int) -> tf.Tensor:
  return tf.maximum(1.0 - step / max(1, max_iters), 0.0)


SCHEDULES = {
  "fixed": _fixed,
  "exp_decay": _stairs,
  "manual": _manual,
  "poly": _poly,
}


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
  """Wraps `learning_rate` for Keras."""

  def __init__(self, config: EasyDict) -> None:
    self._config = config

  def __call__(self, step: tf.Tensor) -> tf.Tensor:
    config = self._config
    return learning_rate(step, config.OPTIMIZER.LR, config.TRAIN.MAX_ITERS)


def build_optimizer(config: EasyDict) -> keras.optimizers.Optimizer:
  """Make the optimizer of the OPTIMIZER section, not built on variables."""
  schedule = _Schedule(config)
  if config.OPTIMIZER.TYPE == "MomentumOptimizer":
    return keras.optimizers.SGD(schedule, momentum=_MOMENTUM)
  return keras.optimizers.Adam(schedule)
