r"""Re-times video files so that they play in step in any player.

    python -m applications.synchronize --embs_path /tmp/embeddings.npy \
      --video_dir ~/clips --output_dir ~/synchronized

writes a copy of each original file, without sound, as long as the reference:
at each moment it shows what matches the reference.
"""

import inspect
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from absl import flags
from scipy.optimize import isotonic_regression
from tqdm import tqdm

from applications import embedded_videos
from core import command_line
from core.errors import UserError
from embeddings.types import EmbeddedVideo
from media.frame_encoding import FrameEncoding
from media.frames import Frame
from media.sources import FrameReader, open_source
from media.video_writer import write_video
from visualization.matching import align

FLAGS = flags.FLAGS

# Matched times are averaged over so many seconds of the reference.
_SMOOTHING = 0.5
# Finer than what is only looked at, as it may be edited further.
_CRF = 18


class _Clock(NamedTuple):
  """When the frames of the reference's file are shown.

  Attributes:
    times: [F] seconds.
    end: Seconds at which the last one ends.
  """

  times: np.ndarray
  end: float


def synchronize(
  embs_path: str,
  output_dir: str,
  video_dir: str | None = None,
  reference_video: str = "0",
  use_dtw: bool = True,
) -> list[pathlib.Path]:
  """Write re-timed copies of the files that videos were made from.

  Each copy has as many frames as the reference's file, shown at the same times,
  in the size of its own file. A frame or two are in memory at a time.

  Args:
    embs_path: An embeddings file with times and sources, or a pattern.
    output_dir: Folder of the copies, `<name of the video>.mp4`.
    video_dir: Folder that holds the files; None if the embeddings have their
      full paths.
    reference_video: Name or index of the video that sets the pace.
    use_dtw: Align by dynamic time warping, otherwise by nearest neighbors, made
      monotone by isotonic regression.

  Returns:
    The copies, in the order of the embeddings.

  Raises:
    UserError: A file is missing or broken, or is one that would be replaced.
  """
  videos = embedded_videos.load_videos(embs_path)
  find = embedded_videos.find_video
  reference = videos[find(videos, reference_video, "reference_video")]
  sources = [_find_source(video, video_dir) for video in videos]
  targets = [_name_target(video, output_dir) for video in videos]
  for target in targets:
    if target.resolve() in {source.resolve() for source in sources}:
      raise UserError(
        f"{target}: expected a folder without the original videos to write to,"
        " received the one of this original; choose another --output_dir"
      )
  by_name = dict(zip((v.name for v in videos), sources, strict=True))
  clock = _read_clock(_open(reference, by_name[reference.name]))
  work = list(zip(videos, sources, targets, strict=True))
  for video, source, target in tqdm(work, unit="video", disable=None):
    times = clock.times
    if video is not reference:
      warp = match_times(reference, video, use_dtw)
      times = np.interp(clock.times, reference.times, warp)
    images = _show(choose_frames(_open(video, source), times))
    shown = [*clock.times.tolist(), clock.end]
    write_video(target, images, crf=_CRF, times=shown)
  return targets


def match_times(
  reference: EmbeddedVideo, video: EmbeddedVideo, use_dtw: bool = True
) -> np.ndarray:
  """Find the moments of a video that match the frames of the reference.

  Matched frames are made monotone if they are not, and averaged over half a
  second, so that the video plays smoothly instead of halting and jumping.

  Args:
    reference: The reference, with times.
    video: The other video, with times.
    use_dtw: Align by dynamic time warping, otherwise by nearest neighbors.

  Returns:
    [M] seconds in the video, non-decreasing, of the reference's M embedded
    frames.
  """
  match, _ = align(reference.embs, video.embs, use_dtw)
  warp = isotonic_regression(video.times[match]).x
  span = reference.times[-1] - reference.times[0]
  half = round(_SMOOTHING / 2 * (len(warp) - 1) / span) if span else 0
  half = min(half, len(warp) - 1)
  # Mirrored through its ends, the average keeps to them.
  padded = np.pad(warp, half, mode="reflect", reflect_type="odd")
  return np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), "valid")


