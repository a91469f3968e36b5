"""What an alignment without labels is worth, in numbers and plain words."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from easydict import EasyDict

from embeddings.types import EmbeddedVideo
from evaluation.cycle_consistency import measure_cycles
from evaluation.kendalls_tau import describe, pairwise_taus

_GOOD_TAU, _POOR_TAU = 0.8, 0.5
# A pair below runs backwards.
_REVERSED_TAU = -0.5
# The loss of the last steps, as a share of that of the first, that is a fall.
_FALLEN = 0.7
_NUM_COMPARED = 5
_NUM_WORST = 3
_MORE_TIME = "train anew with more --minutes and another --output_dir"


@dataclasses.dataclass(frozen=True)
class Judgement:
  """How well videos are aligned.

  Attributes:
    tau: Mean Kendall's tau over the pairs that count, [-1, 1]; NaN where it is
      not defined.
    cycle_consistency: Share of their frames that return to themselves through
      another video.
    worst: Names of the videos that are least like the others, worst first.
    sentences: What to think of it.
  """

  tau: float
  cycle_consistency: float
  worst: tuple[str, ...]
  sentences: tuple[str, ...]


def judge(
  videos: Sequence[EmbeddedVideo],
  held_out: Collection[str],
  losses: Sequence[float],
  config: EasyDict,
) -> Judgement:
  """Judge an alignment by the order of matches and by cycles.

  Args:
    videos: All videos, with finite embeddings.
    held_out: Names of those that were not trained on; of fewer than two, all
      count.
    losses: Of the steps that were reported, in order; empty if the network was
      trained before.
    config: The EVAL section's stride and distance are used.

  Returns:
    The judgement.
  """
  stride = config.EVAL.KENDALLS_TAU_STRIDE
  distance = config.EVAL.KENDALLS_TAU_DISTANCE
  names = [video.name for video in videos]
  embs = [video.embs[::stride] for video in videos]
  taus = pairwise_taus(embs, distance)
  everything = range(len(names))
  counted = [i for i in everything if names[i] in held_out]
  are_held_out = len(counted) > 1
  counted = counted if are_held_out else everything
  chosen = taus[np.ix_(counted, counted)]
  defined = chosen[~np.isnan(chosen)]
  tau = float(defined.mean()) if len(defined) else math.nan
  embs_of_counted = [embs[i] for i in counted]
  cycles = measure_cycles(embs_of_counted, distance)
  means = describe(names, taus)["video_taus"]
  worst = tuple(means)[:_NUM_WORST]
  sentences = [
    *_describe_numbers(tau, cycles, embs_of_counted, are_held_out, losses),
    *_describe_loss(losses),
    *_describe_reversed(names, taus),
  ]
  if len(names) > _NUM_WORST:
    listed = ", ".join(f"{name} ({means[name]:.2f})" for name in worst)
    sentences.append(
      f"Least like the others, by their mean tau: {listed}. Look at these"
      " first, and leave out those that show another action."
    )
  return Judgement(tau, cycles["2way"], worst, tuple(sentences))


def _describe_numbers(
  tau: float,
  cycles: Mapping[str, float],
  videos: Sequence[np.ndarray],
  are_held_out: bool,
  losses: Sequence[float],
) -> list[str]:
  """Say what the measures of videos are and mean."""
  count, chance = len(videos), np.mean([1 / len(embs) for embs in videos])
  kind = (
    "held-out videos, which were not trained on" if are_held_out else "videos"
  )
  numbers = (
    f"Kendall's tau over {count} {kind}: {tau:.2f} (1 = all frames matched in"
    f" order, 0 = no order); cycle-consistency: {cycles['2way']:.2f} of their"
    " frames return exactly to themselves through another video (by chance"
    f" {chance:.2f}); on average they end {cycles['error']:.0%} of their own"
    " video's length from where they began."
  )
  if tau >= _GOOD_TAU:
    verdict = "The order of the matches is good."
  elif tau >= _POOR_TAU:
    verdict = (
      "The order of the matches is right for the most part only: check by eye"
      f" what you rely on. Add videos, or {_MORE_TIME}."
    )
  else:
    verdict = (
      "⚠ Do not believe this alignment: the order of the matches is poor. Check"
      " that all videos show the same action from about the same side, cut"
      " away what comes before and after it, add videos, or"
      f" {_MORE_TIME}."
    )
  sentences = [numbers, verdict]
  if losses and not are_held_out:
    sentences.append(
      f"⚠ Too few of the {count} videos were held out: these are numbers of"
      " videos that were trained on, and flatter. Add videos of the same"
      " action: 10 at least, 50 are better."
    )
  return sentences


def _describe_loss(losses: Sequence[float]) -> list[str]:
  """Say so if the loss did not fall."""
  if len(losses) < 2:
    return []
  first = float(np.mean(losses[: min(2, len(losses) // 2)]))
  last = float(np.mean(losses[-_NUM_COMPARED:]))
  if last < _FALLEN * first:
    return []
  return [
    f"⚠ The loss did not fall as it should ({first:.2f} at first, {last:.2f} at"
    f" the end): {_MORE_TIME}, or check that the videos show the same action."
  ]


def _describe_reversed(names: Sequence[str], taus: np.ndarray) -> list[str]:
  """Say so if pairs run backwards."""
  pairs = np.argwhere(taus < _REVERSED_TAU)
  if not len(pairs):
    return []
  first, second = (names[i] for i in pairs[0])
  share = len(pairs) / (len(names) * (len(names) - 1))
  return [
    f"⚠ {share:.0%} of the pairs, such as {first} and {second}, are matched"
    " backwards: one of them is mirrored or played in reverse, or the action"
    " looks the same in both directions. Leave these videos out, or give --set"
    " AUGMENTATION.RANDOM_FLIP=False and another --output_dir."
  ]
