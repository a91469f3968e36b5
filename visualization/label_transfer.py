"""Predicts the phases of a video from videos that have some."""

from collections.abc import Sequence

import numpy as np

from embeddings.types import EmbeddedVideo


def predict_labels(
  query: EmbeddedVideo,
  labeled: Sequence[EmbeddedVideo],
  use_dtw: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
  """Give each frame the phase of the nearest labeled frame.

  Args:
    query: The video, L frames long.
    labeled: Videos with phases, at least one frame.
    use_dtw: Not used here.

  Returns:
    labels: [L] int64 phases.
    confidence: [L] float, 1 everywhere.
  """
  del use_dtw
  from sklearn.metrics import pairwise_distances_argmin_min

  embs = np.concatenate([video.embs[video.usable] for video in labeled])
  labels = np.concatenate([video.labels[video.usable] for video in labeled])
  nearest, _ = pairwise_distances_argmin_min(query.embs, embs)
  return labels[nearest], np.ones(len(nearest))
