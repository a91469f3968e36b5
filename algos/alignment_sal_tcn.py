"""Weighted combinations of TCC, Shuffle and Learn, and TCN (paper, 5.3)."""

import tensorflow as tf
from easydict import EasyDict

from algos.algorithm import Algorithm, Batch
from algos.alignment import AlignmentLoss
from algos.sal import SalLoss
from algos.tcn import TcnLoss, build_sampler
from core.errors import UserError

# Below this a weight is what rounding leaves of 1 - 0.7 - 0.3.
_MIN_WEIGHT = 1e-9
# In the order in which they draw their seeds. TCN comes first: it takes pairs.
_LOSSES = {"tcn": TcnLoss, "alignment": AlignmentLoss, "sal": SalLoss}


class AlignmentSalTcn(Algorithm):
  """Trains with a weighted sum of losses; one of weight 0 costs nothing."""

  def __init__(self, config: EasyDict) -> None:
    weights = compute_weights(config.ALIGNMENT_SAL_TCN)
    losses = {name: _LOSSES[name](config) for name in _LOSSES if weights[name]}
    sampler = build_sampler(config) if "tcn" in losses else None
    super().__init__(config, *losses.values(), sampler=sampler)
    self._parts = [(name, weights[name], losses[name]) for name in losses]

  def compute_losses(
    self, embs: tf.Tensor, batch: Batch, training: bool
  ) -> dict[str, tf.Tensor]:
    """Compute the weighted sum, and each loss that has a weight, unweighted.

    TCN takes pairs of positive and anchor; the others take one frame of each
    pair, in a video either all positives or all anchors.
    """
    total, parts, sampled = 0.0, {}, batch
    for name, weight, compute in self._parts:
      seed = self.seed(batch, training)
      loss = compute(embs, sampled, seed, training)
      if name == "tcn" and len(self._parts) > 1:
        embs, sampled = _take_one_of_each_pair(embs, batch, seed)
      total += weight * loss
      parts[f"alignment_sal_tcn/{name}_loss"] = loss
    return {"loss": total, **parts}


def compute_weights(settings: EasyDict) -> dict[str, float]:
  """Compute the weights of the three losses.

  Args:
    settings: The ALIGNMENT_SAL_TCN section.

  Returns:
    Weights of `alignment`, `sal` and `tcn`, which sum to 1.

  Raises:
    UserError: A weight is negative, or the first two sum to more than 1.
  """
  first, second = settings.ALIGNMENT_LOSS_WEIGHT, settings.SAL_LOSS_WEIGHT
  rest = 1.0 - first - second
  if min(first, second, rest) < -_MIN_WEIGHT:
    raise UserError(
      "ALIGNMENT_SAL_TCN: expected ALIGNMENT_LOSS_WEIGHT and SAL_LOSS_WEIGHT of"
      " at least 0 that sum to at most 1, received"
      f" {first} and {second}; lower them, TCN gets the rest"
    )
  weights = {"alignment": first, "sal": second, "tcn": rest}
  return {name: x if x > _MIN_WEIGHT else 0.0 for name, x in weights.items()}


def _take_one_of_each_pair(
  embs: tf.Tensor, batch: Batch, seed: tf.Tensor
) -> tuple[tf.Tensor, Batch]:
  """Take every second frame of [B, 2T, ...], in order of time.

  Whether all positives or all anchors is drawn for each video.
  """
  steps = batch["steps"]
  num_videos = tf.shape(steps)[0]
  odd = tf.random.stateless_uniform([num_videos], seed, 0, 2, tf.int32)
  places = tf.range(0, tf.shape(steps)[1], 2) + odd[:, None]
  steps = tf.gather(steps, places, batch_dims=1)
  # Of anchors close to each other the later may have the earlier positive.
  order = tf.argsort(steps, axis=1, stable=True)
  places = tf.gather(places, order, batch_dims=1)
  steps = tf.gather(steps, order, batch_dims=1)
  return tf.gather(embs, places, batch_dims=1), batch | {"steps": steps}
