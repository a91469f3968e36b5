import dataclasses

import numpy as np
import pytest

from media.colors import NO_PHASE, phase_colors
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
    assert width <= 1920 and height <= clips.DEFAULT_ROOM[1] or clip.length == 1
    assert height % 2 == width % 2 == 0


def test_a_band_has_the_color_of_the_phase():
  frames = np.zeros((3, 160, 160, 3), np.uint8)
  labeled, other, plain = (warped_videos.make(k, frames) for k in range(3))
  labeled = dataclasses.replace(labeled, labels=np.array([0, 1, -1]))
  other = dataclasses.replace(other, labels=np.array([2, 2, 2]))
  videos, same = [labeled, other, plain], [np.arange(3)] * 3
  clip = clips.grid_clip(videos, same)
  phases = [*phase_colors(3), NO_PHASE]
  none = np.divide(clips.BACKGROUND, 255)
  for i in range(3):
    row = clip.draw(i)[9 + 160 + 2] / 255
    expected = [phases[labeled.labels[i]], phases[2], none]
    for tile, color in enumerate(expected):
      left = 9 + tile * 172
      band = row[left : left + 160]
      np.testing.assert_allclose(band, np.tile(color, (160, 1)), atol=0.01)


class Decoded:
  """Frames that exist when one is asked for."""

  def __init__(self, shades):
    self.shape = (len(shades), 200, 200, 3)
    self._shades, self.asked = shades, []

  def __getitem__(self, index):
    assert type(index) is int
    self.asked.append(index)
    return np.full(self.shape[1:], self._shades[index], np.uint8)


def test_frames_are_asked_for_one_at_a_time():
  embs = np.zeros((4, 3), np.float32)
  videos = [warped_videos.make(k, embs) for k in range(2)]
  lazy = [Decoded([10, 20, 30, 40]), Decoded([50, 60, 70, 80])]
  videos = [
    dataclasses.replace(video, frames=frames)
    for video, frames in zip(videos, lazy, strict=True)
  ]
  match = np.array([0, 2, 2, 3])
  made = {
    "grid": clips.grid_clip(videos, [np.arange(4), match]),
    "pair": clips.pair_clip(*videos, match, np.ones((4, 4))),
    "switch": clips.switch_clip(*videos, 1, match),
    "sheet": clips.sheet_clip(videos, [np.arange(4), match]),
  }
  assert not any(frames.asked for frames in lazy)
  picture = made["grid"].draw(1)
  assert picture[100, 100].tolist() == [20] * 3
  assert picture[100, 320].tolist() == [70] * 3
  assert [frames.asked for frames in lazy] == [[1], [2]]
  for name in ("pair", "switch", "sheet"):
    assert made[name].draw(0)[100, 100].tolist() == [10] * 3


def test_pages_follow_each_other_with_the_reference_on_each():
  # 49 x 48 tiles; every video has a color of its own.
  colors = np.random.default_rng(0).permutation(2**15)[:700] * 17
  frames = [np.uint8([c >> 16, c >> 8 & 255, c & 255]) for c in colors]
  videos = [
    warped_videos.make(k, np.broadcast_to(color, (2, 48, 48, 3)))
    for k, color in enumerate(frames)
  ]
  clip = clips.grid_clip(videos, [np.arange(2)] * len(videos))
  assert clip.length == 4
  shown = []
  for i in (1, 3):
    pixels = clip.draw(i).reshape(-1, 3).astype(int)
    numbers = pixels @ [2**16, 2**8, 1]
    shown.append(set(numbers.tolist()) & set(colors.tolist()))
  assert shown[0] | shown[1] == set(colors.tolist())
  assert shown[0] & shown[1] == {colors[0]}


def test_pictures_last_as_long_as_the_frames_of_the_video_that_is_shown():
  def video(name, times):
    frames = np.zeros((len(times), 32, 32, 3), np.uint8)
    made = warped_videos.make(name, frames)
    return dataclasses.replace(made, times=np.array(times))

  uneven, even = video("a", [2, 2.5, 4.5, 5]), video("b", [0, 0.25, 0.5, 0.75])
  unknown = dataclasses.replace(even, times=None)
  match = [np.arange(4)] * 2
  found = clips.grid_clip([uneven, even], match).durations
  np.testing.assert_allclose(found, [0.5, 2, 0.5, 0.5])
  found = clips.switch_clip(even, uneven, 2, np.array([0, 0, 1, 2])).durations
  np.testing.assert_allclose(found, [0.25, 0.25, 2, 0.5, 0.5])
  for nowhere in (unknown, video("c", [0, np.nan, 1, 2]), video("d", [0] * 4)):
    found = clips.pair_clip(nowhere, even, match[0], np.ones((4, 4))).durations
    np.testing.assert_allclose(found, [0.05] * 4)
