"""Batches whose pipeline ends before Python does, and tells what is wrong."""

import atexit
import contextlib
import dataclasses
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence

import tensorflow as tf

from core.errors import UserError
from data import examples
from data.tfrecords import Record

# Of a video or of a batch, by key.
Tensors = dict[str, tf.Tensor]
_RUNNING: weakref.WeakSet[Generator] = weakref.WeakSet()


@dataclasses.dataclass(frozen=True)
class Batches(Iterable[Tensors]):
  """An iterable of batches.

  Iterating raises a UserError if a record is damaged.

  Attributes:
    dataset: A `tf.data.Dataset`, distributed or not.
    records: The records that the batches are made of.
  """

  dataset: tf.data.Dataset | tf.distribute.DistributedDataset
  records: Sequence[Record]

  def __iter__(self) -> Generator[Tensors]:
    """Iterate over the batches."""
    # Now, so that its threads begin.
    running = self._iterate(iter(self.dataset))
    _RUNNING.add(running)
    return running

  def _iterate(self, batches: Iterator[Tensors]) -> Generator[Tensors]:
    # Here, as one that is left alive may end after the modules.
    damage = tf.errors.InvalidArgumentError, tf.errors.UnknownError
    try:
      yield from batches
    except damage as error:
      # TensorFlow tells of an error in a Python function as text.
      if text := error.message.partition("UserError: ")[2]:
        raise UserError(text.partition("\n")[0]) from error
      examples.check_records(self.records)
      raise


@atexit.register
def _end_pipelines() -> None:
  """End pipelines that were left alive.

  When Python ends, their threads could no longer run the functions that read
  frames, and Python would wait for them.
  """
  for running in list(_RUNNING):
    with contextlib.suppress(ValueError):  # One that a thread runs.
      running.close()
