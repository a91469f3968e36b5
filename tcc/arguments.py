"""What all public functions of the library check of their arguments.

What is known before a graph runs raises a `ValueError`. What is known only when
it runs, such as the value of a variable, ends the run with an
`InvalidArgumentError`, except under XLA, which leaves assertions out.
"""

import numbers
from typing import Any

import tensorflow as tf

from tcc.losses import LOSS_TYPES
from tcc.similarity import SIMILARITY_TYPES

_CHOICES = {"loss_type": LOSS_TYPES, "similarity_type": SIMILARITY_TYPES}
# Each holds for numbers as for tensors.
_RANGES = {
  "temperature": (lambda x: x > 0, "positive"),
  "label_smoothing": (lambda x: (x >= 0) & (x <= 1), "from 0 to 1"),
  "variance_lambda": (lambda x: x >= 0, "at least 0"),
  "huber_delta": (lambda x: x > 0, "positive"),
  "num_cycles": (lambda x: x >= 1, "at least 1"),
  "cycle_length": (lambda x: x >= 2, "at least 2"),
}


def checked_embeddings(name: str, embs: tf.Tensor) -> tf.Tensor:
  """Embeddings in float32, or float64 if that is what they are.

  Args:
    name: Of the argument, for the message.
    embs: Floating-point numbers.

  Returns:
    A tensor.

  Raises:
    ValueError: They are of another type.
  """
  embs = tf.convert_to_tensor(embs)
  if not embs.dtype.is_floating:
    raise ValueError(
      f"{name} must be floating-point. Received: dtype {embs.dtype.name}"
    )
  return embs if embs.dtype == tf.float64 else tf.cast(embs, tf.float32)


def check_choices(**choices: str) -> None:
  """Raises a ValueError if one is not among those of its name."""
  for name, value in choices.items():
    if value not in _CHOICES[name]:
      raise ValueError(
        f"{name} must be one of {', '.join(_CHOICES[name])}. Received:"
        f" {value!r}"
      )


