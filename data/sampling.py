"""Choose the frames of a video that enter a batch, by its length and a seed."""

import tensorflow as tf
from easydict import EasyDict


class FrameSampler:
  """Samples frames of a video as the DATA section describes.

  Args:
    settings: The DATA section.
  """

  def __init__(self, settings: EasyDict) -> None:
    self._settings = settings

  def __call__(
    self, seq_len: tf.Tensor, num_frames: int, seeds: tf.Tensor
  ) -> tf.Tensor:
    """Sample frames. A video that has too few repeats its last one.

    Args:
      seq_len: Scalar int64, frames of the video.
      num_frames: TRAIN.NUM_FRAMES or EVAL.NUM_FRAMES, S.
      seeds: [3, 2] integers that determine the choice. A sampler uses the first
        row for its frames and may use the last; the second is the
        augmentation's.

    Returns:
      [S] int64 ascending steps: distinct and uniform in [RANDOM_OFFSET,
      seq_len) (`offset_uniform`), or every STRIDE-th from a random start
      (`stride`). Samplers of other kinds may return more than S.
    """
    config, seed = self._settings, seeds[0]
    last = seq_len - 1
    if config.SAMPLING_STRATEGY == "stride":
      span = (num_frames - 1) * config.STRIDE
      latest = tf.maximum(last - span, 0)
      start = tf.random.stateless_uniform([], seed, 0, latest + 1, tf.int64)
      steps = start + tf.range(num_frames, dtype=tf.int64) * config.STRIDE
    else:
      # A video shorter than the offset still gives its last frame.
      first = tf.minimum(tf.cast(config.RANDOM_OFFSET, tf.int64), last)
      steps = tf.range(first, seq_len)
      steps = tf.random.experimental.stateless_shuffle(steps, seed)
      steps = tf.sort(steps[:num_frames])
      padding = tf.fill([num_frames - tf.shape(steps)[0]], last)
      steps = tf.concat([steps, padding], 0)
    return tf.ensure_shape(tf.minimum(steps, last), [num_frames])


class PositivePairSampler(FrameSampler):
  """Puts a positive, a frame shortly before it, ahead of every frame.

  Args:
    settings: The DATA section.
    window: TCN.POSITIVE_WINDOW. A positive lies uniformly in
      [step - window, step); what would lie before the video is its first frame.
  """

  def __init__(self, settings: EasyDict, window: int) -> None:
    super().__init__(settings)
    self._window = window

  def __call__(
    self, seq_len: tf.Tensor, num_frames: int, seeds: tf.Tensor
  ) -> tf.Tensor:
    """Sample [2 S] int64 steps: positive, anchor, positive, anchor, ..."""
    anchors = super().__call__(seq_len, num_frames, seeds)
    shape, limit = [num_frames], self._window + 1
    back = tf.random.stateless_uniform(shape, seeds[2], 1, limit, tf.int64)
    positives = tf.maximum(anchors - back, 0)
    return tf.reshape(tf.stack([positives, anchors], axis=1), [2 * num_frames])


def context_steps(steps: tf.Tensor, config: EasyDict) -> tf.Tensor:
  """Return the frames that make up the context of each sampled frame.

  Args:
    steps: [S] int64 sampled frames.
    config: The DATA section.

  Returns:
    [S * NUM_STEPS] int64: for each sampled frame its context in order of time,
    FRAME_STRIDE frames of the source video apart, ending with the frame itself;
    what would lie before the video is its first frame.
  """
  back = tf.range(config.NUM_STEPS - 1, -1, -1, dtype=tf.int64)
  context = steps[:, None] - back * config.FRAME_STRIDE
  return tf.reshape(tf.maximum(context, 0), [-1])
