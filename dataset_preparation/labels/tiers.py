"""From the segments of a label file to the labels of a video.

A file may hold several tiers: what several annotators drew, or subjects did.
"""

import itertools
import operator
import re
from collections.abc import Sequence

from core.errors import UserError
from dataset_preparation.labels import types
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.segments import Segment, merge_annotators
from dataset_preparation.labels.types import RawSegment, SegmentedVideo, Unit


def merge_tiers(
  raw: Sequence[RawSegment],
  where: str,
  labeling: Labeling,
  unit: Unit = types.SECONDS,
  is_lenient: bool = False,
) -> SegmentedVideo:
  """Label a video by its segments, averaged over tiers.

  Args:
    raw: Segments of all tiers, in the order of the file.
    where: File and video, for messages.
    labeling: How videos are labeled.
    unit: What the bounds count.
    is_lenient: Whether segments of a tier may overlap or end before they start.
      Tiers are then compared by their labels, each of which comes once.

  Returns:
    The labels.

  Raises:
    UserError: The wanted tier is missing, tiers differ in their phases, or a
      segment overlaps another or ends before it starts.
  """
  wanted = labeling.options.label_tier
  kept = [
    one._replace(label=labeling.number(one.phase, one.where))
    for one in raw
    if not wanted or wanted in one.tier
  ]
  if not kept:
    known = dict.fromkeys(one.show_tier() for one in raw)
    raise UserError(
      f"{where}: expected a tier of {', '.join(filter(None, known)) or 'none'},"
      f" received {wanted!r}; correct --label_tier"
    )
  tiers: dict[str, list[RawSegment]] = {one.show_tier(): [] for one in kept}
  order = ("label", "start", "end") if is_lenient else ("start",)
  for one in sorted(kept, key=operator.attrgetter(*order)):
    tiers[one.show_tier()].append(one)
  if len({tuple(one.label for one in tier) for tier in tiers.values()}) > 1:
    listed = "; ".join(
      f"{name or 'unnamed'}: {', '.join(str(one.phase) for one in tier)}"
      for name, tier in tiers.items()
    )
    raise UserError(
      f"{where}: expected the same labels in the same order from each tier,"
      f" received {listed}; choose one with --label_tier"
    )
  if not is_lenient:
    for tier in tiers.values():
      _check_order(tier, unit)
  fill = labeling.options.outside_segments == "neighbor"
  drawn = [
    [Segment(one.label, one.start, one.end + unit.last) for one in tier]
    for tier in tiers.values()
  ]
  segments = merge_annotators(drawn, close_gaps=fill)
  return SegmentedVideo(where, segments, kept, unit, fill)


def _check_order(tier: Sequence[RawSegment], unit: Unit) -> None:
  """Check that segments are in order; see `merge_tiers`."""
  for one in tier:
    # Neither is true of what has no time.
    if not one.start < one.end + unit.last:
      raise UserError(
        f"{one.where}: expected an end after the start at"
        f" {unit.show(one.start)}, received {unit.show(one.end)}; correct it"
      )
  for before, after in itertools.pairwise(tier):
    if after.start < before.end + unit.last - unit.overlap:
      raise UserError(
        f"{after.where}: expected segments that don't overlap, received a start"
        f" at {unit.show(after.start)} before the end at"
        f" {unit.show(before.end)} of {re.split(', |: ', before.where)[-1]};"
        " correct it"
      )
