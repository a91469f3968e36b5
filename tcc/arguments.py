"""Checks of the arguments of the public functions.

What is known before a graph runs raises a `ValueError`. What is known only when
it runs, such as the value of a variable, ends the run with an
`InvalidArgumentError`, except under XLA, which leaves assertions out.
"""

import dataclasses
import numbers
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tcc.losses import frame_times
from tcc.settings import LOSS_TYPES, NUMBERS, SIMILARITY_TYPES, LossSettings

_CHOICES = {"loss_type": LOSS_TYPES, "similarity_type": SIMILARITY_TYPES}
# Each condition holds for numbers as for tensors.
_RANGES = {
  "temperature": (lambda x: x > 0, "positive"),
  "label_smoothing": (lambda x: (x >= 0) & (x <= 1), "from 0 to 1"),
  "variance_lambda": (lambda x: x >= 0, "at least 0"),
  "huber_delta": (lambda x: x > 0, "positive"),
  "num_cycles": (lambda x: x >= 1, "at least 1"),
  "cycle_length": (lambda x: x >= 2, "at least 2"),
}


def check_loss_arguments(
  embs: tf.Tensor,
  steps: tf.Tensor | None,
  seq_lens: tf.Tensor | None,
  num_steps: int | tf.Tensor | None,
  batch_size: int | tf.Tensor,
  cycle_length: int | tf.Tensor,
  settings: LossSettings,
) -> tuple[tf.Tensor, tf.Tensor, LossSettings]:
  """Check what the losses over all pairs and over random cycles take.

  Args:
    embs: [N, T, D] floating-point embeddings.
    steps: [N, T] index of each frame in its sequence; 0..T-1 if None.
    seq_lens: [N] lengths of the sequences; T if None.
    num_steps: T, or None.
    batch_size: N.
    cycle_length: Different sequences in a cycle.
    settings: The settings of the loss, unchecked.

  Returns:
    [N, T, D] embeddings in float32, or in float64 if that is what they are;
    [N, T] times of the frames; the settings, with numbers as tensors. All are
    of one type.

  Raises:
    ValueError: An argument has the wrong shape, type or range.
  """
  embs = _check_floating("embs", embs)
  settings = check_settings(settings, embs.dtype)
  embs = _check_batch(embs, batch_size, cycle_length)
  length = embs.shape[1] or tf.shape(embs)[1]
  known = tf.get_static_value(num_steps)
  if None not in (known, embs.shape[1]) and known != length:
    raise ValueError(
      f"num_steps must be {length}, as embs says. Received: {known}"
    )
  if steps is None:
    steps = tf.broadcast_to(tf.range(length), tf.shape(embs)[:2])
  if seq_lens is None:
    seq_lens = tf.fill(tf.shape(embs)[:1], length)
  steps = check_shape("steps [batch_size, T]", steps, embs.shape[:2])
  seq_lens = check_shape("seq_lens [batch_size]", seq_lens, embs.shape[:1])
  times = frame_times(steps, seq_lens, settings.normalize_indices, embs.dtype)
  return embs, times, settings


