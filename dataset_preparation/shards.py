"""Sources in, the shards of a split out: on several processes, resumable.

Until a split is complete, its finished shards lie in a folder beside their
place, `.<name>.incomplete`, which no reader looks into. Started again after an
interruption, the same command makes the missing ones.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import BinaryIO

import cv2
from absl import logging
from tqdm import tqdm

from core import files
from core.errors import UserError
from data import dataset_info, shard_files
from data.dataset_info import SplitInfo
from dataset_preparation import conversion
from dataset_preparation.conversion import FrameEncoding, Report, Source
from media import image_folders

_RECORD_ENDING = ".record"
# Written into the folder of unfinished work before the first records get their
# names; holds the number of shards. Records at their place are part of this
# work only where it is there.
_PUBLISHING = "publishing.json"


@dataclasses.dataclass(frozen=True)
class ShardOptions:
  """How records are written.

  Attributes:
    files_per_shard: Sources in a shard; the last one may have fewer.
    num_workers: Processes; 0 = one a core.
    overwrite: Whether records that are there are replaced.
    skip_broken: Whether a source that can't be converted is left out; otherwise
      it ends the conversion.
  """

  files_per_shard: int = 50
  num_workers: int = 0
  overwrite: bool = False
  skip_broken: bool = False


@dataclasses.dataclass(frozen=True)
class SplitPlan:
  """A split that is to be written.

  Attributes:
    name: `<dataset>_<split>`; shard i of n is `<name>-<i>-of-<n>.tfrecord`.
    sources: In the order of the records.
    class_names: Names of the phases; empty = those that are known, or numbers.
  """

  name: str
  sources: Sequence[Source]
  class_names: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A source that could not be converted.

  Attributes:
    name: Its name.
    reason: What was wrong with it.
  """

  name: str
  reason: str


def write(
  parts: Sequence[SplitPlan],
  storing: FrameEncoding,
  output_dir: str | os.PathLike,
  writing: ShardOptions,
) -> dict[str, SplitInfo]:
  """Converts sources to the records of one or several splits.

  The same sources give the same bytes, whatever the number of workers. A worker
  has one frame in memory and spools the encoded ones to the output folder. No
  split gets its name before all are converted, and where records are replaced,
  `dataset.json` does without their splits until the new ones are complete.

  Args:
    parts: The splits.
    storing: How frames are stored.
    output_dir: Folder of the records, see `shard_files.records_folder`.
    writing: How records are written.

  Returns:
    Name of a split -> what was written of it and what was not.

  Raises:
    UserError: There are such records already, a source can't be converted,
      another process is at it, or the output can't be written.
  """
  for part in parts:
    for source in part.sources:
      conversion.check_times(source, storing)
  folders = [
    _check_output(output_dir, part.name, writing.overwrite) for part in parts
  ]
  with contextlib.ExitStack() as stack:
    works = [
      stack.enter_context(_work(folder, part.name))
      for folder, part in zip(folders, parts, strict=True)
    ]
    outputs = [
      _Output(
        part, folder, work, _convert(part, storing, folder, work, writing)
      )
      for part, folder, work in zip(parts, folders, works, strict=True)
    ]
    # Of all, before anything is replaced: it fails where there is nothing.
    infos = {output.part.name: output.info() for output in outputs}
    _publish(outputs, infos)
    return infos


def _check_output(
  output_dir: str | os.PathLike, name: str, overwrite: bool
) -> pathlib.Path:
  """Finds early what would make `write` fail at its end; gives the folder."""
  dataset, _ = shard_files.parse_set_name(name)
  folder = shard_files.records_folder(output_dir, dataset)
  files.check_utf8_name(folder)
  files.make_folder(folder)
  dataset_info.read_dataset_file(folder, dataset)
  there = shard_files.list_shards(folder, name)
  interrupted = (_work_folder(folder, name) / _PUBLISHING).exists()
  if there and not overwrite and not interrupted:
    raise UserError(exists_already(there[0], name))
  return folder


def exists_already(path: str | os.PathLike, name: str) -> str:
  """The message about records that would be replaced."""
  return (
    f"{path}: exists already; give --overwrite to replace {name}, or another"
    " --name or --output_dir"
  )


