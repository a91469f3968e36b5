"""Converts one source, a video file or a folder of images, to its record.

This runs in worker processes, so nothing here may load TensorFlow.
"""

import contextlib
import dataclasses
import hashlib
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from core.errors import UserError
from data import examples
from dataset_preparation.labels.types import Extent, SegmentedVideo, VideoLabels
from media import image_folders
from media.frame_encoding import FrameEncoding
from media.frame_store import StoredFrame, store_frames
from media.frames import SourceFacts
from media.sources import FrameReader, open_source


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
    warnings: Remarks on its labels.
    facts: What is known of the source as a whole.
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
  facts: SourceFacts = dataclasses.field(default_factory=SourceFacts)


def convert(
  source: Source, encoding: FrameEncoding, target: pathlib.Path | None
) -> Report:
  """Write the record of one source, with one frame at a time in memory.

  Args:
    source: The source.
    encoding: How its frames are stored.
    target: TFRecord file to write. The encoded frames lie beside it meanwhile,
      see `spool_path`. None writes nothing.

  Returns:
    Facts about the record.

  Raises:
    UserError: The source is damaged, holds no frames or more than a record can,
      has a lower rate than asked for, or its labels don't fit.
  """
  reader = open_source(source.path, encoding)
  with _open_spool(target) as spool:
    stored = list(_store_frames(reader, source, encoding, spool))
    times, indices, num_bytes, sizes = zip(*stored, strict=True)
    labels = None
    if source.labels is not None:
      extent = Extent(reader.facts.num_frames, reader.facts.seconds)
      labels = source.labels.label_frames(times, indices, extent)
    if target:
      spool.flush()
      frames = pathlib.Path(spool.name), num_bytes
      facts = source.name, labels, source.label, times if times[-1] else None
      with target.open("wb") as file:
        examples.write_example(file, *frames, *facts)
  phases = Counter(labels)
  seconds, intervals = times[-1], len(times) - 1
  ending = "" if source.path.is_dir() else source.path.suffix
  return Report(
    name=source.name,
    source=source.name + ending,
    sha256=_compute_checksum(source.path, encoding.image_endings),
    num_frames=len(times),
    width=sizes[0][0],
    height=sizes[0][1],
    seconds=seconds,
    fps=round(intervals / seconds, 3) if seconds else None,
    phases={str(phase): phases[phase] for phase in sorted(phases)},
    warnings=_list_warnings(source, phases),
    facts=reader.facts,
  )


@contextlib.contextmanager
def _open_spool(target: pathlib.Path | None) -> Iterator[BinaryIO | None]:
  """Open the file of encoded frames, which is removed at the end."""
  if not target:
    yield None
    return
  path = spool_path(target)
  try:
    with path.open("wb") as file:
      yield file
  finally:
    path.unlink(missing_ok=True)


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
  labels = source.labels
  is_timed = isinstance(labels, SegmentedVideo) and labels.unit.is_time
  if is_timed and source.path.is_dir() and not encoding.fps:
    raise UserError(
      f"{labels.where}: expected labels of frames, as images have no time"
      " stamps, received segments in seconds; give the images' rate with --fps"
    )


def _store_frames(
  reader: FrameReader,
  source: Source,
  encoding: FrameEncoding,
  spool: BinaryIO | None,
) -> Iterator[StoredFrame]:
  """Store the frames of a source, as far as a record holds them."""
  total = 0
  for frame in store_frames(reader, source.path, encoding, spool):
    total += frame.num_bytes + examples.FRAME_OVERHEAD
    # At once: the rest of a long recording could fill the disk.
    if total > examples.MAX_BYTES:
      raise UserError(
        f"{source.path}: expected at most {examples.MAX_BYTES / 2**30:.3g}"
        " GiB of frames, as a record holds, received more after"
        f" {frame.index} frames; cut the video into several, or give a lower"
        " --fps, smaller frames or a lower --jpeg_quality"
      )
    yield frame


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
