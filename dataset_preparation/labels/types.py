"""Labels of one video: as segments, or for its frames one by one."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import UserError
from dataset_preparation.labels.segments import Segment, label_times


class Extent(NamedTuple):
  """Length of a source video.

  Attributes:
    num_frames: Number of frames, including dropped ones.
    seconds: Time from the first frame to the end of the last.
  """

  num_frames: int
  seconds: float


class Unit(NamedTuple):
  """What the bounds of segments count, from 0 at the first frame.

  Attributes:
    text: Shows a bound, for messages.
    is_time: Whether they are seconds and not numbers of frames.
    slack: How far a segment may end after its video.
    overlap: How far a segment may start before the end of the one before.
  """

  text: str
  is_time: bool
  slack: float
  overlap: float = 0

  @property
  def last(self) -> int:
    """How far the first instant after a segment lies from its end."""
    return 0 if self.is_time else 1

  def show(self, bound: float) -> str:
    """Return a bound as text."""
    return self.text.format(round(bound, 3))


# What was annotated in another player rarely ends exactly at the last frame.
SECONDS = Unit("{:.10g} s", is_time=True, slack=0.5)
# Ends are the last frame of a segment.
FRAMES = Unit("frame {:.10g}", is_time=False, slack=0)
# Counted by a player from the duration and a rate.
PLAYER_FRAMES = FRAMES._replace(slack=15, overlap=1)


class RawSegment(NamedTuple):
  """A segment as the label file has it.

  Attributes:
    where: File, video and row or label, for messages.
    start: Start, in a `Unit`.
    end: End, in the same; infinite where the file leaves it open.
    phase: Number or name of the phase.
    tier: Names of what it was drawn in or by: tier, subject, annotator.
    label: Number of the phase, once it is known.
  """

  where: str
  start: float
  end: float
  phase: str
  tier: tuple[str, ...] = ()
  label: int = -1

  def show_tier(self) -> str:
    """Return the names of the tier as one."""
    return " / ".join(filter(None, self.tier))


@dataclasses.dataclass(frozen=True)
class SegmentedVideo:
  """Phases of a video as segments.

  Attributes:
    where: File and video, for messages.
    segments: In order of start.
    raw_segments: The segments of the file that they were made of.
    unit: What the bounds count.
    fill_outside: Whether frames before the first and after the last segment
      have the label of these.
  """

  where: str
  segments: Sequence[Segment]
  raw_segments: Sequence[RawSegment]
  unit: Unit = SECONDS
  fill_outside: bool = True

  def label_frames(
    self, times: Sequence[float], indices: Sequence[int], extent: Extent
  ) -> list[int]:
    """Label the frames that are kept.

    Args:
      times: [F] seconds of the frames, from the first frame of the source.
      indices: [F] numbers of the frames in the source.
      extent: Length of the source.

    Returns:
      [F] labels.

    Raises:
      UserError: A segment lies beyond the end of the video.
    """
    unit = self.unit
    length = extent.seconds if unit.is_time else extent.num_frames
    for one in self.raw_segments:
      # To the microsecond, so that rounding doesn't decide.
      if round(one.start + unit.last - length, 6) > 0:
        wanted, bound = f"a start before {unit.show(length)}", one.start
      elif length + unit.slack < one.end + unit.last < math.inf:
        last = unit.show(length - unit.last)
        wanted, bound = f"an end of at most {last}", one.end
      else:
        continue
      raise UserError(
        f"{one.where}: expected {wanted}, where the video ends, received"
        f" {unit.show(bound)}; correct it{self._suggest(extent)}"
      )
    positions = times if unit.is_time else indices
    return label_times(self.segments, positions, self.fill_outside)

  def _suggest(self, extent: Extent) -> str:
    """Suggest what segments that lie beyond the end may be in."""
    ends = (one.end for one in self.raw_segments if one.end < math.inf)
    end = max(ends, default=0) if self.unit.is_time else 0
    if extent.num_frames / 2 < end <= extent.num_frames:
      return ", perhaps in frames, which start_frame,end_frame take"
    if 10 * extent.seconds < end <= 1000 * (extent.seconds + self.unit.slack):
      return ", perhaps in milliseconds"
    return ""


@dataclasses.dataclass(frozen=True)
class LabeledFrames:
  """Phases of a video as one label per frame.

  Attributes:
    where: File and video, for messages.
    labels: One for every frame of the source.
    resample: Whether there may be another number of labels than frames, of
      which each gets the nearest.
    is_partial: Whether there may be less labels than frames, of which the last
      have none then.
  """

  where: str
  labels: Sequence[int]
  resample: bool = False
  is_partial: bool = False

  def label_frames(
    self, times: Sequence[float], indices: Sequence[int], extent: Extent
  ) -> list[int]:
    """Label the frames that are kept; see `SegmentedVideo.label_frames`.

    Raises:
      UserError: There is not one label for every frame of the source.
    """
    labels, num_frames = self.labels, extent.num_frames
    if self.is_partial:
      if len(labels) > num_frames:
        raise UserError(
          f"{self.where}: expected a frame from 0 to {num_frames - 1}, the last"
          f" of the video, received {len(labels) - 1}; correct it"
        )
      labels = [*labels, *[-1] * (num_frames - len(labels))]
    elif len(labels) != num_frames and not self.resample:
      raise UserError(
        f"{self.where}: expected one label for each of the video's"
        f" {num_frames} frames, received {len(labels)}; correct it, or give"
        " --resample_labels"
      )
    # Each label stands for as many frames, or for a part of one.
    middles = (2 * index + 1 for index in indices)
    return [labels[x * len(labels) // (2 * num_frames)] for x in middles]


VideoLabels = SegmentedVideo | LabeledFrames
