"""From the segments of a label file to the labels of a video.

A file may hold several tiers: what several annotators drew, or subjects did.
"""

import re
from collections.abc import Sequence

from core.errors import UserError
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.segments import Segment, merge_annotators
from dataset_preparation.labels.types import (
  SECONDS,
  RawSegment,
  SegmentedVideo,
  Unit,
)


def merge_tiers(
  raw: Sequence[RawSegment],
  where: str,
  labeling: Labeling,
  unit: Unit = SECONDS,
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
  tiers: dict[str, list[tuple[Segment, RawSegment]]] = {}
  for one in raw:
    if not wanted or wanted in one.tier:
      label = labeling.number(one.phase, one.where)
      segment = Segment(label, one.start, one.end + unit.last)
      tiers.setdefault(one.show_tier(), []).append((segment, one))
  if not tiers:
    known = dict.fromkeys(one.show_tier() for one in raw)
    raise UserError(
      f"{where}: expected a tier of {', '.join(filter(None, known)) or 'none'},"
      f" received {wanted!r}; correct --label_tier"
    )
  for pairs in tiers.values():
    pairs.sort(key=lambda pair: pair[0] if is_lenient else pair[0].start)
  drawn = [[segment for segment, _ in pairs] for pairs in tiers.values()]
  if len({tuple(s.label for s in segments) for segments in drawn}) > 1:
    listed = "; ".join(
      f"{tier or 'unnamed'}: {', '.join(str(one.phase) for _, one in pairs)}"
      for tier, pairs in tiers.items()
    )
    raise UserError(
      f"{where}: expected the same labels in the same order from each tier,"
      f" received {listed}; choose one with --label_tier"
    )
  if not is_lenient:
    for pairs in tiers.values():
      _check_order(pairs, unit)
  fill = labeling.options.outside_segments == "neighbor"
  segments = merge_annotators(drawn, close_gaps=fill)
  kept = [one for pairs in tiers.values() for _, one in pairs]
  return SegmentedVideo(where, segments, kept, unit, fill)


def _check_order(
  pairs: Sequence[tuple[Segment, RawSegment]], unit: Unit
) -> None:
  """Check that segments are in order; see `merge_tiers`."""
  for segment, one in pairs:
    # Neither is true of what has no time.
    if not segment.start < segment.end:
      raise UserError(
        f"{one.where}: expected an end after the start at"
        f" {unit.show(one.start)}, received {unit.show(one.end)}; correct it"
      )
  for (segment, before), (_, after) in zip(pairs, pairs[1:], strict=False):
    if after.start < segment.end - unit.overlap:
      raise UserError(
        f"{after.where}: expected segments that don't overlap, received a start"
        f" at {unit.show(after.start)} before the end at"
        f" {unit.show(before.end)} of {re.split(', |: ', before.where)[-1]};"
        " correct it"
      )