@dataclasses.dataclass(frozen=True)
class _Shard:
  """A shard that is to be made, and what became of its sources.

  Attributes:
    sources: In the order of the records.
    fingerprint: Tells the conversion of these sources from any other.
    records: Where the records lie until all shards are complete.
    path: Where they belong.
  """

  sources: Sequence[Source]
  fingerprint: str
  records: pathlib.Path
  path: pathlib.Path

  @property
  def _results(self) -> pathlib.Path:
    """Written after the records: there, the shard is complete."""
    return self.records.with_suffix(".json")

  def is_done(self, publishing: bool, skip_broken: bool) -> bool:
    """Whether an earlier run made the same shard, and it is still there.

    Args:
      publishing: Whether that run was giving so many shards their names.
      skip_broken: Whether sources may be missing in it.
    """
    if not self._results.exists():
      return False
    there = self.records.exists() or (publishing and self.path.exists())
    made = json.loads(self._results.read_text())
    kinds = {kind for kind, _ in made["results"]}
    whole = skip_broken or Skipped.__name__ not in kinds
    return there and whole and made["fingerprint"] == self.fingerprint

  def start(self) -> None:
    """Forgets what an earlier run made of other sources."""
    self._results.unlink(missing_ok=True)

  def finish(self, results: Iterable[Report | Skipped]) -> None:
    """Notes that the records are complete, and what they are made of."""
    kinds = [(type(x).__name__, dataclasses.asdict(x)) for x in results]
    with files.atomic_write(self._results) as temporary:
      content = {"fingerprint": self.fingerprint, "results": kinds}
      temporary.write_text(json.dumps(content))

  def results(self) -> list[Report | Skipped]:
    """What became of the sources."""
    kinds = {"Report": Report, "Skipped": Skipped}
    stored = json.loads(self._results.read_text())["results"]
    return [kinds[kind](**fields) for kind, fields in stored]


@dataclasses.dataclass(frozen=True)
class _Output:
  """A split whose shards are all made."""

  part: SplitPlan
  folder: pathlib.Path
  work: pathlib.Path
  shards: Sequence[_Shard]

  def info(self) -> SplitInfo:
    """Sums up what became of its sources."""
    results = [x for shard in self.shards for x in shard.results()]
    return collect(self.part.name, results)


def _fingerprint(sources: Sequence[Source], storing: FrameEncoding) -> str:
  states = [(repr(source), _state(source.path)) for source in sources]
  # What is noted of a source may change from version to version.
  noted = [field.name for field in dataclasses.fields(Report)]
  content = repr((states, storing, noted))
  return hashlib.sha256(content.encode()).hexdigest()


def _state(path: pathlib.Path) -> list[tuple[str, int, int]]:
  paths = image_folders.listed(path) if path.is_dir() else [path]
  return [(p.name, *_size_and_time(p)) for p in paths]


def _size_and_time(path: pathlib.Path) -> tuple[int, int]:
  try:
    stat = path.stat()
  except OSError:
    # A link to nothing, for instance; its conversion tells.
    return -1, -1
  return stat.st_size, stat.st_mtime_ns


def _work_folder(folder: pathlib.Path, name: str) -> pathlib.Path:
  return folder / f".{name}.incomplete"


