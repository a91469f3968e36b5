"""Progress of training on the terminal and in TensorBoard."""

import contextlib
import os
import time
from collections.abc import Sequence

import tensorflow as tf
from absl import logging
from easydict import EasyDict

from algos.algorithm import Batch
from core import run_directory
from training.optimizers import learning_rate

# What a training step returns, by tag.
Scalars = dict[str, tf.Tensor]


class TrainLog(contextlib.AbstractContextManager):
  """Reports the progress of training every LOGGING.REPORT_INTERVAL steps.

  A context manager: leaving it writes out what is still buffered.

  Args:
    config: The configuration; curves go to `train_logs` in its LOGDIR.
    histogram_of: Variables to log histograms of.
    visualize: Whether to log batches as images.
  """

  def __init__(
    self,
    config: EasyDict,
    histogram_of: Sequence[tf.Variable] = (),
    visualize: bool = False,
  ) -> None:
    self._config = config
    self._histogram_of = histogram_of
    self._visualize = visualize
    folder = str(run_directory.train_logs(config.LOGDIR))
    self._writer = tf.summary.create_file_writer(folder)
    # None until the first step is over: most of its time goes into tracing.
    self._reported_at: float | None = None
    self._steps_since = 0
    self._waited = 0.0

  def __exit__(self, *_: object) -> None:
    """Write out what is buffered."""
    self._writer.close()

  def step(
    self, step: int, scalars: Scalars, batch: Batch, waited: float = 0.0
  ) -> None:
    """Report a step, if it is time to.

    Args:
      step: Steps taken before this one.
      scalars: What the step returned, by tag.
      batch: The batch it was taken on.
      waited: Seconds that the step waited for it.
    """
    now = time.monotonic()
    self._steps_since += 1
    self._waited += waited
    last = step + 1 == self._config.TRAIN.MAX_ITERS
    due = step % self._config.LOGGING.REPORT_INTERVAL == 0 or last
    with self._writer.as_default(step=step):
      if due:
        self._report(step, scalars, now)
      if self._visualize and step % self._config.TRAIN.VISUALIZE_INTERVAL == 0:
        _write_images(batch)
    if due or self._reported_at is None:
      self._reported_at, self._steps_since, self._waited = now, 0, 0.0

  def _report(self, step: int, scalars: Scalars, now: float) -> None:
    max_iters = self._config.TRAIN.MAX_ITERS
    rate = learning_rate(step, self._config.OPTIMIZER.LR, max_iters)
    for tag, value in scalars.items():
      tf.summary.scalar(tag, value)
    tf.summary.scalar("learning_rate", rate)
    for variable in self._histogram_of:
      tf.summary.histogram(variable.path, variable)
    speed = ""
    if self._reported_at is not None:
      seconds = (now - self._reported_at) / self._steps_since
      tf.summary.scalar("timing/time_per_iter", seconds)
      waited = self._waited / self._steps_since
      tf.summary.scalar("timing/input_wait", waited)
      left = round((max_iters - step - 1) * seconds)
      left = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"
      speed = f"  {1.0 / seconds:.2f} steps/s  {left}"
    progress = step + 1, max_iters, scalars["loss"], speed
    logging.info("step %d/%d  loss %.4f%s", *progress)


def read_losses(logdir: str | os.PathLike) -> list[float]:
  """Read the losses that a run has reported, in the order of its steps."""
  # Here: training does without.
  from tensorboard.backend.event_processing import event_accumulator

  folder = str(run_directory.train_logs(logdir))
  events = event_accumulator.EventAccumulator(folder, {"tensors": 0})
  events.Reload()
  # A step that was taken again counts once.
  losses = {x.step: x.tensor_proto for x in events.Tensors("loss")}
  return [float(tf.make_ndarray(losses[step])) for step in sorted(losses)]


def _write_images(batch: Batch) -> None:
  """Log each video of a batch as one strip of its sampled frames."""
  frames = batch["frames"]
  if isinstance(frames, tf.distribute.DistributedValues):
    frames = frames.values[0]
  frames = frames[:, :, -1] * 0.5 + 0.5
  videos, samples, height, width, channels = frames.shape
  strips = tf.transpose(frames, [0, 2, 1, 3, 4])
  strips = tf.reshape(strips, [videos, height, samples * width, channels])
  tf.summary.image("batch", strips, max_outputs=videos)
