"""Decodes video files with PyAV, one frame at a time."""

import collections
import contextlib
import dataclasses
import functools
import itertools
import math
import pathlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import av.logging
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from core.errors import UserError, first_line
from media import video_streams
from media.frame_clock import FrameClock
from media.frames import Frame, SourceFacts
from media.video_streams import broken_file

# What FFmpeg's demuxers log of a file that ends too early.
_CUT_OFF = ("ended prematurely", "partial file")
# Transfer characteristics of high dynamic range, by their numbers in H.273.
_HDR = {16: "PQ", 18: "HLG"}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"hevc", b"hevx", b"mif1", b"msf1")


class _Decoded(NamedTuple):
  """A decoded frame; its stamp and duration are in seconds."""

  frame: av.VideoFrame
  stamp: Fraction | None
  duration: Fraction


@dataclasses.dataclass
class VideoReader:
  """Decodes a video frame by frame, one frame in memory at a time.

  Iterating, once, yields the frames in the order in which a player shows them,
  upright: the rotation in the metadata is applied. Times count from the first
  frame, so that a recording cut out of a longer one starts at 0; see
  `FrameClock`. Raises a UserError if the file is missing, is no video, is
  damaged, ends before the length that it states for its picture, has no frames
  or stamps that are out of order. Two things go unnoticed: damage that still
  decodes, to wrong pixels, and the missing end of files that state no length
  (transport and program streams, mp4 that was cut between its fragments).

  Args:
    path: A video file in any container and codec that FFmpeg decodes, such as
      H.264, HEVC, VP9 and AV1.
    source_fps: Frames per second to count by instead of the file's time stamps;
      0 for those.
    deinterlace: Whether to make whole frames of interlaced ones.
    keep_damaged: Whether to leave out what can't be decoded, instead of raising
      an error, as long as there is a frame.

  Attributes:
    facts: What is known of the video; complete after the last frame.
  """

  path: pathlib.Path
  source_fps: float = 0.0
  deinterlace: bool = False
  keep_damaged: bool = False
  facts: SourceFacts = dataclasses.field(default_factory=SourceFacts)
  _cut_off: bool = False
  _is_broadcast: bool = False
  _jumps: int = 0
  # Of the last frame, by the clock of the stream.
  _end: Fraction = Fraction(0)

  def __iter__(self) -> Iterator[Frame]:
    """Yield the frames."""
    try:
      _check_format(self.path)
      # "file:" keeps FFmpeg from taking what stands before a colon in the name
      # for a network protocol.
      with av.open(f"file:{self.path}") as container:
        yield from self._read(container)
    except UserError:
      raise
    # Whatever a damaged file makes PyAV raise, also while it reads the header.
    except Exception as error:
      is_partly_sound = bool(self.facts.num_frames)
      raise _undecodable(self.path, error, is_partly_sound) from error

  def _read(self, container: av.container.InputContainer) -> Iterator[Frame]:
    stream = video_streams.choose_stream(container, self.path)
    self.facts.codec = stream.codec_context.name
    flag = av.format.Flags.ts_discont.value
    self._is_broadcast = bool(container.format.flags & flag)
    # With several threads, FFmpeg returns fewer frames instead of an error
    # where a file is cut off.
    stream.thread_type = "NONE"
    # Otherwise dav1d starts a thread per core, with frames in memory for each.
    stream.codec_context.thread_count = 1
    clock, first, facts = FrameClock(self.path), None, self.facts
    decoded = self._decode(stream)
    if self.deinterlace:
      decoded = _deinterlace(decoded, stream)
    for frame, stamp, duration in decoded:
      if not facts.num_frames:
        first = stamp
        self._describe(stream, frame)
      time = clock.tell(stamp, duration)
      facts.seconds = float(clock.end)
      facts.num_frames += 1
      decode = functools.partial(_to_image, frame, self.path)
      size = _find_shown_size(frame, stream)
      yield Frame(facts.num_frames - 1, float(time), decode, size=size)
    if not facts.num_frames:
      codec = video_streams.find_four_letters(self.path) or facts.codec
      raise broken_file(self.path, f"one without frames ({codec})")
    if clock.restarts:
      facts.notes.append(
        "its time stamps start again, as of glued recordings; the pieces follow"
        " one another"
      )
      first = None
    if self._jumps > clock.restarts:
      facts.notes.append(
        f"its packets are not numbered on in {self._jumps} place(s): it was"
        " glued together there, or parts are missing"
      )
    self._check_end(stream, first)

  def _decode(self, stream: av.VideoStream) -> Iterator[_Decoded]:
    """Decode the stream, in the order of presentation."""
    rate = self.source_fps or video_streams.frame_rate(stream)
    interval = 1 / Fraction(rate)
    counts = self.source_fps or video_streams.has_no_stamps(stream)
    # An AVI file stores places in the order of decoding only, and FFmpeg's
    # guess is wrong where frames are reordered; but the places are the same.
    is_avi = stream.container.format.name == "avi"
    is_reordered = stream.codec_context.has_b_frames
    is_intra = stream.codec_context.codec.intra_only
    places: collections.deque[int] = collections.deque()
    for packet in self._demux(stream):
      if is_avi and packet.dts is not None:
        if not is_reordered:
          places.clear()
        places.append(packet.dts)
      try:
        with self._listen():
          frames = stream.decode(packet)
      except av.FFmpegError as error:
        self._lose_frame(error)
        if places:
          places.pop()
        continue
      if is_intra and not frames and packet.size:
        self._lose_frame(None)
      is_damaged = packet.is_corrupt
      if is_damaged and self._is_broadcast:
        # Its packets are numbered; the numbers jump where one is missing, but
        # also where recordings were glued together.
        self._jumps, is_damaged = self._jumps + 1, False
      for frame in frames:
        stamp = places.popleft() if places else frame.pts
        if is_damaged or frame.is_corrupt:
          self._lose_frame(None)
        elif counts or stamp is None:
          yield _Decoded(frame, None, interval)
        else:
          base = stream.time_base
          duration = (frame.duration or 0) * base or interval
          yield _Decoded(frame, stamp * base, duration)

  def _demux(self, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Read the packets of the stream; the last, empty one ends the decoding."""
    packets = stream.container.demux(stream)
    while True:
      try:
        with self._listen():
          packet = next(packets)
      except StopIteration:
        return
      except av.FFmpegError:
        if not self.keep_damaged:
          raise
        self._cut_off = True
        yield av.Packet()
        return
      if packet.pts is not None:
        end = (packet.pts + (packet.duration or 0)) * stream.time_base
        self._end = max(self._end, end)
      yield packet

  @contextlib.contextmanager
  def _listen(self) -> Iterator[None]:
    """Find out from what FFmpeg logs whether the file is cut off."""
    log = av.logging
    before = log.get_level(), log.get_skip_repeated()
    log.set_level(log.ERROR)
    # Two files may be cut off one after the other.
    log.set_skip_repeated(False)
    try:
      with log.Capture() as messages:
        yield
    finally:
      log.set_level(before[0])
      log.set_skip_repeated(before[1])
    for _, _, message in messages:
      self._cut_off |= any(text in message for text in _CUT_OFF)

  def _lose_frame(self, error: av.FFmpegError | None) -> None:
    """Count a frame that can't be decoded, or end the reading."""
    # A broadcast is recorded from any moment on.
    if self._is_broadcast and not self.facts.num_frames:
      return
    if not self.keep_damaged:
      if error:
        raise error
      near = self.facts.num_frames
      received = f"one that is damaged or cut off near frame {near}"
      raise broken_file(self.path, received, is_partly_sound=True)
    self.facts.lost += 1

  def _check_end(self, stream: av.VideoStream, first: Fraction | None) -> None:
    """Compare the end of the picture with that which the file states.

    Args:
      stream: The stream.
      first: Time stamp of the first frame in seconds; None if stamps do not
        tell the length.
    """
    facts, expected = self.facts, video_streams.stated_end(stream)
    rate = float(video_streams.frame_rate(stream))
    missing, received = 0.0, "one that ends prematurely"
    if expected is not None and first is not None:
      # Headers round, and the last frame's own length is often unknown.
      if expected - self._end > max(1.5 / rate, 0.01 * expected):
        missing = float(expected - self._end)
        received = (
          f"{float(self._end):.2f} s of the {float(expected):.2f} s that its"
          " header states"
        )
      elif not self.source_fps:
        facts.seconds = max(facts.seconds, float(expected - first))
    if (missing or self._cut_off) and not self.keep_damaged:
      raise broken_file(self.path, received, is_partly_sound=True)
    facts.lost += round(missing * rate)
    if self._cut_off or facts.lost:
      # The index of mp4 and mov counts frames, that of AVI the ticks.
      if stream.container.format.name != "avi":
        facts.lost = max(facts.lost, stream.frames - facts.num_frames)
      lost = facts.lost or "not known"
      facts.notes.append(f"it is damaged or cut off; frames lost: {lost}")

  def _describe(self, stream: av.VideoStream, frame: av.VideoFrame) -> None:
    """Note what is known of a video from its first frame."""
    facts = self.facts
    streams = video_streams.list_streams(stream.container)
    if len(streams) > 1:
      facts.stream = (
        f"{stream.index} ({facts.codec}, {stream.width} x {stream.height}) of"
        f" {', '.join(str(other.index) for other in streams)}"
      )
    a, b, _, _ = _read_matrix(frame)
    facts.rotation = round(math.degrees(math.atan2(b, a))) % 360
    facts.width, facts.height = _find_shown_size(frame, stream)
    if name := _HDR.get(int(frame.color_trc)):
      facts.notes.append(
        f"it is HDR ({name}), which is stored without tone mapping and looks"
        " flat"
      )
    if frame.interlaced_frame and not self.deinterlace:
      facts.notes.append("it is interlaced; --deinterlace makes whole frames")


def _check_format(path: pathlib.Path) -> None:
  """Name the animated pictures that FFmpeg can't decode."""
  with path.open("rb") as file:
    head = file.read(12)
  kind = None
  if head[:4] == b"RIFF" and head[8:] == b"WEBP":
    kind = "a WebP picture"
  elif head[4:8] == b"ftyp" and head[8:] in _HEIC_BRANDS:
    kind = "a HEIC picture"
  if kind:
    raise UserError(
      f"{path}: expected a video file, received {kind}, which FFmpeg can't"
      " decode as a video; convert it to mp4 or gif"
    )


def _undecodable(
  path: pathlib.Path, error: Exception, is_partly_sound: bool = False
) -> UserError:
  reason = (getattr(error, "strerror", None) or first_line(error)).lower()
  received = f"one that can't be decoded ({reason})"
  return broken_file(path, received, is_partly_sound)


def _deinterlace(
  decoded: Iterable[_Decoded], stream: av.VideoStream
) -> Iterator[_Decoded]:
  """Make whole frames of those that are marked as interlaced."""
  graph = av.filter.Graph()
  options = "mode=send_frame:deint=interlaced"
  nodes = graph.add_buffer(template=stream), graph.add("bwdif", options)
  graph.link_nodes(*nodes, graph.add("buffersink")).configure()
  waiting: collections.deque = collections.deque()
  for number, item in enumerate(itertools.chain(decoded, [None])):
    if item:
      # The filter sees frames in order, whatever their stamps are.
      item.frame.pts = number
      waiting.append(item)
    graph.push(item and item.frame)
    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
      while True:
        frame = graph.pull()
        yield waiting.popleft()._replace(frame=frame)


def _to_image(frame: av.VideoFrame, path: pathlib.Path) -> np.ndarray:
  """Convert a decoded frame to an upright [H, W, 3] uint8 RGB image."""
  try:
    image = frame.to_ndarray(format="rgb24", threads=1)
  except (av.FFmpegError, ValueError) as error:
    raise _undecodable(path, error) from error
  # Quarter turns and mirroring are applied.
  a, b, c, d = _read_matrix(frame)
  if abs(b) > abs(a):
    image, a, d = image.swapaxes(0, 1), c, b
  image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
  return np.ascontiguousarray(image)


def _find_shown_size(
  frame: av.VideoFrame, stream: av.VideoStream
) -> tuple[int, int]:
  """Find the width and height of the upright image on the screen."""
  aspect = stream.sample_aspect_ratio or 1
  size = max(1, round(frame.width * aspect)), frame.height
  a, b, _, _ = _read_matrix(frame)
  return size[::-1] if abs(b) > abs(a) else size


def _read_matrix(frame: av.VideoFrame) -> list[int]:
  """Read a, b, c, d: a pixel (x, y) is shown at (a x + c y, b x + d y).

  y points down.
  """
  # `frame.side_data` would make frame and data refer to each other: hundreds of
  # frames would wait in memory for the garbage collector.
  matrix = SideDataContainer(frame).get("DISPLAYMATRIX")
  if matrix is None:
    return [1, 0, 0, 1]
  a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
  return [a, b, c, d]