def checked_number(
  name: str, value: float | tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
  """A number in the range of its name.

  Args:
    name: Of the argument.
    value: A number, a variable or a scalar tensor.
    dtype: Type of the result.

  Returns:
    A scalar tensor.

  Raises:
    ValueError: It is no number, or outside its range.
  """
  # Through float32, the default for numbers, float64 would lose digits.
  plain = isinstance(value, numbers.Real)
  number = _scalar(name, float(value) if plain else value, "a number", dtype)
  if not (number.dtype.is_floating or number.dtype.is_integer):
    raise ValueError(f"{name} must be a number. Received: {value!r}")
  _check_range(name, number)
  return tf.cast(number, dtype)


def whole_number(name: str, value: int | tf.Tensor) -> int | tf.Tensor:
  """A whole number in the range of its name.

  Args:
    name: Of the argument.
    value: An integer or a scalar tensor of integers.

  Returns:
    An integer if it is known before the graph runs, else an int32 tensor.

  Raises:
    ValueError: It is no whole number, or outside its range.
  """
  number = _scalar(name, value, "a whole number")
  if not number.dtype.is_integer:
    raise ValueError(f"{name} must be a whole number. Received: {value!r}")
  _check_range(name, number)
  known = tf.get_static_value(number)
  return tf.cast(number, tf.int32) if known is None else int(known)


def checked_batch(
  embs: tf.Tensor, batch_size: int | tf.Tensor, cycle_length: int | tf.Tensor
) -> tf.Tensor:
  """Checks that a batch has enough sequences for a cycle.

  Args:
    embs: [N, T, D] embeddings.
    batch_size: N.
    cycle_length: Different sequences in a cycle.

  Returns:
    The embeddings, with N as known as `batch_size` is.

  Raises:
    ValueError: The shape is another, or N is less than `cycle_length`.
  """
  batch_size = whole_number("batch_size", batch_size)
  cycle_length = whole_number("cycle_length", cycle_length)
  known = None if tf.is_tensor(batch_size) else batch_size
  embs = with_shape("embs [batch_size, T, D]", embs, [known, None, None])
  enough = (
    f"batch_size must be at least {cycle_length}, so that a cycle can pass"
    f" through {cycle_length} different sequences. Received:"
  )
  received = embs.shape[0]
  if received is not None and received < cycle_length:
    raise ValueError(f"{enough} {received}")
  if received is not None and known is not None:
    return embs
  received = tf.shape(embs)[0]
  checks = [
    _assert(received >= cycle_length, enough, received),
    _assert(
      tf.equal(received, batch_size),
      "embs [batch_size, T, D] and batch_size must agree. Received:",
      [received, batch_size],
    ),
  ]
  # Before anything else fails for the same reason.
  with tf.control_dependencies(checks):
    return tf.identity(embs)


def checked_pair(
  embs1: tf.Tensor, embs2: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Checks the embeddings of two sequences.

  Args:
    embs1: [..., M, D] embeddings.
    embs2: [..., N, D] embeddings.

  Returns:
    Both, in the more precise of their types.

  Raises:
    ValueError: They are not floating-point, or their shapes don't go together.
  """
  embs1 = checked_embeddings("embs1", embs1)
  embs2 = checked_embeddings("embs2", embs2)
  shapes = embs1.shape, embs2.shape
  same_size = shapes[0][-1:].is_compatible_with(shapes[1][-1:])
  if any(shape.rank in (0, 1) for shape in shapes) or not same_size:
    raise ValueError(
      "embs1 and embs2 must have the shapes [..., M, D] and [..., N, D]."
      f" Received: {shapes[0]} and {shapes[1]}"
    )
  dtype = max(embs1.dtype, embs2.dtype, key=lambda dtype: dtype.size)
  return tf.cast(embs1, dtype), tf.cast(embs2, dtype)


def checked_loss_arguments(
  embs: tf.Tensor,
  steps: tf.Tensor,
  seq_lens: tf.Tensor,
  num_steps: int | tf.Tensor,
  batch_size: int | tf.Tensor,
  cycle_length: int | tf.Tensor,
  loss_type: str,
  similarity_type: str,
  **numbers_of_loss: float | tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
  """Checks what the losses of both kinds of matching take.

  Args:
    embs: [N, T, D] embeddings.
    steps: [N, T] index of each frame in its sequence.
    seq_lens: [N] lengths of the sequences.
    num_steps: T.
    batch_size: N.
    cycle_length: Different sequences in a cycle.
    loss_type: One of `tcc.losses.LOSS_TYPES`.
    similarity_type: One of `tcc.similarity.SIMILARITY_TYPES`.
    **numbers_of_loss: Such as `temperature`.

  Returns:
    Embeddings, steps and lengths of known shapes, and the numbers in their
    order and in the type of the embeddings.

  Raises:
    ValueError: One is not as it should be.
  """
  check_choices(loss_type=loss_type, similarity_type=similarity_type)
  embs = checked_embeddings("embs", embs)
  embs = checked_batch(embs, batch_size, cycle_length)
  num_steps = whole_number("num_steps", num_steps)
  if not tf.is_tensor(num_steps) and embs.shape[1] not in (None, num_steps):
    raise ValueError(
      f"num_steps must be {embs.shape[1]}, as embs says. Received: {num_steps}"
    )
  return (
    embs,
    with_shape("steps [batch_size, T]", steps, embs.shape[:2]),
    with_shape("seq_lens [batch_size]", seq_lens, embs.shape[:1]),
    [
      checked_number(name, value, embs.dtype)
      for name, value in numbers_of_loss.items()
    ],
  )


def with_shape(
  name: str, value: tf.Tensor, shape: list[int | None] | tf.TensorShape
) -> tf.Tensor:
  """Checks a shape, now or at run time, and makes it known statically."""
  value = tf.convert_to_tensor(value)
  if not value.shape.is_compatible_with(shape):
    raise ValueError(
      f"{name} must have the shape {tf.TensorShape(shape)}. Received:"
      f" {value.shape}"
    )
  known = value.shape.is_fully_defined()
  return value if known else tf.ensure_shape(value, shape)


def _scalar(
  name: str, value: Any, expected: str, dtype: tf.DType | None = None
) -> tf.Tensor:
  """A tensor of no axes, if possible of the type."""
  try:
    number = tf.convert_to_tensor(value, dtype_hint=dtype)
  except (TypeError, ValueError) as error:
    raise ValueError(
      f"{name} must be {expected}. Received: {value!r}"
    ) from error
  return with_shape(name, number, [])


def _check_range(name: str, number: tf.Tensor) -> None:
  valid, expected = _RANGES.get(name, (None, None))
  if valid is None:
    return
  known = tf.get_static_value(number)
  message = f"{name} must be {expected}. Received:"
  if known is None:
    _assert(valid(number), message, number)
  elif not valid(known):
    raise ValueError(f"{message} {known}")


def _assert(
  condition: tf.Tensor, message: str, received: Any
) -> tf.Operation | None:
  """Checks at run time; XLA leaves this out."""
  return tf.debugging.Assert(condition, [message, received])
