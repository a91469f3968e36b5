"""What becomes of one source, a video file or a folder of images: its record.

Runs in worker processes, so nothing here may load TensorFlow.
"""

import dataclasses
import hashlib
import math
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator

import cv2

from core.errors import UserError
from data import examples
from dataset_preparation.labels.video_labels import (
  Extent,
  SegmentedVideo,
  VideoLabels,
)
from media import image_folders, videos
from media.image_folders import Frame

_TURNS = {
  90: cv2.ROTATE_90_CLOCKWISE,
  180: cv2.ROTATE_180,
  270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
ROTATIONS = (0, *_TURNS)
# Tolerance for rates: 30 and 29.97 frames per second count as the same.
_FPS_TOLERANCE = 0.01
_CHUNK = 2**20
# Of a JPEG, as its encoder has it.
_LONGEST_SIDE = 65500


@dataclasses.dataclass(frozen=True)
class FrameEncoding:
  """How frames are stored.

  Attributes:
    size: Width and height in pixels; None keeps those of the source.
    short_side: Length in pixels of the shorter side, the aspect ratio kept;
      0 = as `size` says.
    rotate: Degrees to turn clockwise before that: 0, 90, 180 or 270.
    fps: Frames a second that are kept of a video, or that a folder of images
      was taken at; 0 = all frames of a video, images without time.
    quality: JPEG quality, 1 to 100.
    image_endings: Of the files that count, in folders of images; lower case.
  """

  size: tuple[int, int] | None = (224, 224)
  short_side: int = 0
  rotate: int = 0
  fps: float = 0.0
  quality: int = 95
  image_endings: tuple[str, ...] = image_folders.ENDINGS

  def target(self, width: int, height: int) -> tuple[int, int]:
    """Width and height of what becomes of a frame of such a size."""
    if self.rotate in (90, 270):
      width, height = height, width
    if self.short_side:
      scale = self.short_side / min(width, height)
      return round(width * scale), round(height * scale)
    return self.size or (width, height)


@dataclasses.dataclass(frozen=True)
class Source:
  """What a record is made of.

  Attributes:
    name: Name of the record: path below the input folder, without ending.
    path: A video file, or a folder of images.
    labels: Phases of its frames; None if it has none.
    label: Label of the whole video, -1 = none.
  """

  name: str
  path: pathlib.Path
  labels: VideoLabels | None = None
  label: int = -1


@dataclasses.dataclass(frozen=True)
class Report:
  """What became of a source.

  Attributes:
    name: Name of the record.
    source: File or folder it was made of, as a path below the input folder.
    sha256: Checksum of the source, of its images one after another.
    num_frames: Frames of the record.
    width: Of the frames, in pixels.
    height: Of the frames, in pixels.
    seconds: From the first frame to the last; 0 if unknown.
    fps: Frames a second, on average; None if unknown.
    phases: Frames of each phase, by its number as text; empty without labels.
    warnings: What the user should know about it.
  """

  name: str
  source: str
  sha256: str
  num_frames: int
  width: int
  height: int
  seconds: float
  fps: float | None
  phases: dict[str, int]
  warnings: tuple[str, ...] = ()


def convert(
  source: Source, storing: FrameEncoding, target: pathlib.Path
) -> Report:
  """Writes the record of one source; one frame at a time is in memory.

  Args:
    source: The source.
    storing: How its frames are stored.
    target: TFRecord file to write. A file of the encoded frames lies beside it
      meanwhile.

  Returns:
    What became of it.

  Raises:
    UserError: The source is damaged, holds no frames or more than a record can,
      has a lower rate than is asked for, or its labels don't fit. See
      `check_times` for one more.
  """
  encoded = spool(target)
  frames = _Measured(_frames(source.path, storing))
  # The rate of images is what it is; a video's frames are chosen by it.
  kept = frames
  if not source.path.is_dir():
    kept = at_rate(frames, storing.fps, source.path)
  try:
    stored = _store(kept, encoded, source, storing)
    frame_labels = None
    if source.labels is not None:
      frame_labels = source.labels.of_frames(
        stored.times, stored.indices, frames.extent(storing.fps)
      )
    with target.open("wb") as file:
      examples.write_example(
        file, encoded, stored.sizes, source.name, frame_labels, source.label
      )
  finally:
    encoded.unlink(missing_ok=True)
  phases = Counter(frame_labels or ())
  seconds, intervals = stored.times[-1], len(stored.times) - 1
  return Report(
    name=source.name,
    source=source.name + ("" if source.path.is_dir() else source.path.suffix),
    sha256=_checksum(source.path, storing.image_endings),
    num_frames=len(stored.times),
    width=stored.shape[0],
    height=stored.shape[1],
    seconds=seconds,
    fps=round(intervals / seconds, 3) if seconds else None,
    phases={str(phase): phases[phase] for phase in sorted(phases)},
    warnings=_warnings(source, phases),
  )


def spool(target: pathlib.Path) -> pathlib.Path:
  """Where `convert` keeps the encoded frames as long as it is at a record."""
  return target.with_name(f"{target.name}.jpegs")


def check_times(source: Source, storing: FrameEncoding) -> None:
  """Checks that labels in seconds meet frames that have times.

  Args:
    source: The source.
    storing: How its frames are stored.

  Raises:
    UserError: It is a folder of images without a rate, and has segments.
  """
  segmented = isinstance(source.labels, SegmentedVideo)
  if segmented and source.path.is_dir() and not storing.fps:
    raise UserError(
      f"{source.labels.where}: has segments in seconds, but images have no time"
      " stamps; give their rate with --fps"
    )


@dataclasses.dataclass
class _Stored:
  """What lies in a file of encoded frames, see `examples.write_example`."""

  shape: tuple[int, int] | None = None
  times: list[float] = dataclasses.field(default_factory=list)
  indices: list[int] = dataclasses.field(default_factory=list)
  sizes: list[int] = dataclasses.field(default_factory=list)


def _store(
  frames: Iterable[Frame],
  place: pathlib.Path,
  source: Source,
  storing: FrameEncoding,
) -> _Stored:
  """Encodes frames into a file."""
  stored, total = _Stored(), 0
  with place.open("wb") as file:
    for frame in frames:
      jpeg, size = encode(frame, storing, source.path)
      _check_alike(size, stored.shape or size, frame, source)
      stored.shape = size
      total += len(jpeg) + examples.FRAME_OVERHEAD
      _check_total(total, frame, source)
      stored.times.append(frame.time)
      stored.indices.append(frame.index)
      stored.sizes.append(file.write(jpeg))
  return stored


def _check_total(total: int, frame: Frame, source: Source) -> None:
  # At once: the rest of a long recording could fill the disk.
  if total > examples.MAX_BYTES:
    raise UserError(
      f"{source.path}: is too long for one record, which holds at most"
      f" {examples.MAX_BYTES / 2**30:.3g} GiB, enough for {frame.index} of its"
      " frames; cut the video into several, or give a lower --fps, smaller"
      " frames or a lower --jpeg_quality"
    )


def _check_alike(
  size: tuple[int, int], before: tuple[int, int], frame: Frame, source: Source
) -> None:
  if size != before:
    raise UserError(
      f"{source.path}: frame {frame.index} has {size[0]} x {size[1]} pixels,"
      f" those before {before[0]} x {before[1]}; give --width and --height,"
      " which make them alike"
    )


class _Measured:
  """Notes how many frames are taken from it, and until when they go."""

  def __init__(self, frames: Iterator[Frame]) -> None:
    self._frames = frames
    self._count = 0
    self._last = 0.0

  def __iter__(self) -> Iterator[Frame]:
    for frame in self._frames:
      self._count += 1
      self._last = frame.time
      yield frame

  def extent(self, fps: float) -> Extent:
    """What there was; `fps` tells how long a single frame is shown."""
    intervals = self._count - 1
    lasts = self._last / intervals if intervals else 1 / fps if fps else 0.0
    return Extent(self._count, self._last + lasts)


def _frames(path: pathlib.Path, storing: FrameEncoding) -> Iterator[Frame]:
  if path.is_dir():
    _check_links(path, storing.image_endings)
    yield from image_folders.read(path, storing.fps, storing.image_endings)
    return
  for index, frame in enumerate(videos.read(path)):
    yield Frame(index, frame.time, lambda frame=frame: frame.image)


def _check_links(folder: pathlib.Path, endings: tuple[str, ...]) -> None:
  for path in image_folders.listed(folder):
    if path.suffix.lower() in endings and not path.exists():
      raise UserError(
        f"{path}: links to a file that is not there; expected an image, replace"
        " or remove it"
      )


def at_rate(
  frames: Iterable[Frame], fps: float, path: pathlib.Path
) -> Iterator[Frame]:
  """Drops frames so that `fps` a second are left.

  Args:
    frames: At least one frame, in order of time, the first at 0 s.
    fps: Ticks per second, the first at 0 s; 0 keeps every frame.
    path: The video, for messages.

  Yields:
    The frames that are nearest to a tick, the earlier of two as near, each once
    and unchanged.

  Raises:
    UserError: The video has fewer frames per second; told at its end, as only
      its frames' times tell the rate for sure.
  """
  if not fps:
    yield from frames
    return
  done, previous, intervals = -1, None, -1
  for frame in frames:
    intervals += 1
    if previous is not None:
      # `previous` is the nearest to the ticks up to half-way to `frame`.
      ticks = _ticks_until((previous.time + frame.time) / 2, fps)
      if ticks > done:
        yield previous
        done = ticks
    previous = frame
  if _ticks_until(previous.time, fps) > done:
    yield previous
  if intervals < fps * previous.time * (1 - _FPS_TOLERANCE):
    rate = intervals / previous.time
    raise UserError(
      f"{path}: has {rate:.4g} frames per second, expected at least the {fps:g}"
      " of --fps; frames are dropped, never made up"
    )


def _ticks_until(time: float, fps: float) -> int:
  # A millionth of a tick makes up for rounding.
  return math.floor(time * fps + 1e-6)


def encode(
  frame: Frame, storing: FrameEncoding, path: pathlib.Path
) -> tuple[bytes, tuple[int, int]]:
  """Turns, resizes and encodes a frame.

  Args:
    frame: The frame.
    storing: How it is stored.
    path: Its source, for messages.

  Returns:
    A JPEG, that of the source where nothing has to be changed, and its width
    and height.

  Raises:
    UserError: It can't be decoded, or would be larger than a JPEG can be.
  """
  image = frame.decode()
  size = storing.target(*image.shape[1::-1])
  if max(size) > _LONGEST_SIDE:
    raise UserError(
      f"{path}: frame {frame.index} would have {size[0]} x {size[1]} pixels,"
      f" expected at most {_LONGEST_SIDE} a side, as JPEG has it; give"
      " a smaller --width and --height or --short_side"
    )
  if storing.rotate:
    image = cv2.rotate(image, _TURNS[storing.rotate])
  height, width = image.shape[:2]
  if frame.jpeg is not None and not storing.rotate and size == (width, height):
    return frame.jpeg, size
  if size != (width, height):
    shrinks = size[0] * size[1] < width * height
    # Averaging over areas does not alias, but makes blocks when enlarging.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    image = cv2.resize(image, size, interpolation=method)
  _, jpeg = cv2.imencode(
    ".jpg",
    cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
    [cv2.IMWRITE_JPEG_QUALITY, storing.quality],
  )
  return jpeg.tobytes(), size


def _checksum(path: pathlib.Path, endings: tuple[str, ...]) -> str:
  digest = hashlib.sha256()
  try:
    for file in image_folders.files(path, endings) if path.is_dir() else [path]:
      with file.open("rb") as stream:
        while piece := stream.read(_CHUNK):
          digest.update(piece)
  except OSError as error:
    # Otherwise whoever writes the records would take it for an error of his.
    raise UserError(
      f"{error.filename or path}: can't be read ({error.strerror}); expected it"
      " to stay as it was, leave it alone and start again"
    ) from error
  return digest.hexdigest()


def _warnings(source: Source, phases: Counter) -> tuple[str, ...]:
  if not isinstance(source.labels, SegmentedVideo):
    return ()
  missing = {segment.label for segment in source.labels.segments} - set(phases)
  if not missing:
    return ()
  listed = ", ".join(map(str, sorted(missing)))
  return (
    f"{source.path}: no frame lies in phase {listed} of its annotation"
    " (times are microseconds in JSON, seconds in CSV)",
  )
