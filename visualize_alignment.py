"""Shows videos aligned by their embeddings, as an .mp4 or a .gif.

  python visualize_alignment.py --embs_path /tmp/embeddings.npy

draws a grid of all videos, each at the moment that matches the reference's.
With --nogrid_mode it draws one candidate beside the reference with a map of
their alignment, or, with --switch_video too, jumps from one to the other.
"""

import os
import pathlib

import numpy as np
from absl import flags, logging
from PIL import Image

import embeddings
from core import command_line
from core.errors import UserError
from core.files import atomic_write
from media import gif_writer, video_writer
from visualization import clips, dtw

FLAGS = flags.FLAGS

# The longest side of the picture in pixels. GIFs compress too little for more.
_MAX_SIDE = {".mp4": 1920, ".gif": 960, ".png": 1920}
# With more videos than have room at this size nobody can tell what they show.
_MIN_TILE = 96


def visualize(
  embs_path: str | os.PathLike,
  video_path: str | os.PathLike,
  *,
  use_dtw: bool = False,
  reference_video: int = 0,
  candidate_video: int | None = None,
  switch_video: int | None = None,
  grid_mode: bool = True,
  normalize_embeddings: bool = False,
  interval: float = 50.0,
) -> int:
  """Draws aligned videos and writes them to a file.

  Args:
    embs_path: An embeddings file with frames, or a pattern for several.
    video_path: File to write, `.mp4`, `.gif` or, in grid mode, `.png`.
    use_dtw: Align by dynamic time warping instead of nearest neighbors.
    reference_video: Index of the video the others are aligned to.
    candidate_video: Index of the one video to show with the reference; None
      for all of them in a grid, or the first other one without.
    switch_video: Frames of the reference before the picture jumps to the
      candidate; None shows both side by side. Only without `grid_mode`.
    grid_mode: Show a grid; otherwise the reference and one candidate.
    normalize_embeddings: Compare the directions of embeddings only.
    interval: Milliseconds a frame.

  Returns:
    Number of pictures written.

  Raises:
    UserError: The embeddings can't be shown, or an option doesn't fit them.
  """
  max_side = _check_output(video_path, interval)
  if not grid_mode and _ending(video_path) == ".png":
    raise UserError(
      f"--video_path: a .png needs the grid mode, got {video_path} with"
      " --nogrid_mode; change its ending to .mp4 or .gif"
    )
  if grid_mode and switch_video is not None:
    raise UserError(
      "--switch_video: works with --nogrid_mode only, got it in grid mode; add"
      " --nogrid_mode or leave --switch_video out"
    )
  videos = embeddings.load_many(embs_path)
  _check_videos(videos, embs_path)
  reference, candidate = _choose(videos, reference_video, candidate_video)
  if grid_mode and candidate_video is not None:
    videos = {key: [v[reference], v[candidate]] for key, v in videos.items()}
    reference = 0
  embs = [_normalized(e) if normalize_embeddings else e for e in videos["embs"]]
  if grid_mode:
    _check_count(len(embs), max_side)
    matches = [align(embs[reference], other, use_dtw)[0] for other in embs]
    # Two equal frames must not make the reference itself stand still.
    matches[reference] = np.arange(len(embs[reference]))
    draw_all = (
      clips.sheet_clip if _ending(video_path) == ".png" else clips.grid_clip
    )
    clip = draw_all(videos, reference, matches, max_side)
  else:
    match, cost = align(embs[reference], embs[candidate], use_dtw)
    if switch_video is None:
      clip = clips.pair_clip(
        videos, reference, candidate, match, cost, max_side
      )
    else:
      _check_switch(switch_video, len(match))
      clip = clips.switch_clip(
        videos, reference, candidate, switch_video, match, max_side
      )
  _write(video_path, clip, interval)
  logging.info("Wrote %d pictures to %s", clip.length, video_path)
  return clip.length


