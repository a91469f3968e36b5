"""Converts one source, a video file or a folder of images, to its record.

This runs in worker processes, so nothing here may load TensorFlow.
"""

import dataclasses
import hashlib
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from core.errors import UserError
from data import examples
from dataset_preparation.labels.types import Extent, SegmentedVideo, VideoLabels
from media import image_folders, video_reader
from media.frame_encoding import FrameEncoding
from media.frames import Frame, select_frames


@dataclasses.dataclass(frozen=True)
class Source:
  """The video or image folder that a record is made of.

  Attributes:
    name: Name of the record: path below the input folder, without ending.
    path: A video file, or a folder of images.
    labels: Phases of its frames; None if it has none.
    label: Label of the whole video, -1 for none.
  """

  name: str
  path: pathlib.Path
  labels: VideoLabels | None = None
  label: int = -1

  def list_files(self) -> list[pathlib.Path]:
    """List the files that the record depends on."""
    path = self.path
    return image_folders.list_folder(path) if path.is_dir() else [path]


@dataclasses.dataclass(frozen=True)
class Report:
  """A converted source, as `dataset.json` describes it.

  Attributes:
    name: Name of the record.
    source: Path of the file or folder below the input folder.
    sha256: Checksum of the file, or of the folder's images one after another.
    num_frames: Number of frames in the record.
    width: Width of the frames in pixels.
    height: Height of the frames in pixels.
    seconds: Time from the first frame to the last; 0 if unknown.
    fps: Frames per second on average; None if unknown.
    phases: Number of frames of each phase, by the phase's number as text; empty
      without labels.
    warnings: Remarks for the user.
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
  source: Source, encoding: FrameEncoding, target: pathlib.Path
) -> Report:
  """Write the record of one source, with one frame at a time in memory.

  Args:
    source: The source.
    encoding: How its frames are stored.
    target: TFRecord file to write. The encoded frames lie beside it meanwhile,
      see `spool_path`.

  Returns:
    Facts about the record.

  Raises:
    UserError: The source is damaged, holds no frames or more than a record can,
      has a lower rate than asked for, or its labels don't fit.
  """
  is_folder = source.path.is_dir()
  spool = spool_path(target)
  all_times: list[float] = []
  frames = _note_times(_decode(source.path, encoding), all_times)
  # The rate of images is given, a video's frames are chosen by it.
  kept = select_frames(frames, 0 if is_folder else encoding.fps, source.path)
  labels = None
  try:
    size, stored = _store_frames(kept, spool, source, encoding)
    times, indices, num_bytes = zip(*stored, strict=True)
    if source.labels is not None:
      extent = _measure_extent(all_times, encoding.fps)
      labels = source.labels.label_frames(times, indices, extent)
    with target.open("wb") as file:
      examples.write_example(
        file, spool, num_bytes, source.name, labels, source.label
      )
  finally:
    spool.unlink(missing_ok=True)
  phases = Counter(labels)
  seconds, intervals = times[-1], len(times) - 1
  return Report(
    name=source.name,
    source=source.name + ("" if is_folder else source.path.suffix),
    sha256=_compute_checksum(source.path, encoding.image_endings),
    num_frames=len(times),
    width=size[0],
    height=size[1],
    seconds=seconds,
    fps=round(intervals / seconds, 3) if seconds else None,
    phases={str(phase): phases[phase] for phase in sorted(phases)},
    warnings=_list_warnings(source, phases),
  )


def spool_path(target: pathlib.Path) -> pathlib.Path:
  """Return where `convert` keeps encoded frames until the record is written."""
  return target.with_name(f"{target.name}.jpegs")


def check_times(source: Source, encoding: FrameEncoding) -> None:
  """Check that frames have times if their labels are in seconds.

  Args:
    source: The source.
    encoding: How its frames are stored.

  Raises:
    UserError: It is a folder of images without a rate, and has segments.
  """
  segmented = getattr(source.labels, "needs_times", False)
  if segmented and source.path.is_dir() and not encoding.fps:
    raise UserError(
      f"{source.labels.where}: expected labels of frames, as images have no"
      " time stamps, received segments in seconds; give the images' rate with"
      " --fps"
    )


def _store_frames(
  kept: Iterable[Frame],
  spool: pathlib.Path,
  source: Source,
  encoding: FrameEncoding,
) -> tuple[tuple[int, int], list[tuple[float, int, int]]]:
  """Encode frames into a file.

  Returns:
    Width and height of all frames; time, number and bytes of each.
  """
  first_size, stored, total = None, [], 0
  with spool.open("wb") as file:
    for frame in kept:
      jpeg, size = encoding.encode(frame, source.path)
      first_size = first_size or size
      if size != first_size:
        raise UserError(
          f"{source.path}: expected frames of {first_size[0]} x"
          f" {first_size[1]} pixels as before, received {size[0]} x"
          f" {size[1]} for frame {frame.index}; give --width and --height"
        )
      total += len(jpeg) + examples.FRAME_OVERHEAD
      # At once: the rest of a long recording could fill the disk.
      if total > examples.MAX_BYTES:
        raise UserError(
          f"{source.path}: expected at most {examples.MAX_BYTES / 2**30:.3g}"
          " GiB of frames, as a record holds, received more after"
          f" {frame.index} frames; cut the video into several, or give a lower"
          " --fps, smaller frames or a lower --jpeg_quality"
        )
      stored.append((frame.time, frame.index, file.write(jpeg)))
  return first_size, stored


def _note_times(frames: Iterator[Frame], times: list[float]) -> Iterator[Frame]:
  for frame in frames:
    times.append(frame.time)
    yield frame


def _measure_extent(times: Sequence[float], fps: float) -> Extent:
  """Measure a source; `fps` tells how long a single frame is shown."""
  intervals = len(times) - 1
  shown = times[-1] / intervals if intervals else 1 / fps if fps else 0.0
  return Extent(len(times), times[-1] + shown)


def _decode(path: pathlib.Path, encoding: FrameEncoding) -> Iterator[Frame]:
  if path.is_dir():
    return image_folders.read_frames(path, encoding.fps, encoding.image_endings)
  return video_reader.read_frames(path)


def _compute_checksum(path: pathlib.Path, endings: Sequence[str]) -> str:
  digest = hashlib.sha256()
  files = image_folders.list_images(path, endings) if path.is_dir() else [path]
  try:
    for file in files:
      with file.open("rb") as stream:
        hashlib.file_digest(stream, lambda: digest)
  except OSError as error:
    # Otherwise the writer of the records would take the error for its own.
    raise UserError(
      f"{error.filename or path}: expected an unchanged file, received an error"
      f" ({error.strerror}); leave it alone and start again"
    ) from error
  return digest.hexdigest()


def _list_warnings(source: Source, phases: Counter) -> tuple[str, ...]:
  if not isinstance(source.labels, SegmentedVideo):
    return ()
  labels = {segment.label for segment in source.labels.segments}
  missing = ", ".join(map(str, sorted(labels - set(phases))))
  text = (
    f"{source.path}: no frame lies in phase {missing} of its annotation"
    " (times are microseconds in JSON, seconds in CSV)"
  )
  return (text,) if missing else ()
