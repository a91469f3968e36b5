"""Choice of the frames of embedded videos that a task looks at."""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

from embeddings.types import AnyVideos, EmbeddedVideo, as_split


def warn(message: str) -> None:
  """Warn of what a task finds in the data; the runner logs each text once."""
  warnings.warn(message, stacklevel=3)


def strided_videos(
  dataset_name: str, split: str, videos: AnyVideos, stride: int
) -> list[EmbeddedVideo]:
  """Take every `stride`-th of the finite frames of each video.

  Args:
    dataset_name: Name of the data set, for the warning.
    split: `train` or `val`, for the warning.
    videos: The videos of the split.
    stride: Step from one taken frame to the next.

  Returns:
    The videos with at least one such frame, under names that differ: of those
    that several videos share, each gets the video's number.
  """
  all_videos = _checked_videos(dataset_name, split, videos)
  names = _distinct([video.name for video in all_videos])
  rows = [np.flatnonzero(video.finite)[::stride] for video in all_videos]
  return [
    dataclasses.replace(video.select(rows), name=name)
    for video, rows, name in zip(all_videos, rows, names, strict=True)
    if len(rows)
  ]


def labeled_videos(
  dataset_name: str, **splits: AnyVideos
) -> dict[str, list[EmbeddedVideo]] | None:
  """Keep the videos that have labels.

  Args:
    dataset_name: Name of the data set, for warnings.
    **splits: By name (`train`, `val`), the videos of each split.

  Returns:
    The splits' videos with at least one usable frame, in their order; None,
    with a warning, when one of the splits has no such video.
  """
  labeled = {}
  for split, videos in splits.items():
    checked = _checked_videos(dataset_name, split, videos)
    labeled[split] = [video for video in checked if video.usable.any()]
  if empty := [split for split, videos in labeled.items() if not videos]:
    warn(
      f"{dataset_name}: no usable frame labels in {' and '.join(empty)}; the"
      " tasks that need labels are skipped (prepare the records with frame"
      " labels, or remove these tasks from EVAL.TASKS)"
    )
    return None
  return labeled


def frames_and_labels(
  videos: Sequence[EmbeddedVideo],
) -> tuple[np.ndarray, np.ndarray]:
  """Join the usable frames of several videos.

  Args:
    videos: Any number of videos, at least one.

  Returns:
    [F, D] float64 embeddings and [F] phases.
  """
  embs = np.concatenate([video.embs[video.usable] for video in videos])
  labels = np.concatenate([video.labels[video.usable] for video in videos])
  return embs.astype(np.float64), labels


def count_frames(**splits: Sequence[EmbeddedVideo]) -> dict[str, dict]:
  """Count what a label task used: `videos` and `frames` of each split."""
  counts = {}
  for split, videos in splits.items():
    frames = sum(int(video.usable.sum()) for video in videos)
    counts[split] = {"videos": len(videos), "frames": frames}
  return counts


def _checked_videos(
  dataset_name: str, split: str, videos: AnyVideos
) -> Sequence[EmbeddedVideo]:
  """Return the videos, and warn of frames that can't be used."""
  all_videos = as_split(videos).videos
  total = sum(len(video.embs) for video in all_videos)
  dropped = total - sum(int(video.finite.sum()) for video in all_videos)
  if dropped:
    warn(
      f"{dataset_name}: {dropped} of {total} {split} frames have NaN or"
      " infinite embeddings and are left out"
    )
  return all_videos


def _distinct(names: Sequence[str]) -> Sequence[str]:
  # Another video may have such a name already, so it looks again.
  while len(set(names)) < len(names):
    names = [
      name if names.count(name) == 1 else f"{name} (video {number})".strip()
      for number, name in enumerate(names)
    ]
  return names
