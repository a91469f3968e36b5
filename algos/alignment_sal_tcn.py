"""Weighted combinations of TCC, Shuffle and Learn, and TCN (paper, 5.3)."""

import tensorflow as tf
from easydict import EasyDict

from algos import alignment, sal, tcn
from algos.algorithm import Algorithm
from core.errors import UserError
from data.sampling import PositivePairSampler

# Below this a weight is what rounding leaves of 1 - 0.7 - 0.3.
_MIN_WEIGHT = 1e-9


class AlignmentSalTcn(Algorithm):
  """Trains with a weighted sum of losses; one of weight 0 costs nothing."""

  def __init__(self, config: EasyDict) -> None:
    """Builds the network, and SaL's classifier if that has a weight."""
    weights = loss_weights(config.ALIGNMENT_SAL_TCN)
    if weights["alignment"]:
      alignment.check_settings(config)
    if weights["sal"]:
      sal.check_num_frames(config)
    super().__init__(config)
    self._weights = {name: w for name, w in weights.items() if w}
    if weights["tcn"]:
      self.sampler = PositivePairSampler(
        config.DATA, config.TCN.POSITIVE_WINDOW
      )
    if weights["sal"]:
      self.head = sal.build_head(config, self.emb.embedding_size)
    self._alignment_loss = alignment.build_loss(config)
    self._sal_loss = sal.build_loss(config, self.head)
    self._tcn_loss = tcn.build_loss(config)

  def compute_losses(
    self, embs: tf.Tensor, batch: dict[str, tf.Tensor], training: bool
  ) -> dict[str, tf.Tensor]:
    """The weighted sum, and each loss that has a weight, unweighted.

    TCN takes pairs of positive and anchor; the others take one frame of each
    pair, in a video either all positives or all anchors.
    """
    losses = {}
    steps = batch["steps"]
    if "tcn" in self._weights:
      losses["tcn"] = self._tcn_loss(embs)
    if "tcn" in self._weights and len(self._weights) > 1:
      seed = self.seed(batch, training)
      embs, steps = _one_of_each_pair(embs, steps, seed)
    if "alignment" in self._weights:
      losses["alignment"] = self._alignment_loss(
        embs, steps, batch["seq_lens"], self.seed(batch, training)
      )
    if "sal" in self._weights:
      seed = self.seed(batch, training)
      losses["sal"] = self._sal_loss(embs, steps, seed, training)
    total = sum(self._weights[name] * loss for name, loss in losses.items())
    parts = {
      f"alignment_sal_tcn/{name}_loss": loss for name, loss in losses.items()
    }
    return {"loss": total, **parts}


def loss_weights(settings: EasyDict) -> dict[str, float]:
  """Weights of the three losses.

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
      " at least 0 that sum to at most 1, TCN gets the rest; received"
      f" {first} and {second}"
    )
  weights = {"alignment": first, "sal": second, "tcn": rest}
  return {
    name: weight if weight > _MIN_WEIGHT else 0.0
    for name, weight in weights.items()
  }


def _one_of_each_pair(
  embs: tf.Tensor, steps: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Every second frame of [B, 2T, ...], in order of time.

  Whether all positives or all anchors is drawn for each video.
  """
  num_videos = tf.shape(steps)[0]
  odd = tf.random.stateless_uniform([num_videos], seed, 0, 2, tf.int32)
  places = tf.range(0, tf.shape(steps)[1], 2) + odd[:, None]
  steps = tf.gather(steps, places, batch_dims=1)
  # Of anchors close to each other the later may have the earlier positive.
  order = tf.argsort(steps, axis=1, stable=True)
  places = tf.gather(places, order, batch_dims=1)
  return (
    tf.gather(embs, places, batch_dims=1),
    tf.gather(steps, order, batch_dims=1),
  )
