"""Labels of one video, as segments or as one label per frame."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import UserError
from dataset_preparation.labels.segments import Segment, label_times

# Seconds that a segment may end after its video: what was annotated in another
# player rarely ends exactly at the last frame.
_SLACK = 0.5


class Extent(NamedTuple):
  """Length of a source video.

  Attributes:
    num_frames: Number of frames, including dropped ones.
    seconds: Time from the first frame to the end of the last.
  """

  num_frames: int
  seconds: float


class RawSegment(NamedTuple):
  """A segment as the label file has it.

  Attributes:
    where: File, video and row or label, for messages.
    start: Start in seconds.
    end: End in seconds.
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
    raw_segments: The segments of the file that they were made of.
  """

  where: str
  segments: Sequence[Segment]
  raw_segments: Sequence[RawSegment]

  def label_frames(
    self, times: Sequence[float], indices: Sequence[int], extent: Extent
  ) -> list[int]:
    """Label the frames that are kept.

    Args:
      times: [F] seconds of the frames, from the first frame of the source.
      indices: [F] numbers of the frames in the source; not used.
      extent: Length of the source.

    Returns:
      [F] labels.

    Raises:
      UserError: A segment lies beyond the end of the video.
    """
    for where, start, end in self.raw_segments:
      # To the microsecond, so that rounding doesn't decide.
      if round(start - extent.seconds, 6) > 0:
        raise UserError(
          f"{where}: expected a start before {extent.seconds:.3f} s, where the"
          f" video ends, received {start:g} s; correct it"
        )
      if end > extent.seconds + _SLACK:
        raise UserError(
          f"{where}: expected an end of at most {extent.seconds:.3f} s, where"
          f" the video ends, received {end:g} s; correct it"
        )
    return label_times(self.segments, times)


@dataclasses.dataclass(frozen=True)
class LabeledFrames:
  """Phases of a video as one label per frame.

  Attributes:
    where: File and video, for messages.
    labels: One for every frame of the source.
  """

  where: str
  labels: Sequence[int]

  def label_frames(
    self, times: Sequence[float], indices: Sequence[int], extent: Extent
  ) -> list[int]:
    """Label the frames that are kept.

    Args:
      times: [F] seconds of the frames; not used.
      indices: [F] numbers of the frames in the source.
      extent: Length of the source.

    Returns:
      [F] labels.

    Raises:
      UserError: There is not one label for every frame of the source.
    """
    if len(self.labels) != extent.num_frames:
      raise UserError(
        f"{self.where}: expected one label for each of the video's"
        f" {extent.num_frames} frames, received {len(self.labels)}; correct it"
      )
    return [self.labels[index] for index in indices]


VideoLabels = SegmentedVideo | LabeledFrames