@contextlib.contextmanager
def _work(folder: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
  """Makes the folder of unfinished work, for one process alone.

  It is removed at the end, or where an error left nothing worth keeping.
  """
  work = files.make_folder(_work_folder(folder, name))
  with files.exclusive(
    work / "lock",
    f"{work}: another process is converting {name}; wait for it",
  ):
    try:
      for leftover in work.glob(f"*{_RECORD_ENDING}*"):
        leftover.unlink()
      yield work
    except BaseException:
      if list(work.glob("*.json")):
        logging.info(
          "%s: the finished shards are kept; the same command goes on with the"
          " others",
          name,
        )
      else:
        shutil.rmtree(work, ignore_errors=True)
      raise
    shutil.rmtree(work)


def _convert(
  part: SplitPlan,
  storing: FrameEncoding,
  folder: pathlib.Path,
  work: pathlib.Path,
  writing: ShardOptions,
) -> list[_Shard]:
  """Makes the shards that an earlier run has not made."""
  size = writing.files_per_shard
  groups = [
    part.sources[start : start + size]
    for start in range(0, len(part.sources), size)
  ]
  # All before any source is read: what changes later shows the next time.
  shards = [
    _Shard(
      sources,
      _fingerprint(sources, storing),
      work / f"{index}.tfrecord",
      folder / f"{part.name}-{index}-of-{len(groups)}.tfrecord",
    )
    for index, sources in enumerate(groups)
  ]
  publishing = _published_number(work) == len(shards)
  todo = [
    shard
    for shard in shards
    if not shard.is_done(publishing, writing.skip_broken)
  ]
  if todo:
    _convert_shards(todo, storing, writing, part.name)
  return shards


def _published_number(work: pathlib.Path) -> int | None:
  """Number of the shards to which an interrupted run was giving names."""
  marker = work / _PUBLISHING
  return json.loads(marker.read_text()) if marker.exists() else None


def _convert_shards(
  shards: Sequence[_Shard],
  storing: FrameEncoding,
  writing: ShardOptions,
  name: str,
) -> None:
  """Makes shards, one after the other, of records that workers make."""
  sources = [source for shard in shards for source in shard.sources]
  work = shards[0].records.parent
  records = [work / f"{i}{_RECORD_ENDING}" for i in range(len(sources))]
  jobs = [
    functools.partial(conversion.convert, source, storing, record)
    for source, record in zip(sources, records, strict=True)
  ]
  quiet = not sys.stderr.isatty()
  with (
    _told_if_killed(sources, records),
    _outcomes(jobs, writing.num_workers) as outcomes,
    tqdm(total=len(jobs), unit="video", desc=name, disable=quiet) as bar,
  ):
    tasks = zip(sources, records, outcomes, strict=True)
    for count, shard in enumerate(shards, start=1):
      shard.start()
      results = []
      with files.atomic_write(shard.records) as temporary:
        with temporary.open("wb") as file:
          for source, record, outcome in itertools.islice(
            tasks, len(shard.sources)
          ):
            result = _result(source.name, outcome, writing.skip_broken)
            if isinstance(result, Report):
              _move_content(record, file)
            results.append(result)
            bar.update()
      shard.finish(results)
      logging.info("%s: %d of %d shards done", name, count, len(shards))


def _move_content(record: pathlib.Path, target: BinaryIO) -> None:
  with record.open("rb") as content:
    shutil.copyfileobj(content, target)
  record.unlink()


def _result(
  name: str, outcome: Callable[[], Report], skip_broken: bool
) -> Report | Skipped:
  try:
    return outcome()
  except UserError as error:
    if not skip_broken:
      raise
    logging.warning("%s", error)
    return Skipped(name, str(error))


@contextlib.contextmanager
def _told_if_killed(
  sources: Sequence[Source], records: Sequence[pathlib.Path]
) -> Iterator[None]:
  """Names the sources that were being converted when a worker was killed."""
  try:
    yield
  except BrokenProcessPool as error:
    begun = [
      str(source.path)
      for source, record in zip(sources, records, strict=True)
      if conversion.spool(record).exists()
    ]
    raise UserError(
      f"{', '.join(begun) or 'a video'}: the process that converted"
      f" {'one of these' if len(begun) > 1 else 'it'} crashed or was killed,"
      " perhaps for want of memory; leave the video out, or try fewer"
      " --num_workers"
    ) from error


@contextlib.contextmanager
def _outcomes(
  jobs: Sequence[Callable[[], Report]], num_workers: int
) -> Iterator[Iterator[Callable[[], Report]]]:
  """Gives, in order, functions that return what the jobs do.

  Args:
    jobs: At least one; done in the caller's process for one worker.
    num_workers: Processes; 0 = one a core.

  Yields:
    An iterator of functions that wait for a job and return or raise as it did.
  """
  workers = min(num_workers or os.cpu_count() or 1, len(jobs))
  if workers == 1:
    yield iter(jobs)
    return
  before = set(multiprocessing.active_children())
  # A forked process could inherit a lock of the caller's TensorFlow.
  pool = concurrent.futures.ProcessPoolExecutor(
    workers, multiprocessing.get_context("spawn"), _initialize
  )
  try:
    yield _ahead(jobs, pool, 2 * workers)
  except BaseException:
    # Nobody waits for what the workers are at.
    for child in set(multiprocessing.active_children()) - before:
      child.terminate()
    raise
  finally:
    pool.shutdown(cancel_futures=True)


def _ahead(
  jobs: Sequence[Callable[[], Report]],
  pool: concurrent.futures.Executor,
  number: int,
) -> Iterator[Callable[[], Report]]:
  """Has so many jobs done ahead, lest finished records fill the disk."""
  waiting = collections.deque()
  for job in jobs:
    waiting.append(pool.submit(job))
    if len(waiting) > number:
      yield waiting.popleft().result
  while waiting:
    yield waiting.popleft().result


def _initialize() -> None:
  """Makes a worker keep to one core, and end when its parent does."""
  cv2.setNumThreads(1)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  multiprocessing.parent_process().join()
  os._exit(1)


def _publish(
  outputs: Sequence[_Output], infos: Mapping[str, SplitInfo]
) -> None:
  """Gives the shards their names and writes `dataset.json`."""
  for output in outputs:
    with files.atomic_write(output.work / _PUBLISHING) as temporary:
      temporary.write_text(json.dumps(len(output.shards)))
  for output in outputs:
    dataset, split = shard_files.parse_set_name(output.part.name)
    dataset_info.drop_split(output.folder, dataset, split)
  # Removed before any new one comes: an interruption must not leave a mixture.
  for output in outputs:
    _remove_replaced(output)
  for shard in (shard for output in outputs for shard in output.shards):
    # What an interrupted run has moved already is not in the work folder.
    if shard.records.exists():
      os.replace(shard.records, shard.path)
    if not shard.path.exists():
      raise UserError(
        f"{shard.path}: vanished while it was written; leave the folder alone"
        " and start the same command again"
      )
  for output in outputs:
    name, class_names = output.part.name, output.part.class_names
    dataset, split = shard_files.parse_set_name(name)
    dataset_info.add_split(
      output.folder, dataset, split, infos[name], class_names
    )
  # From here on, these are records like any others.
  for output in outputs:
    (output.work / _PUBLISHING).unlink()


def _remove_replaced(output: _Output) -> None:
  """Removes the records of an earlier conversion."""
  moved = {x.path for x in output.shards if not x.records.exists()}
  for path in shard_files.list_shards(output.folder, output.part.name):
    if path not in moved:
      path.unlink()
      logging.info("%s: removed, it was of an earlier conversion", path.name)


def collect(name: str, results: Sequence[Report | Skipped]) -> SplitInfo:
  """Sums up what became of the sources of a split.

  Args:
    name: `<dataset>_<split>`.
    results: One a source, in their order.

  Returns:
    The sum.

  Raises:
    UserError: None of the sources could be converted.
  """
  reports = [x for x in results if isinstance(x, Report)]
  skipped = [x for x in results if isinstance(x, Skipped)]
  if not reports:
    raise UserError(
      f"{name}: none of {len(skipped)} videos could be converted; the first:"
      f" {skipped[0].reason}"
    )
  timed = [report for report in reports if report.seconds]
  seconds = sum(report.seconds for report in timed)
  intervals = sum(report.num_frames - 1 for report in timed)
  phases = sum(
    (collections.Counter(report.phases) for report in reports),
    collections.Counter(),
  )
  return SplitInfo(
    num_videos=len(reports),
    num_frames=sum(report.num_frames for report in reports),
    fps=round(intervals / seconds, 3) if seconds else None,
    phase_counts=dict(sorted(phases.items(), key=lambda item: int(item[0]))),
    videos=[dataclasses.asdict(report) for report in reports],
    skipped=[dataclasses.asdict(source) for source in skipped],
  )
