import numpy as np
import pytest
import tensorflow as tf

from media.colors import NO_PHASE, phase_colors
from media.contact_sheet import SheetVideo, draw_contact_sheet
from tests.helpers import record_files

BLUE, ORANGE, GREEN = np.array(phase_colors(3)) * 255
GRAY = np.floor(np.array(NO_PHASE) * 255)


def test_phases_have_different_colors():
  for count in (3, 10, 11, 20):
    assert len(set(phase_colors(count))) == count
  assert len(phase_colors(33)) == 33 and phase_colors(0) == []


def has(picture, color):
  """Number of pixels of a color."""
  return int((np.abs(picture.astype(float) - color).max(-1) <= 1).sum())


def test_rows_of_frames_above_their_phases():
  jpegs = [record_files.jpeg(0, t, (32, 48)) for t in range(20)]
  videos = [
    SheetVideo("first", jpegs, [0] * 10 + [1] * 5 + [-1] * 5),
    SheetVideo("second", jpegs[:3], [0, 1, 2]),
    SheetVideo("a name that is much too long " * 9, jpegs, []),
  ]
  sheet = draw_contact_sheet(videos, ["reach", "pour", "rest"], 5)
  assert sheet.dtype == np.uint8
  width = 5 * 144  # 32 x 48 pixels, 96 high.
  assert sheet.shape[1] == 190 + width
  band = 10 * width
  # The colors of the legend come on top.
  assert band * (1 / 2 + 1 / 3) <= has(sheet, BLUE) < band
  assert band * (1 / 4 + 1 / 3) <= has(sheet, ORANGE) < band
  assert band / 3 <= has(sheet, GREEN) < band / 2
  assert band / 4 <= has(sheet, GRAY) < band / 3


def test_frames_are_evenly_spaced():
  jpegs = [record_files.jpeg(0, t, (96, 96)) for t in range(21)]
  sheet = draw_contact_sheet([SheetVideo("a", jpegs, [])], [], 5)
  red = sheet[10 + 48, 190 + 48 :: 96, 0].astype(int)
  expected = [tf.io.decode_jpeg(jpegs[t])[48, 48, 0] for t in range(0, 21, 5)]
  np.testing.assert_allclose(red, np.array(expected, int), atol=1)


@pytest.mark.parametrize("num_frames, letter", [(1, "i"), (1, "W"), (10, "W")])
def test_legend_has_room_for_all_names(num_frames, letter):
  jpegs = [record_files.jpeg(0, t, (96, 96)) for t in range(15)]
  names = [f"{letter * 40} {number}" for number in range(14)]
  video = SheetVideo("a", jpegs, [*range(14), -1])
  sheet = draw_contact_sheet([video], names, num_frames)
  legend = sheet[: -(96 + 10 + 14)]  # Above the frames and their band.
  for color in [*np.array(phase_colors(14)) * 255, GRAY]:
    assert has(legend, color) > 50
  # Nothing touches the border or the frames.
  for edge in (legend[:3], legend[-3:], legend[:, :3], legend[:, -3:]):
    assert (edge == 255).all()
