"""Videos and folders of images, read frame by frame in the same way."""

import pathlib
from collections.abc import Iterator
from typing import Protocol

from media.frame_encoding import FrameEncoding
from media.frames import Frame, SourceFacts
from media.image_folders import ImageFolderReader
from media.video_reader import VideoReader


class FrameReader(Protocol):
  """Reads the frames of a source, one in memory at a time.

  Attributes:
    facts: What is known of the source; complete after the last frame.
  """

  facts: SourceFacts

  def __iter__(self) -> Iterator[Frame]:
    """Yield the frames in order; a UserError says why one can't be read."""


def open_source(path: pathlib.Path, encoding: FrameEncoding) -> FrameReader:
  """Open a video file, or a folder of images."""
  if path.is_dir():
    return ImageFolderReader(path, encoding.fps, encoding.image_endings)
  return VideoReader(
    path, encoding.source_fps, encoding.deinterlace, encoding.keep_damaged
  )