def align(
  reference: np.ndarray, candidate: np.ndarray, use_dtw: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Finds the candidate's frame that matches each frame of the reference.

  Args:
    reference: [M, D] float embeddings.
    candidate: [N, D] float embeddings.
    use_dtw: By dynamic time warping, the middle one where it matches several;
      otherwise the nearest neighbor, the first one of equals.

  Returns:
    match: [M] int in 0..N-1.
    cost: [M, N] squared Euclidean distances.
  """
  cost = dtw.squared_distances(reference, candidate)
  if use_dtw:
    return dtw.aligned_frames(dtw.dtw_path(cost)[1]), cost
  return cost.argmin(axis=1), cost


def _normalized(embs: np.ndarray) -> np.ndarray:
  norms = np.linalg.norm(embs, axis=1, keepdims=True)
  return embs / np.maximum(norms, np.finfo(np.float32).tiny)


def _write(path: str | os.PathLike, clip: clips.Clip, interval: float) -> None:
  if _ending(path) == ".gif":
    gif_writer.write_gif(path, clip.length, clip.draw, interval)
  elif _ending(path) == ".png":
    with atomic_write(path) as temporary:
      Image.fromarray(clip.draw(0)).save(temporary)
  else:
    pictures = (clip.draw(i) for i in range(clip.length))
    video_writer.write_video(path, pictures, fps=1000 / interval)


def _ending(path: str | os.PathLike) -> str:
  return pathlib.Path(path).suffix.lower()


def _check_output(path: str | os.PathLike, interval: float) -> int:
  """Returns the longest side of the picture that the format allows."""
  if _ending(path) not in _MAX_SIDE:
    raise UserError(
      f"--video_path: expected a name that ends in .mp4, .gif or .png, got"
      f" {path};"
      " change its ending"
    )
  if not 1 <= interval <= 60_000:
    raise UserError(
      f"--interval: expected 1 to 60000 milliseconds a frame, got {interval:g};"
      " 50 is 20 frames a second"
    )
  return _MAX_SIDE[_ending(path)]


def _check_videos(
  videos: embeddings.Videos, embs_path: str | os.PathLike
) -> None:
  if "frames" not in videos:
    raise UserError(
      f"{embs_path}: expected embeddings with frames to draw, got none; extract"
      " them with extract_embeddings.py --keep_data"
    )
  if len(videos["embs"]) < 2:
    raise UserError(
      f"{embs_path}: expected two or more videos to align, got one; extract"
      " more or use a pattern that matches several files"
    )
  for name, embs in zip(videos["names"], videos["embs"], strict=True):
    if not len(embs):
      raise UserError(
        f"{embs_path}: expected frames in every video, got none in {name};"
        " extract the embeddings without this video"
      )
    if not np.isfinite(embs).all():
      raise UserError(
        f"{embs_path}: expected finite embeddings, got NaN or infinity in"
        f" {name}; extract them with an earlier checkpoint"
      )


def _choose(
  videos: embeddings.Videos, reference: int, candidate: int | None
) -> tuple[int, int]:
  """Returns the checked indices of the reference and the candidate."""
  count = len(videos["embs"])
  if candidate is None:
    candidate = 1 if reference == 0 else 0
  for flag, index in [
    ("--reference_video", reference),
    ("--candidate_video", candidate),
  ]:
    if not 0 <= index < count:
      raise UserError(
        f"{flag}: expected 0 to {count - 1}, as there are {count} videos, got"
        f" {index}; choose one of them"
      )
  if candidate == reference:
    raise UserError(
      f"--candidate_video: expected another video than --reference_video, got"
      f" {candidate} for both; choose another of the {count} videos"
    )
  return reference, candidate


def _check_count(count: int, max_side: int) -> None:
  most = (max_side // _MIN_TILE) ** 2
  if count > most:
    raise UserError(
      f"--embs_path: expected at most {most} videos in a grid of {max_side}"
      f" pixels, got {count}; choose one with --candidate_video or narrow the"
      " pattern"
    )


def _check_switch(switch: int, length: int) -> None:
  if not 0 < switch < length:
    raise UserError(
      f"--switch_video: expected 1 to {length - 1}, as the reference has"
      f" {length} frames, got {switch}; choose a frame inside it"
    )


def main() -> None:
  """Reads the flags and draws."""
  visualize(
    FLAGS.embs_path,
    FLAGS.video_path,
    use_dtw=FLAGS.use_dtw,
    reference_video=FLAGS.reference_video,
    candidate_video=FLAGS.candidate_video,
    switch_video=FLAGS.switch_video,
    grid_mode=FLAGS.grid_mode,
    normalize_embeddings=FLAGS.normalize_embeddings,
    interval=FLAGS.interval,
  )


if __name__ == "__main__":
  command_line.define_path(
    "video_path",
    "/tmp/aligned.mp4",
    "File to write: .mp4 (H.264, at most 1920 pixels a side), .gif (at most"
    " 960), or .png (a still: some videos at some moments of the reference; in"
    " grid mode only).",
  )
  command_line.define_path(
    "embs_path",
    None,
    "Embeddings with frames, from extract_embeddings.py --keep_data; may be a"
    " pattern in quotes, such as '/tmp/embs_*.npy', to show several files.",
    required=True,
  )
  flags.DEFINE_boolean(
    "use_dtw",
    False,
    "Align by dynamic time warping, which never goes back in time and matches"
    " first and last frames; otherwise by nearest neighbors, each frame for"
    " itself.",
  )
  flags.DEFINE_integer(
    "reference_video",
    0,
    "Index (from 0) of the video the others are aligned to.",
  )
  flags.DEFINE_integer(
    "candidate_video",
    None,
    "Index (from 0) of the video to show with the reference. Default: all of"
    " them in a grid, the first other one with --nogrid_mode.",
  )
  flags.DEFINE_integer(
    "switch_video",
    None,
    "Only with --nogrid_mode: show this many frames of the reference, then jump"
    " to the matching moment of the candidate and play it to its end. Counts"
    " embedded frames. Default: no jump, both side by side.",
  )
  flags.DEFINE_boolean(
    "grid_mode",
    True,
    "Show a grid of all videos; --nogrid_mode shows the reference and one"
    " candidate.",
  )
  flags.DEFINE_boolean(
    "normalize_embeddings",
    False,
    "Scale every embedding to length 1 before comparing.",
  )
  flags.DEFINE_float(
    "interval", 50.0, "Milliseconds a frame; 50 is 20 frames a second."
  )
  command_line.run(main)
