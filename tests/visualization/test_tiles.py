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


def choose(count, shape=(90, 120), room=(1920, 1080)):
  video = warped_videos.make("a", np.zeros((1, *shape, 3), np.uint8))
  return tiles.choose_pages([video] * count, 160, room)


def largest_side(count, shape):
  """Shorter side of the largest tiles without captions, by trying all grids."""
  height, width = shape
  scales = [
    min((1914 / c - 12) / width, (1074 / -(-count // c) - 12) / height)
    for c in range(1, count + 1)
  ]
  return int(max(scales) * min(shape))


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
  assert not style.captioned or width >= 96
  assert width / height == pytest.approx(shape[1] / shape[0], rel=0.03)
  if count <= 14:
    assert pages == 1 and style.captioned and min(style.size) == 160
  if not style.captioned:
    on_page = 1 - (1 - count) // pages
    assert min(style.size) == largest_side(on_page, shape)
  if pages > 1:  # One less would not do.
    assert largest_side(1 - (1 - count) // (pages - 1), shape) < 48


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


def test_captions_tell_videos_apart():
  def draw(name, width=200):
    frames = np.zeros((1, 100, width, 3), np.uint8)
    style = tiles.TileStyle((width, 100), True, {})
    tile = tiles.draw_tile(warped_videos.make(name, frames), 0, style, None)
    return tile[103:125].max(axis=2)

  names = ["Schüler_Ä", "Schüler_Ö", "видео", "βίντεο"]
  names += ["x" * 99 + ending for ending in "ab"]
  drawn = [draw(name) for name in names]
  assert all(caption.max() > 200 for caption in drawn)
  assert len({caption.tobytes() for caption in drawn}) == len(names)
