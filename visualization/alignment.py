"""Aligns embedded videos to a reference and draws them in step with it."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from absl import logging

from core.errors import UserError
from core.progress import progress
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from visualization import clips, tiles, writing
from visualization.matching import align, find_video, load_comparable


def visualize(
  embs_path: str | os.PathLike,
  video_path: str | os.PathLike,
  *,
  use_dtw: bool = False,
  reference_video: str | int = 0,
  candidate_video: str | int | None = None,
  switch_video: int | None = None,
  grid_mode: bool = True,
  normalize_embeddings: bool = False,
  interval: float | None = None,
) -> int:
  """Draw aligned videos and write them to a file.

  Args:
    embs_path: An embeddings file with frames, or a pattern for several.
    video_path: File to write, `.mp4`, `.gif` or, in grid mode, `.png`.
    use_dtw: Align by dynamic time warping instead of nearest neighbors.
    reference_video: Name or index of the video the others are aligned to.
    candidate_video: That of the one video to show with the reference; None for
      all of them in a grid, or the first other one without.
    switch_video: Frames of the reference before the picture jumps to the
      candidate; None shows both side by side. Only without `grid_mode`.
    grid_mode: Show a grid; otherwise the reference and one candidate.
    normalize_embeddings: Compare the directions of embeddings only.
    interval: Milliseconds a frame; None = as in the video that is shown, or 50
      where its times are not known.

  Returns:
    Number of pictures written.

  Raises:
    UserError: The embeddings can't be shown, or an option doesn't fit them.
  """
  ending = writing.check_output(video_path, interval)
  videos = load_videos(embs_path, normalize_embeddings).videos
  chosen = _choose(videos, reference_video, candidate_video)
  room = writing.ROOMS[ending]
  if not grid_mode:
    clip = _make_pair(chosen, use_dtw, switch_video, room, ending)
  elif switch_video is None:
    clip = align_grid(chosen, use_dtw, room, still=ending == ".png")
  else:
    raise UserError(
      "--switch_video: expected --nogrid_mode with it, received"
      f" {switch_video} in grid mode; add --nogrid_mode or leave --switch_video"
      " out"
    )
  if interval is not None:
    durations = np.full(clip.length, interval / 1000)
    clip = clip._replace(durations=durations)
  writing.write_clip(video_path, clip)
  logging.info("Wrote %d pictures to %s", clip.length, video_path)
  return clip.length


def align_grid(
  videos: Sequence[EmbeddedVideo],
  use_dtw: bool = False,
  room: tiles.Room = clips.DEFAULT_ROOM,
  still: bool = False,
) -> clips.Clip:
  """Align videos to the first one and draw them in a grid.

  Args:
    videos: Videos with frames and finite embeddings; the first is the
      reference.
    use_dtw: Align by dynamic time warping instead of nearest neighbors.
    room: Most pixels of a picture, (width, height).
    still: Draw some videos at some moments in one picture instead.

  Returns:
    The clip, see `writing.write_clip`.
  """
  reference, *others = (video.embs for video in videos)
  # Two equal frames must not make the reference itself stand still.
  matches = [np.arange(len(reference))]
  for embs in progress(others, "aligning", unit="video"):
    matches.append(align(reference, embs, use_dtw)[0])
  draw = clips.sheet_clip if still else clips.grid_clip
  return draw(videos, matches, room)


def load_videos(embs_path: str | os.PathLike, normalize: bool) -> EmbeddedSplit:
  """Load videos that can be aligned and drawn.

  Args:
    embs_path: An embeddings file with frames, or a pattern for several.
    normalize: Scale embeddings to length 1.

  Returns:
    Two or more videos with frames and finite embeddings.

  Raises:
    UserError: The file has no such videos.
  """
  split = load_comparable(embs_path)
  if split.videos[0].frames is None:
    raise UserError(
      f"{embs_path}: expected embeddings with frames to draw, received none;"
      " extract them with extract_embeddings.py --keep_data"
    )
  if not normalize:
    return split
  return dataclasses.replace(split, videos=[*map(_normalize, split.videos)])


def _normalize(video: EmbeddedVideo) -> EmbeddedVideo:
  norms = np.linalg.norm(video.embs, axis=1, keepdims=True)
  embs = video.embs / np.maximum(norms, np.finfo(np.float32).tiny)
  return dataclasses.replace(video, embs=embs)


def _choose(
  videos: Sequence[EmbeddedVideo],
  reference: str | int,
  candidate: str | int | None,
) -> list[EmbeddedVideo]:
  """Return the reference, then the candidate or all other videos."""
  number = find_video(videos, reference, "reference_video")
  others = [i for i in range(len(videos)) if i != number]
  if candidate is not None:
    others = [find_video(videos, candidate, "candidate_video")]
  if number in others:
    raise UserError(
      "--candidate_video: expected another video than --reference_video,"
      f" received {videos[number].name} for both; choose another"
    )
  return [videos[i] for i in (number, *others)]


def _make_pair(
  videos: list[EmbeddedVideo],
  use_dtw: bool,
  switch: int | None,
  room: tiles.Room,
  ending: str,
) -> clips.Clip:
  if ending == ".png":
    raise UserError(
      "--video_path: expected .mp4 or .gif with --nogrid_mode, received .png;"
      " change its ending"
    )
  reference, candidate = videos[:2]
  match, cost = align(reference.embs, candidate.embs, use_dtw)
  if switch is None:
    return clips.pair_clip(reference, candidate, match, cost, room)
  if not 0 < switch < len(match):
    raise UserError(
      f"--switch_video: expected 1 to {len(match) - 1}, as the reference has"
      f" {len(match)} frames, received {switch}; choose a frame inside it"
    )
  return clips.switch_clip(reference, candidate, switch, match, room)
