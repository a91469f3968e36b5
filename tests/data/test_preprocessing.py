import numpy as np
import pytest
import tensorflow as tf

import config
from data import preprocessing

COLORS = ("BRIGHTNESS", "CONTRAST", "HUE", "SATURATION")
SWITCHES = ("RANDOM_FLIP", "RANDOM_CROP", *COLORS)
SIZE = 16
RNG = np.random.default_rng(0)
# Colors in the middle of the range, so that nothing is clipped.
VIDEO = RNG.integers(90, 140, (3, SIZE, SIZE, 3)).astype(np.uint8)


def section(*on):
  result = config.load().AUGMENTATION
  result.update({switch: switch in on for switch in SWITCHES})
  return result


def augmented(frames, settings, seed, image_size=SIZE):
  arguments = (tf.constant(frames), settings, image_size)
  return preprocessing.augment(*arguments, tf.constant([7, seed])).numpy()


def unit(frames):
  """[-1, 1] back to [0, 1]."""
  return (np.asarray(frames) + 1) / 2


def test_nothing_on_only_maps_to_the_range_of_the_network():
  plain = augmented(VIDEO, section(), 0)
  np.testing.assert_allclose(plain, VIDEO / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("on", [(), *[(s,) for s in SWITCHES], SWITCHES])
@pytest.mark.parametrize("shape", [(9, 31), (40, 17), (16, 16)])
def test_size_and_range(on, shape):
  noise = RNG.choice([0, 255], (2, *shape, 3)).astype(np.uint8)
  for seed in range(3):
    result = augmented(noise, section(*on), seed)
    assert result.shape == (2, SIZE, SIZE, 3) and result.dtype == np.float32
    assert np.isfinite(result).all() and np.abs(result).max() <= 1


@pytest.mark.parametrize("switch", SWITCHES)
def test_one_draw_for_a_video_another_for_another_seed(switch):
  same = np.repeat(VIDEO[:1], 3, axis=0)
  results = [augmented(same, section(switch), seed) for seed in range(8)]
  for result in results:
    np.testing.assert_array_equal(result[1:], result[:1].repeat(2, axis=0))
  assert len({result.tobytes() for result in results}) > 1
  np.testing.assert_array_equal(augmented(same, section(switch), 3), results[3])


def test_flip_is_a_mirror_about_half_the_time():
  plain = augmented(VIDEO, section(), 0)
  mirrored = []
  for seed in range(200):
    result = augmented(VIDEO, section("RANDOM_FLIP"), seed)
    mirrored.append(np.array_equal(result, plain[:, :, ::-1]))
    assert mirrored[-1] or np.array_equal(result, plain)
  assert 70 < sum(mirrored) < 130  # 4.2 standard deviations.


def test_brightness_is_an_even_shift_within_its_bounds():
  shifts = []
  for seed in range(200):
    shift = unit(augmented(VIDEO, section("BRIGHTNESS"), seed)) - VIDEO / 255
    np.testing.assert_allclose(shift, shift.mean(), atol=1e-6)
    shifts.append(shift.mean())
  limit = 32 / 255
  assert max(np.abs(shifts)) <= limit
  assert min(shifts) < -0.9 * limit and max(shifts) > 0.9 * limit


def test_contrast_stretches_each_frame_about_its_mean():
  video = VIDEO / 255
  factors = []
  for seed in range(100):
    result = unit(augmented(VIDEO, section("CONTRAST"), seed))
    means = video.mean((1, 2), keepdims=True)
    factor = (result - means).std() / (video - means).std()
    expected = means + factor * (video - means)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    factors.append(factor)
  assert 0.5 <= min(factors) < 0.6 and 1.4 < max(factors) <= 1.5


@pytest.mark.parametrize("switch", ["HUE", "SATURATION"])
def test_hue_and_saturation_leave_gray_alone_and_change_colors(switch):
  gray = np.repeat(VIDEO[..., :1], 3, axis=-1)
  for seed in range(5):
    result = unit(augmented(gray, section(switch), seed))
    np.testing.assert_allclose(result, gray / 255, atol=1e-5)
    result = unit(augmented(VIDEO, section(switch), seed))
    # Both keep the largest of the three channels.
    np.testing.assert_allclose(result.max(-1), VIDEO.max(-1) / 255, atol=1e-5)
    assert np.abs(result - VIDEO / 255).max() > 0.002


def test_random_crop_is_a_square_of_at_least_four_fifths():
  # Red is the row, green the column: the corners tell the crop.
  rows, columns = np.indices([60, 100])
  frame = np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)[None]
  sides, tops, lefts = [], [], []
  for seed in range(150):
    result = unit(augmented(frame, section("RANDOM_CROP"), seed, 60)) * 255
    # The first and last pixel's center lie (1 - side / 60) / 2 inside.
    spans = [np.ptp(result[..., axis]) / 59 * 60 for axis in (0, 1)]
    assert abs(spans[0] - spans[1]) < 0.5
    sides.append(np.mean(spans))
    tops.append(result[..., 0].min())
    lefts.append(result[..., 1].min())
  assert 47 < min(sides) < 49 and 58.5 < max(sides) < 61
  # The corner can be anywhere: 12 rows and 52 columns are free.
  assert min(tops) < 1 and 9 < max(tops) <= 12.2
  assert min(lefts) < 3 and 45 < max(lefts) <= 52.2


