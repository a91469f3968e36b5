import numpy as np
import pytest

from tests.helpers import warped_videos
from visualization import tiles


@pytest.mark.parametrize("count", [*range(1, 40), 90, 399])
def test_grid_shape_holds_all_and_is_near_square(count):
  rows, columns = tiles.grid_shape(count)
  assert rows * columns >= count > (rows - 1) * columns
  assert 0 <= columns - rows <= 3
  if count in (4, 9, 16):
    assert rows == columns


def choose(count, shape=(90, 120), labels=None, room=(1920, 1080)):
  video = warped_videos.make("a", np.zeros((1, *shape, 3), np.uint8))
  return tiles.choose_pages([video] * count, 160, room)


@pytest.mark.parametrize("count", [1, 2, 14, 50, 150, 500, 3000])
@pytest.mark.parametrize("shape", [(90, 120), (120, 90), (90, 160)])
def test_any_number_of_videos_has_room(count, shape):
  pages, (rows, columns), style = choose(count, shape)
  # The reference is on every page.
  assert pages * (rows * columns - 1) >= count - 1
  width, height = style.size
  assert min(width, height) >= 48
  assert columns * (width + 12) <= 1920
  assert rows * (height + 12 + 22 * style.captioned) <= 1080
  assert style.captioned == (width >= 96)
  assert width / height == pytest.approx(shape[1] / shape[0], rel=0.03)
  if count <= 14:
    assert pages == 1 and min(style.size) == 160
  # All that a page holds is used before there is a second one.
  elif pages > 1:
    assert not style.captioned and min(style.size) < 60


def test_few_videos_keep_a_near_square_grid():
  assert choose(6)[1] == (2, 3)
  assert choose(9)[1] == (3, 3)


def test_a_narrow_picture_has_rows_below_each_other():
  pages, (rows, columns), style = choose(4, room=(400, 1200))
  assert (pages, rows, columns) == (1, 4, 1)
  assert style.size == (213, 160)


def test_palette_is_of_the_phases_of_all_videos():
  frames = np.zeros((3, 8, 8, 3), np.uint8)
  plain, first, second = (warped_videos.make(k, frames) for k in range(3))
  assert tiles.phase_palette([plain]) == {}
  first = first.__class__(**vars(first) | {"labels": np.array([0, 1, -1])})
  second = second.__class__(**vars(second) | {"labels": np.array([2, 2, 0])})
  palette = tiles.phase_palette([plain, first, second])
  assert set(palette) == {-1, 0, 1, 2}
  assert len(set(palette.values())) == 4
