import cv2
import numpy as np
import pytest

from media.frame_encoding import FrameEncoding
from media.frames import Frame
from tests.helpers import video_files
from tests.helpers.errors import message_of


def encode(image, encoding, jpeg=None):
  return encoding.encode(Frame(0, 0.0, lambda: image, jpeg))


def encode_and_decode(image, encoding):
  jpeg, size = encode(image, encoding)
  found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
  assert found.shape[1::-1] == size
  return found[..., ::-1].astype(int)


def test_shrinking_averages_over_areas():
  rng = np.random.default_rng(0)
  image = np.repeat(rng.integers(0, 255, (16, 16, 1), np.uint8), 3, axis=2)
  means = image.reshape(4, 4, 4, 4, 3).mean((1, 3)).round().astype(np.uint8)
  found = encode_and_decode(image, FrameEncoding(size=(4, 4)))
  expected = encode_and_decode(means, FrameEncoding(size=None))
  np.testing.assert_allclose(found, expected, atol=2)


@pytest.mark.parametrize(
  ("width", "height", "rotate", "expected"),
  [
    *((96, 64, 0, (48, 32)), (64, 96, 0, (32, 48)), (96, 64, 90, (32, 48))),
    *((33, 65, 0, (32, 63)), (7, 7, 0, (32, 32))),
  ],
)
def test_short_side_keeps_the_aspect_ratio(width, height, rotate, expected):
  image = np.zeros((height, width, 3), np.uint8)
  _, size = encode(image, FrameEncoding(short_side=32, rotate=rotate))
  assert size == expected


@pytest.mark.parametrize(
  ("encoding", "expected"),
  [
    (FrameEncoding(size=None), (512, 288)),
    (FrameEncoding(size=None, rotate=90), (288, 512)),
    (FrameEncoding(short_side=144), (256, 144)),
    (FrameEncoding(short_side=144, rotate=270), (144, 256)),
    (FrameEncoding(size=(90, 80)), (90, 80)),
  ],
)
def test_pixels_that_are_not_square_are_stored_as_shown(encoding, expected):
  # A disc on the screen, as 360 x 288 pixels.
  y, x = np.mgrid[:288, :360]
  disc = ((x - 180) * 512 / 360) ** 2 + (y - 144) ** 2 < 100**2
  image = np.repeat(np.uint8(255 * disc)[..., None], 3, axis=2)
  frame = Frame(0, 0.0, lambda: image, size=(512, 288))
  jpeg, size = encoding.encode(frame)
  assert size == expected
  found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
  extent = [np.ptp(places) + 1 for places in np.nonzero(found > 128)]
  if encoding.size is None or encoding.short_side:
    assert abs(extent[0] - extent[1]) <= 3
  else:  # Squeezed as asked.
    np.testing.assert_allclose(extent, (200 / 288 * 80, 200 / 512 * 90), atol=2)


@pytest.mark.parametrize(
  ("rotate", "expected"), [(90, "BRWG"), (180, "WBGR"), (270, "GWRB")]
)
def test_rotate_turns_clockwise_before_resizing(rotate, expected):
  encoding = FrameEncoding(rotate=rotate, size=(40, 20))
  image = encode_and_decode(video_files.quartered(), encoding)
  assert video_files.colors(image) == expected
  assert image.shape == (20, 40, 3)


def test_quality_sets_the_size_of_the_file():
  image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
  jpegs = [encode(image, FrameEncoding(quality=q))[0] for q in (20, 95)]
  assert len(jpegs[0]) < len(jpegs[1]) / 2


def test_a_jpeg_is_taken_over_unless_something_has_to_be_changed():
  image = np.zeros((8, 12, 3), np.uint8)
  for encoding in (FrameEncoding(size=None), FrameEncoding(size=(12, 8))):
    assert encode(image, encoding, b"as it is") == (b"as it is", (12, 8))
  for encoding in (FrameEncoding(), FrameEncoding(size=None, rotate=180)):
    assert encode(image, encoding, b"as it is")[0] != b"as it is"


def test_frames_too_large_for_a_jpeg_are_told_before_they_are_made():
  frame = Frame(0, 0.0, lambda: np.zeros((2, 4, 3), np.uint8))
  encode_large = FrameEncoding(short_side=60_000).encode
  assert message_of(encode_large, frame, "in/v0.mp4") == (
    "in/v0.mp4: expected frames of at most 65500 pixels a side, as a JPEG"
    " holds, received 120000 x 60000; give a smaller --short_side, or --width"
    " and --height"
  )
