"""The settings that all losses of the library share."""

import dataclasses

import tensorflow as tf

LOSS_TYPES = (
  "classification",
  "regression_mse",
  "regression_mse_var",
  "regression_huber",
)
SIMILARITY_TYPES = ("l2", "cosine")
# The settings that are numbers: gradients may flow into them.
NUMBERS = ("temperature", "label_smoothing", "variance_lambda", "huber_delta")


@dataclasses.dataclass(frozen=True)
class LossSettings:
  """Settings of a loss; see `compute_alignment_loss`.

  Attributes:
    loss_type: One of `LOSS_TYPES`.
    similarity_type: One of `SIMILARITY_TYPES`.
    temperature: Divides the similarities; positive.
    label_smoothing: Share of the target of `classification` that is spread
      evenly over all frames, 0 to 1.
    variance_lambda: Weight of log variance in `regression_mse_var`.
    huber_delta: Where `regression_huber` turns from square to linear;
      positive.
    normalize_indices: Whether times are divided by the sequences' lengths.
  """

  loss_type: str = "classification"
  similarity_type: str = "l2"
  temperature: float | tf.Tensor = 0.1
  label_smoothing: float | tf.Tensor = 0.1
  variance_lambda: float | tf.Tensor = 0.001
  huber_delta: float | tf.Tensor = 0.1
  normalize_indices: bool = True
