"""The temporal cycle-consistency loss, for anyone's embeddings."""

import tensorflow as tf

from tcc.arguments import check_loss_arguments, check_whole_number
from tcc.deterministic_alignment import mean_over_pairs
from tcc.settings import LossSettings
from tcc.stochastic_alignment import mean_over_cycles


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

  A frame finds its soft nearest neighbor in another sequence, and that one its
  own in the first sequence. The loss says how far from its start this cycle
  ends. It is computed in float32 at least, whatever the type of `embs`. With
  all pairs, `tcc.deterministic_alignment.MAX_PAIRWISE_ELEMENTS` bounds memory.

  GPUs multiply float32 matrices in TF32 unless told otherwise, which rounds to
  11 bits what it multiplies; distances are taken around the mean embedding, so
  that only their own size is rounded. The loss then agrees to about 1e-3; call
  `tf.config.experimental.enable_tensor_float_32_execution(False)` for more.

  Beware of embedders that can count: a recurrent or position-encoding network
  can number the frames without looking at them, which solves the loss.

  Args:
    embs: [N, T, D] floating-point embeddings of N sequences.
    batch_size: N, at least `cycle_length`.
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
    ValueError: An argument has the wrong shape, type or range. What is known
      only when a graph runs is an `InvalidArgumentError` then, except under
      XLA, which leaves assertions out: such a loss is NaN or means nothing.

  Example:
    >>> embs = tf.random.normal([4, 20, 128])
    >>> loss = compute_alignment_loss(embs, batch_size=4,
    ...                               loss_type="regression_mse_var")
  """
  numbers = temperature, label_smoothing, variance_lambda, huber_delta
  kinds = loss_type, similarity_type
  settings = LossSettings(*kinds, *numbers, normalize_indices)
  cycle_length = check_whole_number("cycle_length", cycle_length)
  embs, times, settings = check_loss_arguments(
    embs, steps, seq_lens, None, batch_size, cycle_length, settings
  )
  if normalize_embeddings:
    embs = tf.math.l2_normalize(embs, axis=-1)
  if not stochastic_matching:
    return mean_over_pairs(embs, times, settings)
  return mean_over_cycles(embs, times, num_cycles, cycle_length, seed, settings)
