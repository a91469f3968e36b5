"""Aligns embedded videos to a reference and draws them in step with it."""

import dataclasses
import os

import numpy as np
from absl import logging

import embeddings
from core.errors import UserError
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from visualization import clips, writing
from visualization.matching import align

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
  """Draw aligned videos and write them to a file.

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
  ending = writing.check_output(video_path, interval)
  videos = load_videos(embs_path, normalize_embeddings)
  chosen = _choose(videos, reference_video, candidate_video)
  make_clip = _make_grid if grid_mode else _make_pair
  clip = make_clip(chosen, use_dtw, switch_video, ending)
  writing.write_clip(video_path, clip, interval)
  logging.info("Wrote %d pictures to %s", clip.length, video_path)
  return clip.length


def load_videos(
  embs_path: str | os.PathLike, normalize: bool
) -> list[EmbeddedVideo]:
  """Load videos that can be aligned and drawn.

  Args:
    embs_path: An embeddings file with frames, or a pattern for several.
    normalize: Scale embeddings to length 1.

  Returns:
    Two or more videos with frames and finite embeddings.

  Raises:
    UserError: The file has no such videos.
  """
  videos = EmbeddedSplit.from_lists(embeddings.load_many(embs_path)).videos
  if len(videos) < 2:
    raise UserError(
      f"{embs_path}: expected two or more videos to align, received one;"
      " extract more or use a pattern that matches several files"
    )
  for video in videos:
    if video.frames is None:
      raise UserError(
        f"{embs_path}: expected embeddings with frames to draw, received none;"
        " extract them with extract_embeddings.py --keep_data"
      )
    if not len(video.embs):
      raise UserError(
        f"{embs_path}: expected frames in every video, received none in"
        f" {video.name}; extract the embeddings without this video"
      )
    if not video.finite.all():
      raise UserError(
        f"{embs_path}: expected finite embeddings, received NaN or infinity in"
        f" {video.name}; extract them with an earlier checkpoint"
      )
  return [_normalize(video) for video in videos] if normalize else videos


def _normalize(video: EmbeddedVideo) -> EmbeddedVideo:
  norms = np.linalg.norm(video.embs, axis=1, keepdims=True)
  embs = video.embs / np.maximum(norms, np.finfo(np.float32).tiny)
  return dataclasses.replace(video, embs=embs)


def _choose(
  videos: list[EmbeddedVideo], reference: int, candidate: int | None
) -> list[EmbeddedVideo]:
  """Return the reference, then the candidate or all other videos."""
  count = len(videos)
  for role, index in (("reference", reference), ("candidate", candidate)):
    if index is not None and not 0 <= index < count:
      raise UserError(
        f"--{role}_video: expected 0 to {count - 1}, as there are {count}"
        f" videos, received {index}; choose one of them"
      )
  if candidate == reference:
    raise UserError(
      "--candidate_video: expected another video than --reference_video,"
      f" received {candidate} for both; choose another of the {count} videos"
    )
  others = range(count) if candidate is None else [candidate]
  return [videos[reference], *(videos[i] for i in others if i != reference)]


def _make_grid(
  videos: list[EmbeddedVideo], use_dtw: bool, switch: int | None, ending: str
) -> clips.Clip:
  if switch is not None:
    raise UserError(
      f"--switch_video: expected --nogrid_mode with it, received {switch} in"
      " grid mode; add --nogrid_mode or leave --switch_video out"
    )
  max_side = writing.MAX_SIDES[ending]
  most = (max_side // _MIN_TILE) ** 2
  if len(videos) > most:
    raise UserError(
      f"--embs_path: expected at most {most} videos in a grid of {max_side}"
      f" pixels, received {len(videos)}; choose one with"
      " --candidate_video or narrow the pattern"
    )
  reference, *others = (video.embs for video in videos)
  # Two equal frames must not make the reference itself stand still.
  matches = [np.arange(len(reference))]
  matches += [align(reference, embs, use_dtw)[0] for embs in others]
  draw = clips.sheet_clip if ending == ".png" else clips.grid_clip
  return draw(videos, matches, max_side)


def _make_pair(
  videos: list[EmbeddedVideo], use_dtw: bool, switch: int | None, ending: str
) -> clips.Clip:
  if ending == ".png":
    raise UserError(
      "--video_path: expected .mp4 or .gif with --nogrid_mode, received .png;"
      " change its ending"
    )
  max_side = writing.MAX_SIDES[ending]
  reference, candidate = videos[:2]
  match, cost = align(reference.embs, candidate.embs, use_dtw)
  if switch is None:
    return clips.pair_clip(reference, candidate, match, cost, max_side)
  if not 0 < switch < len(match):
    raise UserError(
      f"--switch_video: expected 1 to {len(match) - 1}, as the reference has"
      f" {len(match)} frames, received {switch}; choose a frame inside it"
    )
  return clips.switch_clip(reference, candidate, switch, match, max_side)