def choose_frames(
  frames: Iterable[Frame], times: Sequence[float]
) -> Iterator[Frame]:
  """Choose the frame that is nearest to each of some moments.

  Args:
    frames: In order of time, at least one.
    times: Seconds, non-decreasing.

  Yields:
    For each moment a frame, the earlier of two equally near ones.
  """
  following = iter(frames)
  frame, after = next(following), next(following, None)
  for time in times:
    while after is not None and after.time - time < time - frame.time:
      frame, after = after, next(following, None)
    yield frame


def _show(frames: Iterable[Frame]) -> Iterator[np.ndarray]:
  """Yield the images of frames, square pixels of one size, decoded once."""
  size = None
  for _, same in itertools.groupby(frames, key=lambda frame: frame.index):
    frame = next(same)
    image = frame.image
    size = size or frame.size or image.shape[1::-1]
    if image.shape[1::-1] != size:
      image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    yield image
    for _ in same:
      yield image


def _find_source(
  video: EmbeddedVideo, video_dir: str | None
) -> pathlib.Path:
  """Find the file or folder that a video was made from."""
  if not video.source or embedded_videos.known_times(video) is None:
    raise UserError(
      "--embs_path: expected the files of videos and the times of frames,"
      f" received none for {video.name}; extract the embeddings anew, of images"
      " with --fps"
    )
  path = pathlib.Path(video_dir or "", video.source)
  if video_dir and not path.exists() and path.is_absolute():
    path = pathlib.Path(video_dir, path.name)  # It was moved.
  if not path.exists():
    raise UserError(
      f"{path}: expected the file of {video.name}, received none; give the"
      " folder of the videos with --video_dir"
    )
  return path


def _name_target(video: EmbeddedVideo, output_dir: str) -> pathlib.Path:
  """Choose the file of a copy, which lies in the output folder."""
  name = pathlib.PurePath(video.name)
  if name.is_absolute() or ".." in name.parts:
    raise UserError(
      "--embs_path: expected names that are paths in the output folder, such as"
      f" kitchen/clip2, received {video.name!r}; rename the video"
    )
  return pathlib.Path(output_dir, f"{video.name}.mp4")


def _open(video: EmbeddedVideo, path: pathlib.Path) -> FrameReader:
  """Open a source; images come at the rate that they were embedded with."""
  frames, seconds = np.ptp(video.steps), np.ptp(video.times)
  fps = float(frames / seconds) if seconds else 0.0
  return open_source(path, FrameEncoding(fps=fps))


def _read_clock(reader: FrameReader) -> _Clock:
  times = np.array([frame.time for frame in reader])
  return _Clock(times, reader.facts.seconds)


def main() -> None:
  """Read the flags, one for each parameter of `synchronize`, and write."""
  names = inspect.signature(synchronize).parameters
  synchronize(**{name: FLAGS[name].value for name in names})


if __name__ == "__main__":
  command_line.define_path(
    "embs_path",
    None,
    "Embeddings, from extract_embeddings.py; may be a pattern in quotes, such"
    " as '/tmp/embs_*.npy'.",
    required=True,
  )
  command_line.define_path(
    "output_dir", None, "Folder of the re-timed videos.", required=True
  )
  command_line.define_path(
    "video_dir",
    None,
    "Folder of the original videos; not needed if they were embedded with"
    " --videos and lie where they did.",
  )
  flags.DEFINE_string(
    "reference_video",
    "0",
    "Name or index (from 0) of the video that sets the pace.",
  )
  flags.DEFINE_boolean(
    "use_dtw",
    True,
    "Align by dynamic time warping, which matches first and last frames;"
    " otherwise by nearest neighbors, made monotone.",
  )
  command_line.run(main)
