r"""Re-times video files so that they play in step in any player.

    python -m applications.synchronize --embs_path /tmp/embeddings.npy \
      --video_dir ~/clips --output_dir ~/in_step

writes a copy of each original file, without sound, as long as the reference:
at each moment it shows what matches the reference.
"""

import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from absl import flags, logging
from scipy.optimize import isotonic_regression

from applications import embedded_videos
from core import command_line
from core.errors import UserError
from core.progress import progress
from embeddings.types import EmbeddedVideo
from media.frame_encoding import FrameEncoding
from media.frames import Frame
from media.sources import FrameReader, open_source
from media.video_writer import write_video
from visualization.matching import align, find_medoid, find_video

# Matched times are averaged over so many seconds of the reference.
_SMOOTHING = 0.5
# Finer than what is only looked at, as it may be edited further.
_CRF = 18


def synchronize(
  embs_path: str,
  output_dir: str,
  video_dir: str | None = None,
  reference_video: str | None = None,
  candidate_video: Sequence[str] = (),
  use_dtw: bool = True,
) -> list[pathlib.Path]:
  """Write re-timed copies of the files that videos were made from.

  Each copy has as many frames as the reference's file, shown at the same times,
  in the size of its own file. Two frames are in memory at a time.

  Args:
    embs_path: An embeddings file with times and sources, or a pattern.
    output_dir: Folder of the copies, `<name of the video>.mp4`.
    video_dir: Folder of the files; None if the embeddings have their paths.
    reference_video: Name or index of the one that sets the pace; None = medoid.
    candidate_video: Those of the videos to write beside it; empty for all.
    use_dtw: See `match_times`.

  Returns:
    The copies, in the order of the embeddings.

  Raises:
    UserError: A file is missing or broken, or is one that would be replaced.
  """
  videos = embedded_videos.load_videos(embs_path).videos
  if reference_video is None:
    number = find_medoid([video.embs for video in videos])
  else:
    number = find_video(videos, reference_video, "reference_video")
  reference = videos[number]
  names = candidate_video or [video.name for video in videos]
  chosen = {find_video(videos, name, "candidate_video") for name in names}
  videos = [videos[i] for i in sorted({number, *chosen})]
  sources = [_find_source(video, video_dir) for video in videos]
  targets = []
  for video in videos:
    name = re.sub(r"[/\\]", "_", video.name)
    targets.append(pathlib.Path(output_dir, f"{name}.mp4"))
    if targets[-1].resolve() in [source.resolve() for source in sources]:
      raise UserError(
        f"--output_dir: expected another folder than that of the videos,"
        f" received {output_dir}, where {targets[-1].name} would be replaced;"
        " choose another one"
      )
  reader = _open(reference, sources[videos.index(reference)])
  clock = np.array([frame.time for frame in reader])
  shown = [*clock.tolist(), reader.facts.seconds]
  work = list(zip(videos, sources, targets, strict=True))
  for video, source, target in progress(work, "synchronizing", unit="video"):
    times = clock
    if video is not reference:
      matched = match_times(reference, video, use_dtw)
      times = np.interp(clock, reference.times, matched)
    frames = choose_frames(_open(video, source), times)
    write_video(target, _read_images(frames), crf=_CRF, times=shown)
  logging.info("Wrote %d videos to %s", len(targets), output_dir)
  return targets


def match_times(
  reference: EmbeddedVideo, video: EmbeddedVideo, use_dtw: bool = True
) -> np.ndarray:
  """Find the moments of a video that match the frames of the reference.

  They are averaged over half a second, as single matches halt and jump.

  Args:
    reference: The reference, with times.
    video: The other video, with times.
    use_dtw: By dynamic time warping; otherwise by nearest neighbors, made
      monotone by isotonic regression.

  Returns:
    [M] seconds in the video, non-decreasing, for the reference's M embedded
    frames.
  """
  match, _ = align(reference.embs, video.embs, use_dtw)
  times = isotonic_regression(video.times[match]).x
  last, seconds = len(times) - 1, np.ptp(reference.times)
  half = min(last, round(_SMOOTHING / 2 * last / seconds)) if seconds else 0
  # Mirrored through its ends, the average keeps to them.
  padded = np.pad(times, half, mode="reflect", reflect_type="odd")
  window = 2 * half + 1
  return np.convolve(padded, np.full(window, 1 / window), "valid")


def choose_frames(
  frames: Iterable[Frame], times: Sequence[float]
) -> Iterator[Frame]:
  """Yield for each time the nearest frame, the earlier of two, in one pass.

  Args:
    frames: At least one, in order of time.
    times: Seconds, non-decreasing.
  """
  following = iter(frames)
  frame, after = next(following), next(following, None)
  for time in times:
    while after is not None and after.time - time < time - frame.time:
      frame, after = after, next(following, None)
    yield frame


def _read_images(frames: Iterable[Frame]) -> Iterator[np.ndarray]:
  """Yield the images of frames, with square pixels, all of one size."""
  size = None
  for frame in frames:
    image = frame.image
    size = size or frame.size or image.shape[1::-1]
    if image.shape[1::-1] != size:
      image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    yield image


def _find_source(video: EmbeddedVideo, video_dir: str | None) -> pathlib.Path:
  """Find the file or folder that a video was made from."""
  if not video.source or video.known_times is None:
    raise UserError(
      "--embs_path: expected the files of videos and the times of frames,"
      f" received none for {video.name}; extract the embeddings anew, of images"
      " with --fps"
    )
  source = pathlib.Path(video.source)
  path = pathlib.Path(video_dir or "", source)
  if video_dir and source.is_absolute():  # It may have been moved.
    parts = source.parts
    ends = (pathlib.Path(video_dir, *parts[i:]) for i in range(1, len(parts)))
    path = next((x for x in (path, *ends) if x.exists()), path)
  if not path.exists():
    raise UserError(
      f"{path}: expected the file of {video.name}, received none; give the"
      " folder of the videos with --video_dir"
    )
  return path


def _open(video: EmbeddedVideo, path: pathlib.Path) -> FrameReader:
  """Open a source; images come at the rate that they were embedded with."""
  frames, seconds = np.ptp(video.steps), np.ptp(video.times)
  fps = float(frames / seconds) if seconds else 0.0
  return open_source(path, FrameEncoding(fps=fps))


if __name__ == "__main__":
  command_line.define_path(
    "video_dir",
    None,
    "Folder of the original videos (default: where they were embedded).",
  )
  flags.DEFINE_string(
    "reference_video",
    None,
    "Name or index (from 0) of the video that sets the pace (default: medoid).",
  )
  flags.DEFINE_multi_string(
    "candidate_video",
    [],
    "A video to write beside the reference; may be repeated (default: all).",
  )
  flags.DEFINE_boolean(
    "use_dtw",
    True,
    "Align by dynamic time warping, not by nearest neighbors made monotone.",
  )
  embedded_videos.run(synchronize)
