"""Converts sources on several processes that load no TensorFlow."""

import collections
import dataclasses
import multiprocessing
import os
import pathlib
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import cv2

from core.errors import UserError
from dataset_preparation import conversion
from dataset_preparation.conversion import Report, Source
from media.frame_encoding import FrameEncoding


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A source that can't be converted.

  Attributes:
    name: Its name.
    reason: What is wrong with it.
  """

  name: str
  reason: str


# A source and the record file to write, None to write nothing.
Job = tuple[Source, pathlib.Path | None]


def convert_all(
  jobs: Sequence[Job], encoding: FrameEncoding, num_workers: int
) -> Iterator[Report | Skipped]:
  """Convert sources, a bounded number of them ahead of the consumer.

  Closing the iterator ends the workers at once. They end with this process,
  too, however it ends.

  Args:
    jobs: The sources and their record files.
    encoding: How frames are stored.
    num_workers: Number of processes; 0 for one per core. A single one is this
      process itself.

  Yields:
    The result of each job, in order.

  Raises:
    UserError: A worker was killed; the message names its source.
  """
  workers = min(num_workers or os.cpu_count() or 1, len(jobs))
  if workers <= 1:
    for job in jobs:
      yield _try_convert(job, encoding)
    return
  others = set(multiprocessing.active_children())
  # A forked process could inherit a lock of this process' TensorFlow.
  context = multiprocessing.get_context("spawn")
  pool = ProcessPoolExecutor(workers, context, _initialize_worker)
  # Bounded, so that finished records don't fill the disk.
  waiting = collections.deque()
  try:
    for job in jobs:
      waiting.append((job, pool.submit(_try_convert, job, encoding)))
      if len(waiting) > 2 * workers:
        yield waiting[0][1].result()
        waiting.popleft()
    while waiting:
      yield waiting[0][1].result()
      waiting.popleft()
  except BrokenProcessPool as error:
    raise _describe_crash([job for job, _ in waiting]) from error
  finally:
    for worker in set(multiprocessing.active_children()) - others:
      worker.terminate()
    pool.shutdown(cancel_futures=True)


def _try_convert(job: Job, encoding: FrameEncoding) -> Report | Skipped:
  source, record = job
  try:
    return conversion.convert(source, encoding, record)
  except UserError as error:
    return Skipped(source.name, str(error))


def _describe_crash(jobs: Sequence[Job]) -> UserError:
  # A worker that was killed leaves the encoded frames behind.
  begun = [
    source
    for source, record in jobs
    if record and conversion.spool_path(record).exists()
  ]
  names = ", ".join(str(source.path) for source in begun) or "a video"
  return UserError(
    f"{names}: expected a worker process to convert it, received none, as one"
    " crashed or was killed, perhaps for want of memory; leave the video out,"
    " or try fewer --num_workers"
  )


def _initialize_worker() -> None:
  """Keep a worker to one core, and end it when its parent ends."""
  cv2.setNumThreads(1)
  # Ctrl-C reaches all processes of a terminal; the parent ends its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  multiprocessing.parent_process().join()
  os._exit(1)
