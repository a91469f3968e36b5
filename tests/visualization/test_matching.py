import dataclasses

import numpy as np
from scipy.spatial.distance import cdist

from tests.helpers.embedded_videos import timed_videos
from tests.helpers.errors import message_of
from visualization.matching import find_medoid, find_video, match_all


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


def test_a_video_is_found_by_name_then_by_index():
  videos = timed_videos(3, seed=0)
  videos[2] = dataclasses.replace(videos[2], name="0")
  assert [find_video(videos, x, "query") for x in ("video 1", "1")] == [1, 1]
  assert find_video(videos, "0", "query") == 2
  # What is no text is no name.
  assert find_video(videos, 0, "query") == 0
  for wrong, hint in (("video1", "did you mean 'video 1'?"), ("3", "choose")):
    told = message_of(find_video, videos, wrong, "query")
    assert told.startswith("--query: expected the name of a video or its index")
    assert f"0 to 2, received {wrong!r}; {hint}" in told


def test_the_medoid_is_nearest_to_all_others():
  line = [np.linspace([0, x], [1, x], 9) for x in (5.0, 1.0, 0.0, 1.5, 3.0)]
  assert find_medoid(line) == 3
