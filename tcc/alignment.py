"""The temporal cycle-consistency loss, for anyone's embeddings."""

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
) -> tf.Tensor:
  """Temporal cycle-consistency loss of a batch (paper, sections 3.2 and 3.3).

  A frame finds its soft nearest neighbour in another sequence, and that one its
  own in the first sequence. The loss says how far from its start this cycle
  ends. It is computed in float32 at least, whatever the type of `embs`.

  Beware of embedders that can count: a recurrent or position-encoding network
  can number the frames without looking at them, which solves the loss.

  Args:
    embs: [N, T, D] floating-point embeddings of N sequences.
    batch_size: N, at least 2.
    steps: [N, T] index of each frame in its sequence; 0..T-1 if None.
    seq_lens: [N] lengths of the sequences the frames were sampled from; T if
      None.
    stochastic_matching: Random cycles instead of all ordered pairs.
    normalize_embeddings: Whether embeddings are scaled to length 1 first.
    loss_type: `classification`, `regression_mse`, `regression_mse_var` (the
      paper's TCC) or `regression_huber`.
    similarity_type: `l2`, negative squared distance, or `cosine`, inner
      product.
    num_cycles: Random cycles to draw, with `stochastic_matching`.
    cycle_length: Sequences in such a cycle, 2 to N.
    temperature: Divides the similarities; positive.
    label_smoothing: For `classification`, 0 to 1.
    variance_lambda: Weight of log variance in `regression_mse_var`.
    huber_delta: Where `regression_huber` turns from square to linear.
    normalize_indices: Whether a regression loss divides time by `seq_lens`.

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
  _check_options(loss_type, similarity_type, temperature)
  _check_batch(batch_size, cycle_length if stochastic_matching else 2)
  num_steps = embs.shape[1] or tf.shape(embs)[1]
  steps, seq_lens = _frame_positions(
    embs, steps, seq_lens, batch_size, num_steps
  )
  if normalize_embeddings:
    embs = tf.math.l2_normalize(embs, axis=-1)
  options = {
    "embs": embs,
    "steps": steps,
    "seq_lens": seq_lens,
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
      num_cycles=num_cycles, cycle_length=cycle_length, **options
    )
  return compute_deterministic_alignment_loss(**options)


def _check_options(
  loss_type: str, similarity_type: str, temperature: float
) -> None:
  if loss_type not in LOSS_TYPES:
    raise ValueError(
      f"loss_type must be one of {', '.join(LOSS_TYPES)}. Received:"
      f" {loss_type!r}"
    )
  if similarity_type not in SIMILARITY_TYPES:
    raise ValueError(
      f"similarity_type must be one of {', '.join(SIMILARITY_TYPES)}."
      f" Received: {similarity_type!r}"
    )
  if not tf.is_tensor(temperature) and temperature <= 0:
    raise ValueError(f"temperature must be positive. Received: {temperature}")


def _check_batch(batch_size: int | tf.Tensor, cycle_length: int) -> None:
  if cycle_length < 2:
    raise ValueError(
      f"cycle_length must be at least 2. Received: {cycle_length}"
    )
  if not tf.is_tensor(batch_size) and batch_size < cycle_length:
    raise ValueError(
      f"batch_size must be at least {cycle_length}, so that a cycle can pass"
      f" through {cycle_length} different sequences. Received: {batch_size}"
    )


def _frame_positions(
  embs: tf.Tensor,
  steps: tf.Tensor | None,
  seq_lens: tf.Tensor | None,
  batch_size: int | tf.Tensor,
  num_steps: int | tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Fills in default steps and lengths and checks all shapes."""
  if steps is None:
    steps = tf.broadcast_to(tf.range(num_steps), [batch_size, num_steps])
  if seq_lens is None:
    seq_lens = tf.fill([batch_size], num_steps)
  steps, seq_lens = tf.convert_to_tensor(steps), tf.convert_to_tensor(seq_lens)
  static_batch = None if tf.is_tensor(batch_size) else batch_size
  for name, tensor, expected in (
    ("embs", embs, [static_batch, None, None]),
    ("steps", steps, [static_batch, embs.shape[1]]),
    ("seq_lens", seq_lens, [static_batch]),
  ):
    if not tensor.shape.is_compatible_with(expected):
      raise ValueError(
        f"{name} must have the shape {expected}. Received: shape"
        f" {tensor.shape.as_list()}"
      )
  return steps, seq_lens
