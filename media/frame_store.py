"""The chosen frames of a video or image folder, encoded into a file."""

import pathlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from core.errors import UserError
from media.frame_encoding import FrameEncoding
from media.frames import select_frames
from media.sources import FrameReader


class StoredFrame(NamedTuple):
  """A frame that was encoded.

  Attributes:
    time: Seconds since the first frame of its source.
    index: Number of the frame in its source.
    num_bytes: Length of the JPEG.
    size: Width and height in pixels.
  """

  time: float
  index: int
  num_bytes: int
  size: tuple[int, int]


def store_frames(
  reader: FrameReader,
  path: pathlib.Path,
  encoding: FrameEncoding,
  file: BinaryIO | None,
) -> Iterator[StoredFrame]:
  """Choose and encode frames, with one of them in memory at a time.

  Args:
    reader: The source, see `sources.open_source`.
    path: Its path, for messages.
    encoding: How its frames are chosen and stored.
    file: Where the JPEGs go, one after another; None encodes the first only,
      for its size.

  Yields:
    Each frame, once it is stored.

  Raises:
    UserError: The source can't be read, has frames of several sizes, or a lower
      rate than asked for.
  """
  # The rate of images is given, a video's frames are chosen by it.
  fps = 0.0 if path.is_dir() else encoding.fps
  first_size = None
  for frame in select_frames(reader, fps, path):
    if first_size and not file:
      yield StoredFrame(frame.time, frame.index, 0, first_size)
      continue
    jpeg, size = encoding.encode(frame, path)
    first_size = first_size or size
    if size != first_size:
      raise UserError(
        f"{path}: expected frames of {first_size[0]} x {first_size[1]} pixels"
        f" as before, received {size[0]} x {size[1]} for frame {frame.index};"
        " give --width and --height"
      )
    num_bytes = file.write(jpeg) if file else 0
    yield StoredFrame(frame.time, frame.index, num_bytes, size)
