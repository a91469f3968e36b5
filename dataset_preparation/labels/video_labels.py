"""Labels of one video: segments, or one a frame; what they give its frames."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import UserError
from dataset_preparation.labels.segments import Segment, label_frames

# A segment may end so many seconds after its video: what was annotated in
# another player rarely ends at the last frame exactly.
_SLACK = 0.5


class Extent(NamedTuple):
  """How much a video shows.

  Attributes:
    num_frames: Its frames, those that are dropped too.
    seconds: From its first frame to the end of its last.
  """

  num_frames: int
  seconds: float


class RawSegment(NamedTuple):
  """A segment as it stands in the file.

  Attributes:
    where: File, video and row or label, for messages.
    start: In seconds.
    end: In seconds.
  """

  where: str
  start: float
  end: float


@dataclasses.dataclass(frozen=True)
class SegmentedVideo:
  """Phases of a video as segments.

  Attributes:
    where: File and video, for messages.
    segments: In order of start, each ending where the next starts.
    drawn: What they were made of.
  """

  where: str
  segments: list[Segment]
  drawn: tuple[RawSegment, ...]

  def of_frames(
    self, times: Sequence[float], indices: Sequence[int], extent: Extent
  ) -> list[int]:
    """Labels frames.

    Args:
      times: [F] seconds of the frames from the first one of the source.
      indices: [F] their numbers in the source; not used.
      extent: Of the source.

    Returns:
      [F] labels.

    Raises:
      UserError: A segment lies beyond the end of the video.
    """
    for where, start, end in self.drawn:
      # To the microsecond, lest the last bits decide.
      if round(start - extent.seconds, 6) > 0:
        raise UserError(
          f"{where}: starts at {start:g} s, expected earlier than"
          f" {extent.seconds:.3f} s, where the video ends; correct it"
        )
      if end > extent.seconds + _SLACK:
        raise UserError(
          f"{where}: ends at {end:g} s, expected at most"
          f" {extent.seconds:.3f} s, where the video ends; correct it"
        )
    return label_frames(self.segments, times)


@dataclasses.dataclass(frozen=True)
class LabeledFrames:
  """Phases of a video as one label a frame.

  Attributes:
    where: File and video, for messages.
    frame_labels: One for every frame of the source.
  """

  where: str
  frame_labels: list[int]

  def of_frames(
    self, times: Sequence[float], indices: Sequence[int], extent: Extent
  ) -> list[int]:
    """Labels frames.

    Args:
      times: [F] seconds of the frames; not used.
      indices: [F] their numbers in the source.
      extent: Of the source.

    Returns:
      [F] labels.

    Raises:
      UserError: There is not one label for every frame of the source.
    """
    if len(self.frame_labels) != extent.num_frames:
      raise UserError(
        f"{self.where}: holds {len(self.frame_labels)} labels, expected one for"
        f" each of the video's {extent.num_frames} frames; correct it"
      )
    return [self.frame_labels[index] for index in indices]


VideoLabels = SegmentedVideo | LabeledFrames
