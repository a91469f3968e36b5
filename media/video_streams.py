"""The stream of a file that is its film, and what is known of it."""

import contextlib
import pathlib
import re
from collections.abc import Collection
from fractions import Fraction

import av
from av.stream import Disposition

from core.errors import UserError

# Containers that keep the length of each stream by itself. Others give their
# streams that of the longest one, which may be the sound.
_OWN_LENGTHS = ("mov", "avi", "mxf")
_DEFAULT_RATE = Fraction(25)
# The index of a file lies at its beginning or end.
_INDEX_BYTES = 1 << 24
# After the header of a video track or stream.
_FOUR_LETTERS = re.compile(
  rb"vmhd.*?stsd.{12}([ -~]{4})|strh.{4}vids([ -~]{4})", re.DOTALL
)


def choose_stream(
  container: av.container.InputContainer, path: pathlib.Path
) -> av.VideoStream:
  """Choose the stream that `ffmpeg` would show, not a thumbnail or preview.

  Of the streams with more than one frame that is the largest, where being the
  default counts as 5,000,000 pixels. Cover pictures don't count at all.

  Args:
    container: The file.
    path: Its path.

  Returns:
    The stream.

  Raises:
    UserError: There is none, or FFmpeg can't decode any.
  """
  streams = list_streams(container)
  decodable = [stream for stream in streams if stream.codec_context]
  if not decodable:
    received = "one without a video stream"
    if streams:
      letters = find_four_letters(path) or "perhaps because it is cut off"
      received = f"one whose codec FFmpeg does not know ({letters})"
    raise broken_file(path, received)
  films = decodable
  if len(decodable) > 1:
    moving = _find_moving(path, decodable)
    films = [stream for stream in decodable if stream.index in moving] or films

  def score(stream: av.VideoStream) -> int:
    is_default = bool(stream.disposition & Disposition.default)
    return stream.width * stream.height + 5_000_000 * is_default

  return max(films, key=score)


def list_streams(
  container: av.container.InputContainer,
) -> list[av.VideoStream]:
  """List the video streams that are not the cover picture of a sound file."""
  return [
    stream
    for stream in container.streams.video
    if not stream.disposition & Disposition.attached_pic
  ]


def _find_moving(
  path: pathlib.Path, streams: Collection[av.VideoStream]
) -> set[int]:
  """Find the streams with more than one frame, by their index."""
  counts = {stream.index: stream.frames for stream in streams}
  if not all(counts.values()):
    # Not every container tells; the file is read until it is clear.
    counts = dict.fromkeys(counts, 0)
    with (
      av.open(f"file:{path}") as container,
      contextlib.suppress(av.FFmpegError),
    ):
      for packet in container.demux(*(container.streams[i] for i in counts)):
        counts[packet.stream_index] += packet.size > 0
        if min(counts.values()) > 1:
          break
  return {index for index, count in counts.items() if count > 1}


def find_four_letters(path: pathlib.Path) -> str | None:
  """Find the four letters by which mp4, mov or AVI name their codec."""
  with path.open("rb") as file:
    data = file.read(_INDEX_BYTES)
    file.seek(max(len(data), path.stat().st_size - _INDEX_BYTES))
    data += file.read()
  found = _FOUR_LETTERS.search(data)
  return (found[1] or found[2]).decode() if found else None


def frame_rate(stream: av.VideoStream) -> Fraction:
  """Return the frames per second that a stream states."""
  rates = [stream.average_rate, stream.guessed_rate]
  if has_no_stamps(stream):
    # FFmpeg takes 25 for the average of a stream without a container.
    rates = [stream.codec_context.framerate, stream.guessed_rate]
  return next((rate for rate in rates if rate), _DEFAULT_RATE)


def has_no_stamps(stream: av.VideoStream) -> bool:
  """Return whether a file is a bare stream, without times for its frames."""
  flag = av.format.Flags.no_timestamps.value
  return bool(stream.container.format.flags & flag)


def stated_end(stream: av.VideoStream) -> Fraction | None:
  """Return the end of the picture that the file states, if it does.

  Args:
    stream: The stream.

  Returns:
    Seconds by the stream's clock.
  """
  container = stream.container
  names = container.format.name.split(",")
  own = len(container.streams) == 1 or names[0] in _OWN_LENGTHS
  if own and stream.duration is not None and stream.duration > 0:
    start = stream.start_time or 0
    return (start + stream.duration) * stream.time_base
  # Matroska and WebM have "HH:MM:SS.fraction".
  clock = re.fullmatch(
    r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")
  )
  if clock:
    hours, minutes, seconds = map(Fraction, clock.groups())
    return 3600 * hours + 60 * minutes + seconds
  if len(container.streams) == 1 and container.duration is not None:
    return Fraction(container.duration, av.time_base)
  return None


def broken_file(
  path: pathlib.Path, received: str, is_partly_sound: bool = False
) -> UserError:
  """Return the error about a file that can't be read as a whole."""
  keep = ", or keep what decodes with --on_error keep" * is_partly_sound
  return UserError(
    f"{path}: expected a whole video file, received {received}; replace or"
    f" remove it{keep}"
  )
