"""Writes splits as shards, resuming what an interrupted run has begun.

Until all splits are complete, the finished shards of a split lie in a folder
that no reader looks into, `.<name>.incomplete` beside their place:

    <fingerprint>.tfrecord   the records of a shard
    <fingerprint>.json       written after them: facts about its sources
    moved.json               their new names, while shards are moved there

A fingerprint tells sources, labels and flags, so changed ones start anew.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from core import files
from core.errors import UserError
from core.progress import progress
from data import dataset_info, shard_files
from data.dataset_info import SplitInfo
from dataset_preparation import conversion, worker_pool
from dataset_preparation.conversion import Report, Source
from dataset_preparation.worker_pool import Skipped
from media.frame_encoding import FrameEncoding


@dataclasses.dataclass(frozen=True)
class ShardOptions:
  """Options for writing records.

  Attributes:
    files_per_shard: Number of sources in a shard; the last may have fewer.
    num_workers: Number of processes; 0 for one per core.
    overwrite: Whether to replace existing records.
    skip_broken: Whether to leave out a source that can't be converted instead
      of ending the conversion.
  """

  files_per_shard: int = 50
  num_workers: int = 0
  overwrite: bool = False
  skip_broken: bool = False


@dataclasses.dataclass(frozen=True)
class SplitPlan:
  """A split to be written.

  Attributes:
    name: `<dataset>_<split>`; shard i of n is `<name>-<i>-of-<n>.tfrecord`.
    sources: The sources in the order of the records.
    class_names: Names of the phases; empty for known ones, or numbers.
  """

  name: str
  sources: Sequence[Source]
  class_names: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class _Shard:
  """A shard to be made.

  Attributes:
    sources: The sources in the order of the records.
    records: Where the records lie until all splits are complete.
    target: Where they belong.
  """

  sources: Sequence[Source]
  records: pathlib.Path
  target: pathlib.Path

  @property
  def report(self) -> pathlib.Path:
    """The file that completes the shard."""
    return self.records.with_suffix(".json")

  def read_report(self) -> list[dict[str, Any]]:
    """Return the fields of the `Report` or `Skipped` of each source."""
    return json.loads(self.report.read_text())

  def is_done(self, skip_broken: bool) -> bool:
    """Return whether an earlier run has made this shard."""
    if not (self.report.exists() and self.records.exists()):
      return False
    return skip_broken or not any(map(_is_skipped, self.read_report()))


@dataclasses.dataclass(frozen=True, eq=False)
class _Output:
  """The places that a split is written to.

  Attributes:
    plan: The split.
    folder: Folder of the records.
  """

  plan: SplitPlan
  folder: pathlib.Path

  @property
  def work(self) -> pathlib.Path:
    """The folder of unfinished work."""
    return self.folder / f".{self.plan.name}.incomplete"

  @property
  def moved(self) -> pathlib.Path:
    """The file with the new names of shards while they are moved."""
    return self.work / "moved.json"


def write_splits(
  plans: Sequence[SplitPlan],
  encoding: FrameEncoding,
  output_dir: str | os.PathLike,
  options: ShardOptions,
) -> dict[str, SplitInfo]:
  """Convert sources to the records of one or several splits.

  The same sources give the same bytes, whatever the number of workers. No split
  gets its name before all are converted. Where records are replaced, their
  entries leave `dataset.json` first.

  Args:
    plans: The splits.
    encoding: How frames are stored.
    output_dir: Folder of the records, see `shard_files.records_folder`.
    options: How records are written.

  Returns:
    Name of a split -> facts about it.

  Raises:
    UserError: Such records exist, a source can't be converted, another process
      converts the same split, or the output can't be written.
  """
  for plan in plans:
    for source in plan.sources:
      conversion.check_times(source, encoding)
  outputs = [_Output(p, _prepare_folder(output_dir, p.name)) for p in plans]
  with contextlib.ExitStack() as stack:
    for output in outputs:
      stack.enter_context(_open_work(output))
    for output in outputs:
      existing = shard_files.list_shards(output.folder, output.plan.name)
      if existing and not options.overwrite:
        raise existing_records_error(existing[0], output.plan.name)
    shards = {x: _convert_split(x, encoding, options) for x in outputs}
    infos = {}
    for output, made in shards.items():
      results = [fields for shard in made for fields in shard.read_report()]
      infos[output.plan.name] = sum_up(output.plan.name, results, encoding)
    _publish(shards, infos)
    return infos


def _prepare_folder(output_dir: str | os.PathLike, name: str) -> pathlib.Path:
  """Make the folder of the records, and find early what is wrong there."""
  dataset, _ = shard_files.parse_set_name(name)
  folder = shard_files.records_folder(output_dir, dataset)
  files.check_utf8_name(folder)
  files.make_folder(folder)
  dataset_info.read_dataset_file(folder, dataset)
  return folder


def existing_records_error(path: str | os.PathLike, name: str) -> UserError:
  """Return the error about records that would be replaced."""
  return UserError(
    f"{path}: expected no records of {name}, received some of an earlier"
    " conversion; give --overwrite to replace them, or another --name or"
    " --output_dir"
  )


@contextlib.contextmanager
def _open_work(output: _Output) -> Iterator[None]:
  """Make the folder of unfinished work, for this process alone.

  It is removed at the end, or if an error leaves no finished shard.
  """
  name, work = output.plan.name, output.work
  with files.exclusive(
    work.with_suffix(".lock"),
    f"{work}: expected one process to convert {name}, received a second; wait"
    " for the first",
  ):
    files.make_folder(work)
    # What an interrupted run has moved already is unfinished work again.
    if output.moved.exists():
      for records, target in json.loads(output.moved.read_text()):
        if pathlib.Path(target).exists():
          os.replace(target, records)
      output.moved.unlink()
    try:
      yield
    except BaseException:
      if list(work.glob("*.json")):
        text = "%s: finished shards are kept; the same command makes the others"
        logging.info(text, name)
      else:
        shutil.rmtree(work, ignore_errors=True)
      raise
    shutil.rmtree(work)


def _convert_split(
  output: _Output, encoding: FrameEncoding, options: ShardOptions
) -> list[_Shard]:
  """Make the shards that no earlier run has made."""
  plan, work, size = output.plan, output.work, options.files_per_shard
  starts = range(0, len(plan.sources), size)
  groups = [plan.sources[start : start + size] for start in starts]
  # Before any source is read, so that later changes show the next time.
  shards = []
  for index, group in enumerate(groups):
    records = work / f"{compute_fingerprint(group, encoding)}.tfrecord"
    target = f"{plan.name}-{index}-of-{len(groups)}.tfrecord"
    shards.append(_Shard(group, records, output.folder / target))
  done = [shard for shard in shards if shard.is_done(options.skip_broken)]
  kept = {path for shard in done for path in (shard.records, shard.report)}
  for path in set(work.iterdir()) - kept:
    path.unlink()
  todo = [shard for shard in shards if shard not in done]
  jobs = [
    (source, work / f"{shard.records.stem}-{index}.record")
    for shard in todo
    for index, source in enumerate(shard.sources)
  ]
  results = worker_pool.convert_all(jobs, encoding, options.num_workers)
  with contextlib.closing(results):
    finished = zip(jobs, results, strict=True)
    finished = progress(finished, plan.name, len(jobs), "video")
    for count, shard in enumerate(todo, start=1):
      _write_shard(shard, finished, options.skip_broken)
      logging.info("%s: %d of %d shards done", plan.name, count, len(todo))
  return shards


def compute_fingerprint(
  sources: Sequence[Source], encoding: FrameEncoding
) -> str:
  """Identify a conversion by its sources, their files, and its settings.

  Args:
    sources: The sources, with their labels.
    encoding: How frames are stored.

  Returns:
    A text that changes when any of these does.
  """
  states = [(repr(x), [*map(_read_state, x.list_files())]) for x in sources]
  # Other versions may report other facts.
  facts = tuple(field.name for field in dataclasses.fields(Report))
  content = repr((states, encoding, facts))
  return hashlib.sha256(content.encode()).hexdigest()


def _read_state(path: pathlib.Path) -> tuple[str, int, int]:
  # The conversion reports links to nothing.
  stat = path.stat() if path.exists() else path.lstat()
  return path.name, stat.st_size, stat.st_mtime_ns


def _write_shard(
  shard: _Shard,
  finished: Iterator[tuple[worker_pool.Job, Report | Skipped]],
  skip_broken: bool,
) -> None:
  """Write a shard from the next converted sources, then its report."""
  results = []
  with files.atomic_write(shard.records) as temporary:
    with temporary.open("wb") as target:
      for (_, record), result in itertools.islice(finished, len(shard.sources)):
        if isinstance(result, Report):
          with record.open("rb") as content:
            shutil.copyfileobj(content, target)
          record.unlink()
        elif skip_broken:
          logging.warning("%s", result.reason)
        else:
          raise UserError(result.reason)
        results.append(dataclasses.asdict(result))
  _write_json(shard.report, results)


def _write_json(path: pathlib.Path, content: object) -> None:
  with files.atomic_write(path) as temporary:
    temporary.write_text(json.dumps(content))


def _publish(
  shards: Mapping[_Output, Sequence[_Shard]], infos: Mapping[str, SplitInfo]
) -> None:
  """Give the shards their names and write `dataset.json`."""
  for output in shards:
    names = shard_files.parse_set_name(output.plan.name)
    dataset_info.drop_split(output.folder, *names)
    # Before a new one comes: an interruption must not leave a mixture.
    for path in shard_files.list_shards(output.folder, output.plan.name):
      path.unlink()
      logging.info("%s: removed, it was of an earlier conversion", path.name)
  for output, made in shards.items():
    moves = [(str(shard.records), str(shard.target)) for shard in made]
    _write_json(output.moved, moves)
    for records, target in moves:
      os.replace(records, target)
  for output in shards:
    folder, plan = output.folder, output.plan
    names = shard_files.parse_set_name(plan.name)
    dataset_info.add_split(folder, *names, infos[plan.name], plan.class_names)
  # From here on, these are records like any others.
  for output in shards:
    output.moved.unlink()


def _is_skipped(fields: Mapping[str, Any]) -> bool:
  """Tell the fields of a `Skipped` from those of a `Report`."""
  return "reason" in fields


def sum_up(
  name: str, results: Sequence[dict[str, Any]], encoding: FrameEncoding
) -> SplitInfo:
  """Sum up the facts about the sources of a split.

  Args:
    name: `<dataset>_<split>`.
    results: The fields of the `Report` or `Skipped` of each source, in the
      order of the sources.
    encoding: How frames are stored.

  Returns:
    Facts about the split.

  Raises:
    UserError: None of the sources could be converted.
  """
  skipped = list(filter(_is_skipped, results))
  videos = list(itertools.filterfalse(_is_skipped, results))
  if not videos:
    raise UserError(
      f"{name}: expected at least one video, received none of {len(skipped)}"
      f" whole; the first: {skipped[0]['reason']}"
    )
  timed = [video for video in videos if video["seconds"]]
  seconds = sum(video["seconds"] for video in timed)
  intervals = sum(video["num_frames"] - 1 for video in timed)
  phases = sum((Counter(video["phases"]) for video in videos), Counter())
  return SplitInfo(
    num_videos=len(videos),
    num_frames=sum(video["num_frames"] for video in videos),
    fps=round(intervals / seconds, 3) if seconds else None,
    phase_counts=dict(sorted(phases.items(), key=lambda item: int(item[0]))),
    videos=videos,
    skipped=skipped,
    encoding=json.loads(json.dumps(dataclasses.asdict(encoding))),
  )
