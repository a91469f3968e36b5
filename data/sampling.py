"""Which frames of a video enter a batch, by its length and a seed."""

import tensorflow as tf
from easydict import EasyDict


class FrameSampler:
  """Samples frames of a video as the DATA section describes."""

  def __init__(self, settings: EasyDict) -> None:
    """Takes the DATA section."""
    self._settings = settings

  def __call__(
    self, seq_len: tf.Tensor, num_frames: int, seed: tf.Tensor
  ) -> tf.Tensor:
    """Samples frames.

    Args:
      seq_len: Scalar int64, frames of the video.
      num_frames: TRAIN.NUM_FRAMES or EVAL.NUM_FRAMES.
      seed: [3, 2] integers that determine the choice. A sampler uses the first
        row for its frames and may use the last; the second is the
        augmentation's.

    Returns:
      [num_frames] int64 ascending steps; samplers of other kinds may return
      more than `num_frames`.
    """
    return sample_steps(seq_len, num_frames, self._settings, seed[0])


class PositivePairSampler(FrameSampler):
  """Puts a positive, a frame shortly before it, ahead of every frame."""

  def __init__(self, settings: EasyDict, window: int) -> None:
    """Takes the DATA section and TCN.POSITIVE_WINDOW."""
    super().__init__(settings)
    self._window = window

  def __call__(
    self, seq_len: tf.Tensor, num_frames: int, seed: tf.Tensor
  ) -> tf.Tensor:
    """Samples [2 * num_frames] steps: positive, anchor, and so on."""
    anchors = super().__call__(seq_len, num_frames, seed)
    return interleave_positives(anchors, self._window, seed[2])


def sample_steps(
  seq_len: tf.Tensor, num_frames: int, config: EasyDict, seed: tf.Tensor
) -> tf.Tensor:
  """Samples the frames of a video that enter a batch.

  A video that has too few frames repeats its last one.

  Args:
    seq_len: Scalar int64, frames of the video.
    num_frames: Frames to sample, S.
    config: The DATA section.
    seed: [2] integers that determine the choice.

  Returns:
    [S] int64, ascending: distinct and uniform in [RANDOM_OFFSET, seq_len)
    (`offset_uniform`), or every STRIDE-th from a random start (`stride`).
  """
  last = seq_len - 1
  if config.SAMPLING_STRATEGY == "stride":
    span = (num_frames - 1) * config.STRIDE
    latest = tf.maximum(last - span, 0)
    start = tf.random.stateless_uniform([], seed, 0, latest + 1, dtype=tf.int64)
    steps = start + tf.range(num_frames, dtype=tf.int64) * config.STRIDE
  else:
    # A video shorter than the offset still gives its last frame.
    first = tf.minimum(tf.cast(config.RANDOM_OFFSET, tf.int64), last)
    steps = tf.random.experimental.stateless_shuffle(
      tf.range(first, seq_len), seed
    )[:num_frames]
    steps = tf.sort(steps)
    padding = tf.fill([num_frames - tf.shape(steps)[0]], last)
    steps = tf.concat([steps, padding], 0)
  return tf.ensure_shape(tf.minimum(steps, last), [num_frames])


def interleave_positives(
  steps: tf.Tensor, window: int, seed: tf.Tensor
) -> tf.Tensor:
  """Draws for each frame another shortly before it, as TCN needs.

  Args:
    steps: [S] int64 sampled frames, the anchors.
    window: A positive lies uniformly in [step - window, step); what would lie
      before the video is its first frame.
    seed: [2] integers that determine the choice.

  Returns:
    [2 S] int64: positive, anchor, positive, anchor, ...
  """
  back = tf.random.stateless_uniform(
    tf.shape(steps), seed, 1, window + 1, tf.int64
  )
  positives = tf.maximum(steps - back, 0)
  return tf.reshape(tf.stack([positives, steps], axis=1), [2 * steps.shape[0]])


def context_steps(steps: tf.Tensor, config: EasyDict) -> tf.Tensor:
  """Frames that make up the context of each sampled frame: past ones only.

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
