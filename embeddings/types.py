"""The embedded video, and the split it belongs to."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class EmbeddedVideo:
  """What the network made of one video, L frames of it.

  Attributes:
    embs: [L, D] float32 embeddings.
    steps: [L] int64 index of each frame in the source video.
    name: Name of the video.
    seq_len: Frames in the source video.
    seq_label: Label of the whole video, -1 = none.
    labels: [L] int64 phase of each frame, -1 = none; None where not kept.
    frames: [L, H, W, 3] uint8 RGB; None where not kept.
  """

  embs: np.ndarray
  steps: np.ndarray
  name: str
  seq_len: int
  seq_label: int = -1
  labels: np.ndarray | None = None
  frames: np.ndarray | None = None


# The lists at the edge, one entry a video, and the fields they come from.
_LISTS = {
  "embs": "embs",
  "steps": "steps",
  "names": "name",
  "seq_lens": "seq_len",
  "seq_labels": "seq_label",
  "labels": "labels",
  "frames": "frames",
}


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
    """Converts the dict of lists that `embeddings.load` returns.

    Args:
      lists: `embs` and, as far as they are known, `steps`, `names`, `seq_lens`,
        `seq_labels`, `labels` and `frames`, each with an entry a video; and
        `class_names`, the names of the phases.

    Returns:
      The split. Missing steps count from 0, names are empty, lengths are those
      of the embeddings, and other missing lists are not kept.
    """
    videos = []
    for index, embs in enumerate(lists["embs"]):
      known = {
        field: lists[key][index]
        for key, field in _LISTS.items()
        if lists.get(key) is not None and len(lists[key])
      }
      defaults = {
        "steps": np.arange(len(embs)),
        "name": "",
        "seq_len": len(embs),
      }
      videos.append(EmbeddedVideo(**defaults | known))
    return cls(videos, tuple(lists.get("class_names", ())))

  def to_lists(self) -> dict[str, list[Any]]:
    """Converts to the dict of lists, without what no video has kept."""
    lists = {
      key: [getattr(video, field) for video in self.videos]
      for key, field in _LISTS.items()
    }
    return {
      key: values
      for key, values in lists.items()
      if any(value is not None for value in values)
    }
