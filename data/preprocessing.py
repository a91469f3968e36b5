"""Turn encoded frames into augmented float frames in [-1, 1]."""

import functools

import tensorflow as tf
from easydict import EasyDict

_CROP_MIN_SCALE = 0.8


def decode(jpegs: tf.Tensor) -> tf.Tensor:
  """Decode JPEG images of one size: [F] string to [F, H, W, 3] uint8."""
  decode = functools.partial(tf.io.decode_jpeg, channels=3)
  spec = tf.TensorSpec([None, None, 3], tf.uint8)
  return tf.map_fn(decode, jpegs, fn_output_signature=spec)


def augment(
  frames: tf.Tensor, config: EasyDict, image_size: int, seed: tf.Tensor
) -> tf.Tensor:
  """Augment a video for training.

  All frames share one draw: what moves from frame to frame must be the action.

  Args:
    frames: [F, H, W, 3] uint8 frames of one video.
    config: The AUGMENTATION section.
    image_size: Height and width of the result.
    seed: [2] integers that determine every random choice.

  Returns:
    [F, image_size, image_size, 3] float32 frames in [-1, 1].
  """
  seeds = tf.unstack(tf.random.split(seed, num=7))
  if config.RANDOM_FLIP:
    mirror = tf.random.stateless_uniform([], seeds[0]) < 0.5
    # Six times as fast as the slice [:, :, ::-1].
    frames = tf.cond(mirror, lambda: tf.reverse(frames, [2]), lambda: frames)
  if config.RANDOM_CROP:
    frames = _random_square_crop(frames, seeds[1])
  frames = tf.image.convert_image_dtype(frames, tf.float32)
  frames = _change_colors(frames, config, seeds[2:])
  return _finish(frames, image_size)


def prepare(
  frames: tf.Tensor, image_size: int, central_crop: bool
) -> tf.Tensor:
  """Prepare frames for evaluation, without randomness.

  Args:
    frames: [F, H, W, 3] uint8 frames.
    image_size: Height and width of the result.
    central_crop: Whether to take the central square first, as fits a network
      trained on random square crops.

  Returns:
    [F, image_size, image_size, 3] float32 frames in [-1, 1].
  """
  frames = tf.image.convert_image_dtype(frames, tf.float32)
  if central_crop:
    side = tf.reduce_min(tf.shape(frames)[1:3])
    frames = tf.image.resize_with_crop_or_pad(frames, side, side)
  return _finish(frames, image_size)


def _finish(frames: tf.Tensor, image_size: int) -> tf.Tensor:
  size = [image_size, image_size]
  # Enlarged frames are the same without antialiasing, and done much faster;
  # frames of that size already are just copied.
  shrinks = tf.reduce_any(tf.shape(frames)[1:3] > size)
  resize = functools.partial(tf.image.resize, frames, size)
  frames = tf.cond(shrinks, lambda: resize(antialias=True), resize)
  frames = tf.clip_by_value(frames, 0.0, 1.0) * 2.0 - 1.0
  return tf.ensure_shape(frames, [None, *size, 3])


def _random_square_crop(frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
  size = tf.cast(tf.shape(frames)[1:3], tf.float32)
  draws = tf.random.stateless_uniform([3], seed)
  scale = _CROP_MIN_SCALE + (1.0 - _CROP_MIN_SCALE) * draws[0]
  side = tf.round(tf.reduce_min(size) * scale)
  offset = tf.cast((size - side + 1.0) * draws[1:], tf.int32)
  side = tf.cast(side, tf.int32)
  return tf.image.crop_to_bounding_box(frames, offset[0], offset[1], side, side)


def _change_colors(
  frames: tf.Tensor, config: EasyDict, seeds: list[tf.Tensor]
) -> tf.Tensor:
  """Apply the color operations that are on, in random order."""
  delta, turn = config.BRIGHTNESS_MAX_DELTA, config.HUE_MAX_DELTA
  contrast = config.CONTRAST_LOWER, config.CONTRAST_UPPER
  saturation = config.SATURATION_LOWER, config.SATURATION_UPPER
  # Whether it is on, the operation, and the range of its factor.
  choices = (
    (config.BRIGHTNESS, tf.add, -delta, delta),
    (config.CONTRAST, tf.image.adjust_contrast, *contrast),
    (config.HUE, tf.image.adjust_hue, -turn, turn),
    (config.SATURATION, tf.image.adjust_saturation, *saturation),
  )
  operations = [
    (adjust, tf.random.stateless_uniform([], seed, low, high))
    for seed, (is_on, adjust, low, high) in zip(seeds, choices, strict=False)
    if is_on
  ]
  numbers = tf.range(len(operations))
  order = tf.random.experimental.stateless_shuffle(numbers, seeds[-1])
  for position in range(len(operations)):
    branches = [functools.partial(op, frames, x) for op, x in operations]
    frames = tf.switch_case(order[position], branches)
  return frames
