import numpy as np
from scipy.spatial.distance import cdist

from visualization.matching import match_all


def test_each_frame_is_matched_in_every_video():
  rng = np.random.default_rng(0)
  videos = [rng.normal(5, 1, (length, 4)) for length in (7, 1, 12)]
  for video, (rows, distances) in zip(videos, match_all(videos), strict=True):
    for number, other in enumerate(videos):
      expected = cdist(video, other)
      np.testing.assert_array_equal(rows[:, number], expected.argmin(axis=1))
      np.testing.assert_allclose(
        distances[:, number], expected.min(axis=1), atol=1e-12
      )
