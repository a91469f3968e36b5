"""Which frames of embedded videos a task may use."""

import collections
import dataclasses
import warnings
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class LabeledVideo:
  """An embedded video with at least one frame that can be used.

  Attributes:
    embs: [L, D] embeddings of all frames.
    labels: [L] phase of each frame, -1 where there is none.
    usable: [L] bool, frames that have a phase and a finite embedding.
  """

  embs: np.ndarray
  labels: np.ndarray
  usable: np.ndarray


def finite_frames(
  dataset_name: str, split: str, embs: Sequence[np.ndarray]
) -> list[np.ndarray]:
  """Finds the frames whose embeddings are finite, and warns of the others.

  Args:
    dataset_name: Name of the data set, for the warning.
    split: `train` or `val`, for the warning.
    embs: [L_i, D] embeddings, one array a video.

  Returns:
    [L_i] bool, one array a video.
  """
  finite = [np.isfinite(video).all(axis=-1) for video in embs]
  total = sum(len(video) for video in finite)
  dropped = total - sum(int(video.sum()) for video in finite)
  if dropped:
    warnings.warn(
      f"{dataset_name}: {dropped} of {total} {split} frames have NaN or"
      " infinite embeddings and are left out",
      stacklevel=2,
    )
  return finite


def strided_videos(
  dataset_name: str, split: str, videos: Mapping, stride: int
) -> tuple[list[str], list[np.ndarray]]:
  """Takes every so many of the finite frames of each video.

  Args:
    dataset_name: Name of the data set, for the warning.
    split: `train` or `val`, for the warning.
    videos: As `embeddings.load` returns them; `names` may be absent.
    stride: Every so many frames are taken.

  Returns:
    Names, those of several videos with the video's number, and [L_i, D]
    embeddings of the videos with at least one such frame.
  """
  embs = videos["embs"]
  names = _distinct(videos.get("names") or [""] * len(embs))
  finite = finite_frames(dataset_name, split, embs)
  kept = [
    (name, video[ok][::stride])
    for name, video, ok in zip(names, embs, finite, strict=True)
    if ok.any()
  ]
  return [name for name, _ in kept], [frames for _, frames in kept]


def _distinct(names: Sequence[str]) -> Sequence[str]:
  counted = collections.Counter(names)
  numbered = [
    name if counted[name] == 1 else f"{name} (video {number})".strip()
    for number, name in enumerate(names)
  ]
  # Another video may have such a name already.
  return names if len(counted) == len(names) else _distinct(numbered)


def labeled_splits(
  dataset_name: str, **splits: Mapping
) -> dict[str, list[LabeledVideo]] | None:
  """Keeps the videos that have labels.

  Args:
    dataset_name: Name of the data set, for warnings.
    **splits: By name (`train`, `val`), the videos as `embeddings.load` returns
      them; `labels` may be absent or empty.

  Returns:
    The splits' videos with at least one usable frame, in their order; None,
    with one warning, when one of the splits has no such video.
  """
  labeled = {
    split: _labeled_videos(dataset_name, split, videos)
    for split, videos in splits.items()
  }
  empty = [split for split, videos in labeled.items() if not videos]
  if empty:
    warnings.warn(
      f"{dataset_name}: no usable frame labels in {' and '.join(empty)}; the"
      " tasks that need labels are skipped (prepare the records with frame"
      " labels, or remove these tasks from EVAL.TASKS)",
      stacklevel=2,
    )
    return None
  return labeled


def counts(
  splits: Mapping[str, Sequence[LabeledVideo]], stride: int = 1
) -> dict[str, dict[str, int]]:
  """Counts what a task used: `videos` and `frames` of each split."""
  return {
    split: {
      "videos": len(videos),
      "frames": sum(len(v.labels[v.usable][::stride]) for v in videos),
    }
    for split, videos in splits.items()
  }


def _labeled_videos(
  dataset_name: str, split: str, videos: Mapping
) -> list[LabeledVideo]:
  all_labels = videos.get("labels") or []
  if not any((labels >= 0).any() for labels in all_labels):
    return []
  finite = finite_frames(dataset_name, split, videos["embs"])
  labeled = [
    LabeledVideo(embs, labels, (labels >= 0) & ok)
    for embs, labels, ok in zip(videos["embs"], all_labels, finite, strict=True)
  ]
  return [video for video in labeled if video.usable.any()]


def frames_and_labels(
  videos: Sequence[LabeledVideo],
) -> tuple[np.ndarray, np.ndarray]:
  """Joins the usable frames of several videos.

  Args:
    videos: Any number of videos, at least one.

  Returns:
    [F, D] float64 embeddings and [F] phases.
  """
  embs = np.concatenate([video.embs[video.usable] for video in videos])
  return embs.astype(np.float64), usable_labels(videos)


def usable_labels(videos: Sequence[LabeledVideo]) -> np.ndarray:
  """Joins the [F] phases of the usable frames of at least one video."""
  return np.concatenate([video.labels[video.usable] for video in videos])
