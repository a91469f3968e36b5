"""Matches the frames of two videos by their embeddings."""

import numpy as np

from visualization import dtw


def align(
  reference: np.ndarray, candidate: np.ndarray, use_dtw: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Find the candidate's frame that matches each frame of the reference.

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
