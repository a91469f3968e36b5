import numpy as np
import pytest

from tests.helpers import warped_videos
from visualization import clips


def test_grid_draws_stored_pixels():
  """A tile of the frame's own size is the frame, byte for byte."""
  frames = np.random.default_rng(0).integers(0, 256, (2, 4, 180, 170, 3))
  frames = frames.astype(np.uint8)
  videos = [warped_videos.make(*pair) for pair in enumerate(frames)]
  clip = clips.grid_clip(videos, [np.arange(4), np.array([0, 2, 2, 3])])
  assert clip.length == 4
  picture = clip.draw(1)
  np.testing.assert_array_equal(picture[9:189, 9:179], frames[0, 1])
  np.testing.assert_array_equal(picture[9:189, 191:361], frames[1, 2])


def test_pair_map_has_its_dots_on_the_alignment():
  match = np.arange(0, 20, 2)
  frames = np.zeros((20, 300, 300, 3), np.uint8)
  videos = [warped_videos.make("a", frames[:count]) for count in (10, 20)]
  clip = clips.pair_clip(*videos, match, np.ones((10, 20)))
  chart = clip.draw(0)[9:369, 9 + 2 * 372 : 369 + 2 * 372]
  for i in range(1, 10):
    x, y = 36 * i + 18, 360 - 18 * (match[i] + 0.5)
    np.testing.assert_array_equal(chart[int(y), x], clips.TEXT)
    assert not np.array_equal(chart[int(y), 360 - x], clips.TEXT)


@pytest.mark.parametrize("count", [*range(1, 40), 90, 399])
def test_grid_shape_holds_all_and_is_near_square(count):
  rows, columns = clips.grid_shape(count)
  assert rows * columns >= count > (rows - 1) * columns
  assert 0 <= columns - rows <= 3
  if count in (4, 9, 16):
    assert rows == columns


@pytest.mark.parametrize("shape", [(16, 16), (700, 40), (40, 900), (720, 1280)])
@pytest.mark.parametrize("count", [2, 90])
def test_any_frame_size_fits(shape, count):
  frames = np.zeros((2, *shape, 3), np.uint8)
  video = warped_videos.make("a rather long name of a video, " * 3, frames)
  match = np.arange(2)
  for clip in (
    clips.grid_clip([video] * count, [match] * count),
    clips.sheet_clip([video] * count, [match] * count),
    clips.pair_clip(video, video, match, np.ones((2, 2))),
    clips.switch_clip(video, video, 1, match),
  ):
    height, width, _ = clip.draw(1).shape
    assert max(height, width) <= 1920
    assert height % 2 == width % 2 == 0
