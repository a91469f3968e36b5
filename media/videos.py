"""Video files in and out: PyAV decodes and encodes, frames are streamed."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from core.errors import UserError
from core.files import atomic_write


@dataclasses.dataclass(frozen=True)
class Frame:
  """One decoded frame.

  Attributes:
    time: Seconds since the first frame of the stream.
    decoded: As the codec gives it, on its side if filmed so.
    path: The video, for messages.
  """

  time: float
  decoded: av.VideoFrame
  path: pathlib.Path

  @property
  def image(self) -> np.ndarray:
    """[H, W, 3] uint8 RGB, upright (the metadata's rotation applied).

    Made anew each time, so that frames which nobody looks at cost nothing, and
    those which are kept stay small.

    Raises:
      UserError: The pixels are of a kind that can't be converted.
    """
    try:
      return _upright(self.decoded)
    except (av.FFmpegError, ValueError) as error:
      raise _undecodable(self.path, error) from error


def read(path: str | os.PathLike) -> Iterator[Frame]:
  """Decodes a video frame by frame, one frame in memory at a time.

  Time stamps come from the stream and are counted from its first frame, so
  that a recording that was cut out of a longer one starts at 0.

  Args:
    path: A video file in any container and codec that FFmpeg decodes, H.264,
      HEVC, VP9 and AV1 among them.

  Yields:
    The frames in order of presentation.

  Raises:
    UserError: The file is missing, is no video, is damaged, ends before the
      length that its header states, or has no frames. Two things can't be
      noticed: damage that still decodes, to wrong pixels, and the missing end
      of files that state no length (transport and program streams, mp4 that
      was cut between its fragments).
  """
  path = pathlib.Path(path)
  try:
    # "file:" keeps FFmpeg from taking what stands before a colon in the name
    # for a network protocol.
    with av.open(f"file:{path}") as container:
      yield from _frames(container, path)
  except (av.FFmpegError, OSError) as error:
    raise _undecodable(path, error) from error


def _undecodable(path: pathlib.Path, error: Exception) -> UserError:
  reason = (getattr(error, "strerror", None) or str(error)).lower()
  return UserError(
    f"{path}: can't be decoded as a video ({reason}); expected a whole video"
    " file, replace or remove it"
  )


def _frames(
  container: av.container.InputContainer, path: pathlib.Path
) -> Iterator[Frame]:
  stream = _video_stream(container, path)
  # With several threads, FFmpeg answers the cut-off end of a file with fewer
  # frames instead of an error.
  stream.thread_type = "NONE"
  # dav1d would start one a core by itself, with frames in memory for each.
  stream.codec_context.thread_count = 1
  count, first, end = 0, None, 0
  for packet in container.demux(stream):
    if packet.pts is not None:
      end = max(end, packet.pts + (packet.duration or 0))
    frames = packet.decode()
    if packet.is_corrupt or any(frame.is_corrupt for frame in frames):
      raise UserError(
        f"{path}: is damaged or cut off near frame {count}; expected a whole"
        " video file, replace or remove it"
      )
    for frame in frames:
      first = frame.pts if first is None else first
      time = _time(frame, first, count, stream, container.format.name)
      yield Frame(time, frame, path)
      count += 1
  if not count:
    raise UserError(
      f"{path}: holds no frames; expected at least one, replace or remove it"
    )
  if first is not None:
    _check_length(container, stream, float(end * stream.time_base), path)


def _video_stream(
  container: av.container.InputContainer, path: pathlib.Path
) -> av.VideoStream:
  for stream in container.streams.video:
    # The cover picture of an audio file is a video stream of one frame.
    if not stream.disposition & av.stream.Disposition.attached_pic:
      return stream
  raise UserError(
    f"{path}: has no video stream; expected a video file, replace or remove it"
  )


def _time(
  frame: av.VideoFrame,
  first: int | None,
  index: int,
  stream: av.VideoStream,
  container_format: str,
) -> float:
  # AVI files and raw streams store no time stamps (FFmpeg's guess is wrong
  # where frames are reordered); their frames come at a constant rate.
  if frame.pts is None or first is None or container_format == "avi":
    return float(index / (stream.average_rate or stream.guessed_rate or 25))
  return float((frame.pts - first) * frame.time_base)


def _check_length(
  container: av.container.InputContainer,
  stream: av.VideoStream,
  end: float,
  path: pathlib.Path,
) -> None:
  """Raises a UserError if the stream ends before what its header states."""
  expected = _stated_end(container, stream)
  if expected is None:
    return
  # Headers round, and the last frame's own length is often unknown.
  frame_length = 1 / float(stream.average_rate or 25)
  if expected - end > max(1.5 * frame_length, 0.01 * expected):
    raise UserError(
      f"{path}: ends after {end:.2f} s, its header states {expected:.2f} s;"
      " expected a whole video file, replace or remove it"
    )


def _stated_end(
  container: av.container.InputContainer, stream: av.VideoStream
) -> float | None:
  """Seconds on the stream's clock at which the header says that it ends."""
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


def _upright(frame: av.VideoFrame) -> np.ndarray:
  image = frame.to_ndarray(format="rgb24", threads=1)
  # `frame.side_data` would make frame and data refer to each other: hundreds of
  # frames would wait in memory for the garbage collector.
  matrix = SideDataContainer(frame).get("DISPLAYMATRIX")
  if matrix is None:
    return image
  # The player shall show the pixel (x, y) at (a x + c y, b x + d y), y being
  # the way down; of this, the quarter turns and mirrorings are applied.
  a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
  if abs(b) > abs(a):
    image, a, d = image.swapaxes(0, 1), c, b
  image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
  return np.ascontiguousarray(image)


def write(
  path: str | os.PathLike,
  images: Iterable[np.ndarray],
  fps: float,
  crf: int = 23,
) -> None:
  """Encodes frames as an H.264 mp4 that browsers play.

  Args:
    path: File to write, ending in `.mp4`.
    images: [H, W, 3] uint8 RGB frames, all of one size. An odd height or width
      loses its last row or column, since 4:2:0 color needs even sizes.
    fps: Frames per second.
    crf: Constant rate factor, 0 (lossless) to 51 (worst).

  Raises:
    UserError: The file can't be written.
  """
  with atomic_write(path) as temporary:
    with av.open(
      os.fspath(temporary), "w", options={"movflags": "faststart"}
    ) as container:
      stream = None
      for image in images:
        height, width = (side - side % 2 for side in image.shape[:2])
        if stream is None:
          stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001)
          )
          stream.width, stream.height = width, height
          stream.pix_fmt = "yuv420p"
          # The same images give the same bytes: one thread, and without the
          # macroblock tree, which differed from run to run (seen on x86-64).
          stream.thread_count = 1
          stream.options = {
            "crf": str(crf),
            "preset": "veryfast",
            "x264-params": "mbtree=0",
          }
        frame = av.VideoFrame.from_ndarray(
          np.ascontiguousarray(image[:height, :width]), format="rgb24"
        )
        container.mux(stream.encode(frame))
      if stream is None:
        raise UserError(f"{path}: no frames to write")
      container.mux(stream.encode())
