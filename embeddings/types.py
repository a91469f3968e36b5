"""The embedded video, and the split it belongs to."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

# One list a kind of data, with an entry a video: how users hold embeddings.
Videos = dict[str, list]


@dataclasses.dataclass(frozen=True, eq=False)
class EmbeddedVideo:
  """The embeddings of L frames of one video.

  Attributes:
    embs: [L, D] float32 embeddings.
    steps: [L] int64 index of each frame in the source video.
    name: Name of the video.
    seq_len: Frames in the source video.
    seq_label: Label of the whole video, -1 = none.
    labels: [L] int64 phase of each frame, -1 = none; None where not kept.
    frames: [L, H, W, 3] uint8 RGB; None where not kept.
    times: [L] float64 seconds since the first frame of the source video; None
      or NaN where they are not known.
    source: The video file or folder of images, as the one who prepared it named
      it; empty where it is not known.
    is_predicted: Whether the phases are predicted; not kept in files.
  """

  embs: np.ndarray
  steps: np.ndarray
  name: str
  seq_len: int
  seq_label: int = -1
  labels: np.ndarray | None = None
  frames: np.ndarray | None = None
  times: np.ndarray | None = None
  source: str = ""
  is_predicted: bool = False

  @functools.cached_property
  def finite(self) -> np.ndarray:
    """[L] bool, the frames without NaN or infinity in their embedding."""
    return np.isfinite(self.embs).all(axis=-1)

  @functools.cached_property
  def usable(self) -> np.ndarray:
    """[L] bool, the frames with a phase and a finite embedding."""
    if self.labels is None:
      return np.zeros(len(self.embs), bool)
    return self.finite & (self.labels >= 0)

  @property
  def known_times(self) -> np.ndarray | None:
    """[L] seconds of the frames; None if not all are known."""
    is_known = self.times is not None and np.isfinite(self.times).all()
    return self.times if is_known else None

  def select(self, rows: np.ndarray) -> Self:
    """Keep the frames at some rows, ascending integers."""
    arrays = {field: getattr(self, field) for field in _PER_FRAME}
    kept = {f: array[rows] for f, array in arrays.items() if array is not None}
    return dataclasses.replace(self, **kept)


_OPTIONAL = ("labels", "frames", "times")
# What stands for frames of videos without, where others have some.
_NOT_KNOWN = {"labels": np.int64(-1), "times": np.nan}
_PER_FRAME = ("embs", "steps", *_OPTIONAL)
_PER_VIDEO = ("name", "seq_len", "seq_label", "source")
# The lists at the edge and the fields they come from; names are plural there.
_FIELDS = {f: f for f in _PER_FRAME} | {f"{f}s": f for f in _PER_VIDEO}


@dataclasses.dataclass(frozen=True, eq=False)
class EmbeddedSplit:
  """The embedded videos of one split.

  Attributes:
    videos: The videos, in the order of their records.
    class_names: Names of the phases by number, as far as they are known.
  """

  videos: Sequence[EmbeddedVideo]
  class_names: Sequence[str] = ()

  @classmethod
  def from_lists(cls, lists: Mapping[str, Any]) -> Self:
    """Convert the dict of lists that `embeddings.load` returns.

    Args:
      lists: `embs` and, as far as they are known, `steps`, `names`, `seq_lens`,
        `seq_labels`, `labels`, `frames`, `times` and `sources`, each with an
        entry a video; and `class_names`, the names of the phases.

    Returns:
      The split. Missing steps count from 0, names are `video 0` and so on,
      lengths the last step + 1, labels of whole videos -1; the others are not
      kept then.
    """
    embs = lists["embs"]
    columns = {
      "steps": [np.arange(len(video)) for video in embs],
      "name": [f"video {number}" for number in range(len(embs))],
    }
    columns |= {f: lists[key] for key, f in _FIELDS.items() if lists.get(key)}
    lengths = [int(np.max(s, initial=-1)) + 1 for s in columns["steps"]]
    columns.setdefault("seq_len", lengths)
    videos = [
      EmbeddedVideo(**dict(zip(columns, row, strict=True)))
      for row in zip(*columns.values(), strict=True)
    ]
    return cls(videos, tuple(lists.get("class_names", ())))

  def to_lists(self) -> Videos:
    """Convert to the dict of lists, without what no video has kept."""
    lists = {
      key: [getattr(video, field) for video in self.videos]
      for key, field in _FIELDS.items()
    }
    for key in _OPTIONAL:
      if all(value is None for value in lists[key]):
        del lists[key]
    for key, nothing in _NOT_KNOWN.items():
      if key in lists:
        lists[key] = [
          np.full(len(embs), nothing) if values is None else values
          for embs, values in zip(lists["embs"], lists[key], strict=True)
        ]
    if not any(lists["sources"]):
      del lists["sources"]
    return lists


# What a task is handed: a split, or the lists that `embeddings.load` returns.
AnyVideos = EmbeddedSplit | Mapping[str, Any]


def as_split(videos: AnyVideos) -> EmbeddedSplit:
  """Give what a user or a task holds as a split.

  Args:
    videos: A split, or the dict of lists that `embeddings.load` returns.

  Returns:
    The split.
  """
  if isinstance(videos, EmbeddedSplit):
    return videos
  return EmbeddedSplit.from_lists(videos)