def check_pair(
  embs1: tf.Tensor, embs2: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Check the embeddings of two sequences.

  Args:
    embs1: [..., M, D] embeddings.
    embs2: [..., N, D] embeddings.

  Returns:
    Both, in the more precise of their types, float32 at least.

  Raises:
    ValueError: They are not floating-point, or their shapes don't go together.
  """
  embs1 = _check_floating("embs1", embs1)
  embs2 = _check_floating("embs2", embs2)
  shapes = embs1.shape, embs2.shape
  same_size = shapes[0][-1:].is_compatible_with(shapes[1][-1:])
  if any(shape.rank in (0, 1) for shape in shapes) or not same_size:
    raise ValueError(
      "embs1 and embs2 must have the shapes [..., M, D] and [..., N, D]."
      f" Received: {shapes[0]} and {shapes[1]}"
    )
  dtype = max(embs1.dtype, embs2.dtype, key=lambda dtype: dtype.size)
  return tf.cast(embs1, dtype), tf.cast(embs2, dtype)


def check_settings(settings: LossSettings, dtype: tf.DType) -> LossSettings:
  """Check choices and numbers.

  Args:
    settings: The settings as a user gave them.
    dtype: Floating-point type of the numbers of the result.

  Returns:
    The settings, with numbers as tensors.

  Raises:
    ValueError: A setting is not among its choices, is no number, or is out of
      range.
  """
  for name, choices in _CHOICES.items():
    value = getattr(settings, name)
    if value not in choices:
      raise ValueError(
        f"{name} must be one of {', '.join(choices)}. Received: {value!r}"
      )
  checked = {x: _check_number(x, getattr(settings, x), dtype) for x in NUMBERS}
  return dataclasses.replace(settings, **checked)


def check_whole_number(name: str, value: int | tf.Tensor) -> int | tf.Tensor:
  """Check a whole number and its range.

  Args:
    name: Name of the argument.
    value: An integer or a scalar tensor of integers.

  Returns:
    An integer if it is known before the graph runs, else an int32 tensor.

  Raises:
    ValueError: It is no whole number, or out of range.
  """
  number = _check_number(name, value)
  known = tf.get_static_value(number)
  return tf.cast(number, tf.int32) if known is None else int(known)


def check_shape(
  name: str, value: tf.Tensor, shape: list[int | None] | tf.TensorShape
) -> tf.Tensor:
  """Check a shape, now or at run time, and make it known statically."""
  value = tf.convert_to_tensor(value)
  if not value.shape.is_compatible_with(shape):
    raise ValueError(
      f"{name} must have the shape {tf.TensorShape(shape)}. Received:"
      f" {value.shape}"
    )
  known = value.shape.is_fully_defined()
  return value if known else tf.ensure_shape(value, shape)


def _check_floating(name: str, embs: tf.Tensor) -> tf.Tensor:
  embs = tf.convert_to_tensor(embs)
  if not embs.dtype.is_floating:
    raise ValueError(
      f"{name} must be floating-point. Received: dtype {embs.dtype.name}"
    )
  return embs if embs.dtype == tf.float64 else tf.cast(embs, tf.float32)


def _check_batch(
  embs: tf.Tensor, batch_size: int | tf.Tensor, cycle_length: int | tf.Tensor
) -> tf.Tensor:
  """Check the shape, and that a cycle finds enough sequences."""
  batch_size = check_whole_number("batch_size", batch_size)
  known = None if tf.is_tensor(batch_size) else batch_size
  embs = check_shape("embs [batch_size, T, D]", embs, [known, None, None])
  received = tf.shape(embs)[0] if embs.shape[0] is None else embs.shape[0]
  checks = _require(
    lambda count: count >= cycle_length,
    received,
    f"batch_size must be at least {cycle_length}, so that a cycle can pass"
    f" through {cycle_length} different sequences. Received:",
  )
  if known is None:
    checks += _require(
      lambda sizes: tf.equal(sizes[0], sizes[1]),
      tf.stack([received, batch_size]),
      "embs [batch_size, T, D] and batch_size must agree. Received:",
    )
  # Before anything else fails for the same reason.
  with tf.control_dependencies(checks):
    return tf.identity(embs)


def _check_number(
  name: str, value: Any, dtype: tf.DType | None = None
) -> tf.Tensor:
  """Check a number and its range; without a type it has to be whole."""
  # Through float32, the default for numbers, float64 would lose digits.
  if dtype and isinstance(value, numbers.Real):
    value = float(value)
  try:
    number = tf.convert_to_tensor(value, dtype_hint=dtype)
    fits = number.dtype.is_integer or (dtype and number.dtype.is_floating)
  except (TypeError, ValueError):
    fits = False
  if not fits:
    expected = "a number" if dtype else "a whole number"
    raise ValueError(f"{name} must be {expected}. Received: {value!r}")
  number = check_shape(name, number, [])
  if name in _RANGES:
    is_valid, expected = _RANGES[name]
    _require(is_valid, number, f"{name} must be {expected}. Received:")
  return tf.cast(number, dtype or number.dtype)


def _require(
  is_valid: Callable[[Any], Any], value: int | tf.Tensor, message: str
) -> list[tf.Operation]:
  """Check a value now if it is known, else at run time; XLA leaves this out.

  Returns:
    The assertion of the graph, if it takes one.
  """
  known = tf.get_static_value(value)
  condition = is_valid(value if known is None else known)
  if tf.is_tensor(condition):
    return [tf.debugging.Assert(condition, [message, value])]
  if not condition:
    raise ValueError(f"{message} {known}")
  return []
