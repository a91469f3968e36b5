"""Decodes video files with PyAV, one frame at a time."""

import functools
import os
import pathlib
from collections.abc import Iterator

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from core.errors import UserError
from media.frames import Frame


def read_frames(path: str | os.PathLike) -> Iterator[Frame]:
  """Decode a video frame by frame, one frame in memory at a time.

  Time stamps come from the stream and are counted from its first frame, so
  that a recording cut out of a longer one starts at 0.

  Args:
    path: A video file in any container and codec that FFmpeg decodes, such as
      H.264, HEVC, VP9 and AV1.

  Yields:
    The frames in order of presentation, upright: the rotation in the metadata
    is applied.

  Raises:
    UserError: The file is missing, is no video, is damaged, ends before the
      length that its header states, or has no frames. Two things go unnoticed:
      damage that still decodes, to wrong pixels, and the missing end of files
      that state no length (transport and program streams, mp4 that was cut
      between its fragments).
  """
  path = pathlib.Path(path)
  try:
    # "file:" keeps FFmpeg from taking what stands before a colon in the name
    # for a network protocol.
    with av.open(f"file:{path}") as container:
      yield from _decode(container, path)
  except (av.FFmpegError, OSError) as error:
    raise _undecodable(path, error) from error


def _undecodable(path: pathlib.Path, error: Exception) -> UserError:
  reason = (getattr(error, "strerror", None) or str(error)).lower()
  return _broken(path, f"one that can't be decoded ({reason})")


def _broken(path: pathlib.Path, received: str) -> UserError:
  return UserError(
    f"{path}: expected a whole video file, received {received}; replace or"
    " remove it"
  )


def _decode(
  container: av.container.InputContainer, path: pathlib.Path
) -> Iterator[Frame]:
  stream = _video_stream(container, path)
  # With several threads, FFmpeg returns fewer frames instead of an error where
  # a file is cut off.
  stream.thread_type = "NONE"
  # Otherwise dav1d starts a thread per core, with frames in memory for each.
  stream.codec_context.thread_count = 1
  count, first, end = 0, None, 0
  for packet in container.demux(stream):
    if packet.pts is not None:
      end = max(end, packet.pts + (packet.duration or 0))
    frames = packet.decode()
    if packet.is_corrupt or any(frame.is_corrupt for frame in frames):
      raise _broken(path, f"one that is damaged or cut off near frame {count}")
    for frame in frames:
      first = frame.pts if first is None else first
      # AVI files and raw streams store no time stamps (FFmpeg's guess is wrong
      # where frames are reordered); their frames come at a constant rate.
      if None in (frame.pts, first) or container.format.name == "avi":
        rate = stream.average_rate or stream.guessed_rate or 25
        time = float(count / rate)
      else:
        time = float((frame.pts - first) * frame.time_base)
      yield Frame(count, time, functools.partial(_to_image, frame, path))
      count += 1
  if not count:
    raise _broken(path, "one without frames")
  if first is None:
    return
  seconds = float(end * stream.time_base)
  expected = _stated_end(container, stream) or 0.0
  # Headers round, and the last frame's own length is often unknown.
  slack = max(1.5 / float(stream.average_rate or 25), 0.01 * expected)
  if expected - seconds > slack:
    raise _broken(
      path, f"{seconds:.2f} s of the {expected:.2f} s that its header states"
    )


def _video_stream(
  container: av.container.InputContainer, path: pathlib.Path
) -> av.VideoStream:
  for stream in container.streams.video:
    # The cover picture of an audio file is a video stream of one frame.
    if not stream.disposition & av.stream.Disposition.attached_pic:
      return stream
  raise _broken(path, "one without a video stream")


def _stated_end(
  container: av.container.InputContainer, stream: av.VideoStream
) -> float | None:
  """Return the end that the header states, in seconds of the stream's clock."""
  if stream.duration is not None:
    start = stream.start_time or 0
    return float((start + stream.duration) * stream.time_base)
  if "DURATION" in stream.metadata:  # Matroska and WebM, "HH:MM:SS.fraction".
    clock = stream.metadata["DURATION"].split(":")
    return sum(float(x) * 60**i for i, x in enumerate(reversed(clock)))
  # The length of the whole file may be that of its sound.
  if len(container.streams) == 1 and container.duration is not None:
    return container.duration / av.time_base
  return None


def _to_image(frame: av.VideoFrame, path: pathlib.Path) -> np.ndarray:
  """Convert a decoded frame to an upright [H, W, 3] uint8 RGB image."""
  try:
    image = frame.to_ndarray(format="rgb24", threads=1)
  except (av.FFmpegError, ValueError) as error:
    raise _undecodable(path, error) from error
  # `frame.side_data` would make frame and data refer to each other: hundreds of
  # frames would wait in memory for the garbage collector.
  matrix = SideDataContainer(frame).get("DISPLAYMATRIX")
  if matrix is None:
    return image
  # The pixel (x, y) is to be shown at (a x + c y, b x + d y), with y pointing
  # down. Quarter turns and mirroring are applied.
  a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
  if abs(b) > abs(a):
    image, a, d = image.swapaxes(0, 1), c, b
  image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
  return np.ascontiguousarray(image)
