"""The temporal cycle-consistency loss, for anyone's embeddings."""

from collections.abc import Callable

import tensorflow as tf

from tcc.deterministic_alignment import compute_deterministic_alignment_loss
from tcc.losses import LOSS_TYPES
from tcc.similarity import SIMILARITY_TYPES
from tcc.stochastic_alignment import compute_stochastic_alignment_loss


def compute_alignment_loss(
  embs: tf.Tensor,
  batch_size: int | tf.Tensor,
  steps: tf.Tensor | None = None,
  seq_lens: tf.Tensor | None = None,
  stochastic_matching: bool = False,
  normalize_embeddings: bool = False,
  loss_type: str = "classification",
  similarity_type: str = "l2",
  num_cycles: int = 20,
  cycle_length: int = 2,
  temperature: float = 0.1,
  label_smoothing: float = 0.1,
  variance_lambda: float = 0.001,
  huber_delta: float = 0.1,
  normalize_indices: bool = True,
  seed: tf.Tensor | None = None,
) -> tf.Tensor:
  """Temporal cycle-consistency loss of a batch (paper, sections 3.2 and 3.3).

  A frame finds its soft nearest neighbour in another sequence, and that one its
  own in the first sequence. The loss says how far from its start this cycle
  ends. It is computed in float32 at least, whatever the type of `embs`. With
  all pairs, `tcc.deterministic_alignment.MAX_PAIRWISE_ELEMENTS` bounds memory.

  Beware of embedders that can count: a recurrent or position-encoding network
  can number the frames without looking at them, which solves the loss.

  Args:
    embs: [N, T, D] floating-point embeddings of N sequences.
    batch_size: N, at least 2, and at least `cycle_length` if it is used.
    steps: [N, T] index of each frame in its sequence; 0..T-1 if None.
    seq_lens: [N] lengths of the sequences the frames were sampled from; T if
      None.
    stochastic_matching: Random cycles instead of all ordered pairs.
    normalize_embeddings: Whether embeddings are scaled to length 1 first.
    loss_type: `classification`, `regression_mse`, `regression_mse_var` (the
      paper's TCC) or `regression_huber`.
    similarity_type: `l2`, negative squared distance, or `cosine`, inner
      product.
    num_cycles: Random cycles to draw with `stochastic_matching`; at least 1.
    cycle_length: Different sequences in a random cycle, 2 to N.
    temperature: Divides the similarities; positive.
    label_smoothing: For `classification`, 0 to 1.
    variance_lambda: Weight of log variance in `regression_mse_var`.
    huber_delta: Where `regression_huber` turns from square to linear;
      positive.
    normalize_indices: Whether a regression loss divides time by `seq_lens`.
    seed: [2] integers that determine the random cycles, on every device alike;
      None draws others at each call.

  Returns:
    Scalar loss.

  Raises:
    ValueError: An argument has the wrong shape, type or range.

  Example:
    >>> embs = tf.random.normal([4, 20, 128])
    >>> loss = compute_alignment_loss(embs, batch_size=4,
    ...                               loss_type="regression_mse_var")
  """
  embs = tf.convert_to_tensor(embs)
  if not embs.dtype.is_floating:
    raise ValueError(
      f"embs must be floating-point. Received: dtype {embs.dtype.name}"
    )
  if embs.dtype != tf.float64:
    embs = tf.cast(embs, tf.float32)
  _check_choice("loss_type", loss_type, LOSS_TYPES)
  _check_choice("similarity_type", similarity_type, SIMILARITY_TYPES)
  _check_range("temperature", temperature, lambda x: x > 0, "positive")
  _check_range(
    "label_smoothing", label_smoothing, lambda x: 0 <= x <= 1, "from 0 to 1"
  )
  _check_range("huber_delta", huber_delta, lambda x: x > 0, "positive")
  static_batch_size = tf.get_static_value(batch_size)
  embs = _with_shape(
    "embs [batch_size, T, D]", embs, [static_batch_size, None, None]
  )
  if stochastic_matching:
    _check_range("num_cycles", num_cycles, lambda x: x >= 1, "at least 1")
    _check_range("cycle_length", cycle_length, lambda x: x >= 2, "at least 2")
    seed = None if seed is None else _with_shape("seed", seed, [2])
  _check_batch(embs.shape[0], cycle_length if stochastic_matching else 2)
  num_steps = embs.shape[1] or tf.shape(embs)[1]
  if steps is None:
    steps = tf.broadcast_to(tf.range(num_steps), [batch_size, num_steps])
  if seq_lens is None:
    seq_lens = tf.fill([batch_size], num_steps)
  if normalize_embeddings:
    embs = tf.math.l2_normalize(embs, axis=-1)
  options = {
    "embs": embs,
    "steps": _with_shape("steps [batch_size, T]", steps, embs.shape[:2]),
    "seq_lens": _with_shape("seq_lens [batch_size]", seq_lens, embs.shape[:1]),
    "num_steps": num_steps,
    "batch_size": batch_size,
    "loss_type": loss_type,
    "similarity_type": similarity_type,
    "temperature": temperature,
    "label_smoothing": label_smoothing,
    "variance_lambda": variance_lambda,
    "huber_delta": huber_delta,
    "normalize_indices": normalize_indices,
  }
  if stochastic_matching:
    return compute_stochastic_alignment_loss(
      num_cycles=num_cycles, cycle_length=cycle_length, seed=seed, **options
    )
  return compute_deterministic_alignment_loss(**options)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
  if value not in choices:
    raise ValueError(
      f"{name} must be one of {', '.join(choices)}. Received: {value!r}"
    )


def _check_range(
  name: str,
  value: float | tf.Tensor,
  valid: Callable[[float], bool],
  expected: str,
) -> None:
  """Checks a number, unless it is a tensor that has its value at run time."""
  value = tf.get_static_value(value)
  if value is not None and not valid(value):
    raise ValueError(f"{name} must be {expected}. Received: {value}")


def _check_batch(batch_size: int | None, cycle_length: int) -> None:
  if batch_size is not None and batch_size < cycle_length:
    raise ValueError(
      f"batch_size must be at least {cycle_length}, so that a cycle can pass"
      f" through {cycle_length} different sequences. Received: {batch_size}"
    )


def _with_shape(
  name: str, value: tf.Tensor, shape: list[int | None] | tf.TensorShape
) -> tf.Tensor:
  """Checks a shape, now or at run time, and makes it known statically."""
  value = tf.convert_to_tensor(value)
  if not value.shape.is_compatible_with(shape):
    raise ValueError(
      f"{name} must have the shape {tf.TensorShape(shape)}. Received:"
      f" {value.shape}"
    )
  return tf.ensure_shape(value, shape)