def test_crop_takes_no_frame_apart():
  frame = RNG.integers(0, 256, (1, 1, 1, 3)).astype(np.uint8)
  result = augmented(frame, section("RANDOM_CROP"), 0)
  expected = np.broadcast_to(frame / 127.5 - 1, result.shape)
  np.testing.assert_allclose(result, expected, atol=1e-5)


def test_order_of_color_operations_is_random():
  # With fixed factors only the order is left to chance.
  settings = section("CONTRAST", "SATURATION")
  settings.update(CONTRAST_LOWER=1.5, CONTRAST_UPPER=1.50001)
  settings.update(SATURATION_LOWER=0.5, SATURATION_UPPER=0.50001)
  video = tf.constant(VIDEO / 255, tf.float32)
  contrast, saturation = tf.image.adjust_contrast, tf.image.adjust_saturation
  orders = [saturation(contrast(video, 1.5), 0.5)]
  orders += [contrast(saturation(video, 0.5), 1.5)]
  counts = [0, 0]
  for seed in range(60):
    result = unit(augmented(VIDEO, settings, seed))
    for order, expected in enumerate(orders):
      counts[order] += np.allclose(result, expected, atol=1e-4)
  assert sum(counts) == 60 and min(counts) > 14


@pytest.mark.parametrize("shape", [(8, 8), (24, 12), (40, 33)])
def test_resize_is_antialiased_bilinear(shape):
  frames = RNG.integers(0, 256, (2, *shape, 3)).astype(np.uint8)
  expected = tf.image.resize(frames / 255, [SIZE, SIZE], antialias=True)
  result = preprocessing.prepare(tf.constant(frames), SIZE, False)
  np.testing.assert_allclose(unit(result), expected, atol=1e-5)


def test_evaluation_only_resizes_and_crops_the_centre_on_request():
  wide = np.zeros((1, 20, 41, 3), np.uint8)
  wide[:, :, 10:30] = VIDEO[:1, :1, :1]
  expected = np.broadcast_to(VIDEO[:1, :1, :1], (1, 20, 20, 3)) / 127.5 - 1
  for frames in (wide, wide.transpose(0, 2, 1, 3)):
    kept = preprocessing.prepare(tf.constant(frames), 20, central_crop=True)
    np.testing.assert_allclose(kept, expected, atol=1e-6)
    assert np.min(preprocessing.prepare(tf.constant(frames), 20, False)) == -1
