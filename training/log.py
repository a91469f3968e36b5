"""What training tells: a line on the terminal and curves in TensorBoard."""

import time
from collections.abc import Sequence

import tensorflow as tf
from absl import logging
from easydict import EasyDict

from core import run_directory
from training.optimizers import learning_rate


class TrainLog:
  """Reports the progress of training every REPORT_INTERVAL steps.

  A context manager: leaving it writes out what is still buffered.
  """

  def __init__(
    self,
    config: EasyDict,
    histogram_of: Sequence[tf.Variable] = (),
    visualize: bool = False,
  ) -> None:
    """Opens the event file in `LOGDIR/train_logs`.

    Args:
      config: The configuration.
      histogram_of: Variables to log histograms of.
      visualize: Whether to log batches as images.
    """
    self._config = config
    self._histogram_of = histogram_of
    self._visualize = visualize
    self._writer = tf.summary.create_file_writer(
      str(run_directory.train_logs(config.LOGDIR))
    )
    # None until the first step is over: most of its time goes into tracing.
    self._reported_at: float | None = None
    self._steps_since = 0

  def __enter__(self) -> "TrainLog":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Writes out what is buffered."""
    self._writer.close()

  def step(
    self, step: int, scalars: dict[str, tf.Tensor], batch: dict[str, tf.Tensor]
  ) -> None:
    """Reports a step, if it is time to.

    Args:
      step: Steps taken before this one.
      scalars: What the step returned, by tag.
      batch: The batch it was taken on.
    """
    now = time.monotonic()
    self._steps_since += 1
    last = step + 1 == self._config.TRAIN.MAX_ITERS
    due = step % self._config.LOGGING.REPORT_INTERVAL == 0 or last
    with self._writer.as_default(step=step):
      if due:
        self._report(step, scalars, now)
      if self._visualize and step % self._config.TRAIN.VISUALIZE_INTERVAL == 0:
        _write_images(batch)
    if due or self._reported_at is None:
      self._reported_at, self._steps_since = now, 0

  def _report(
    self, step: int, scalars: dict[str, tf.Tensor], now: float
  ) -> None:
    settings, max_iters = (
      self._config.OPTIMIZER.LR,
      self._config.TRAIN.MAX_ITERS,
    )
    for tag, value in scalars.items():
      tf.summary.scalar(tag, value)
    tf.summary.scalar("learning_rate", learning_rate(step, settings, max_iters))
    for variable in self._histogram_of:
      tf.summary.histogram(variable.path, variable)
    speed = ""
    if self._reported_at is not None:
      seconds = (now - self._reported_at) / self._steps_since
      tf.summary.scalar("timing/time_per_iter", seconds)
      left = _duration((max_iters - step - 1) * seconds)
      speed = f"  {1.0 / seconds:.2f} steps/s  {left} left"
    logging.info(
      "step %d/%d  loss %.4f%s", step + 1, max_iters, scalars["loss"], speed
    )


def _duration(seconds: float) -> str:
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}"


def _write_images(batch: dict[str, tf.Tensor]) -> None:
  """Each video of a batch as one strip of its sampled frames."""
  frames = batch["frames"]
  if isinstance(frames, tf.distribute.DistributedValues):
    frames = frames.values[0]
  frames = frames[:, :, -1] * 0.5 + 0.5
  videos, samples, height, width, channels = frames.shape
  strips = tf.transpose(frames, [0, 2, 1, 3, 4])
  strips = tf.reshape(strips, [videos, height, samples * width, channels])
  tf.summary.image("batch", strips, max_outputs=videos)
