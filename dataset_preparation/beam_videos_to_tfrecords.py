r"""Converts videos to TFRecords on many machines, as an Apache Beam pipeline.

    python -m dataset_preparation.beam_videos_to_tfrecords --name mine_train \
      --input_dir gs://bucket/videos --output_dir gs://bucket/records \
      --runner DataflowRunner --project P --temp_location gs://bucket/tmp

The flags are those of `videos_to_tfrecords`; all others go to Beam, whose
runner is by default on this machine. Needs `pip install .[beam]`, and for a
cloud's storage `pip install 'apache-beam[gcp]'`, `[aws]` or `[azure]`. The
records are the same; which shard holds which is up to the runner, and a record
is in memory as a whole. `--label_file` and `--group_file` are read where the
pipeline is started.
"""

import pathlib
import sys

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import dataclasses
import difflib
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from logging import LogRecord
from typing import Any

from absl import flags, logging

from core import command_line, errors
from core.errors import UserError
from data import dataset_info, shard_files, tfrecords
from data.dataset_info import DatasetInfo
from dataset_preparation import (
  build_records,
  conversion,
  preparation_flags,
  shards,
  videos_to_tfrecords,
)
from dataset_preparation.conversion import FrameEncoding, Report, Source
from dataset_preparation.shards import ShardOptions, Skipped, SplitPlan

try:
  import apache_beam as beam
  from apache_beam.io.filesystem import BeamIOError
  from apache_beam.io.filesystems import FileSystems
  from apache_beam.options.pipeline_options import PipelineOptions
except ModuleNotFoundError as error:
  if __name__ != "__main__":
    raise
  sys.exit(f"error: {error.name} is missing; run pip install '.[beam]'")

_RECORDS, _RESULTS = "records", "results"


class Convert(beam.DoFn):
  """Makes the record of a source, as `conversion.convert` does."""

  def __init__(self, storing: FrameEncoding, skip_broken: bool) -> None:
    """Takes how frames are stored and whether broken videos are left out."""
    self._storing = storing
    self._skip_broken = skip_broken

  # Any, because Beam tries to understand the annotation.
  def process(self, source: Source) -> Iterator[Any]:
    """Yields what became of the source and its serialized record."""
    with tempfile.TemporaryDirectory() as folder:
      local = pathlib.Path(folder, str(source.path).rpartition("/")[2])
      target = pathlib.Path(folder, "record")
      with FileSystems.open(str(source.path)) as remote:
        with local.open("wb") as file:
          shutil.copyfileobj(remote, file)
      try:
        report = conversion.convert(
          dataclasses.replace(source, path=local), self._storing, target
        )
      except UserError as error:
        [reason] = _with_path([str(error)], local, source)
        if not self._skip_broken:
          raise UserError(reason) from error
        yield beam.pvalue.TaggedOutput(_RESULTS, Skipped(source.name, reason))
        return
      warnings = _with_path(report.warnings, local, source)
      yield beam.pvalue.TaggedOutput(
        _RESULTS, dataclasses.replace(report, warnings=warnings)
      )
      [record] = tfrecords.list_records([target])
      yield beam.pvalue.TaggedOutput(_RECORDS, tfrecords.read_record(record))


def _with_path(
  texts: Sequence[str], local: pathlib.Path, source: Source
) -> tuple[str, ...]:
  """Texts about a copy of a source, with its own path."""
  return tuple(text.replace(str(local), str(source.path)) for text in texts)


def find_videos(folder: str, patterns: Sequence[str]) -> dict[str, str]:
  """Finds videos as `videos_to_tfrecords.find_videos`, in the cloud too.

  Args:
    folder: A folder on this machine or any that Beam knows, such as `gs://...`.
    patterns: Patterns of file names, upper or lower case alike.

  Returns:
    Name -> path, in natural order.

  Raises:
    UserError: Nothing matches, or two videos have the same name.
  """
  files = list_files(folder)
  named = videos_to_tfrecords.by_name(files, folder, patterns)
  root = folder.rstrip("/")
  return {name: f"{root}/{path}" for name, path in named.items()}


def list_files(folder: str) -> list[str]:
  """Lists files as `videos_to_tfrecords.list_files`, in the cloud too."""
  if "://" not in folder:
    return videos_to_tfrecords.list_files(folder)
  root = folder.rstrip("/") + "/"
  return [path.removeprefix(root) for path in _matching(f"{root}**")]


def _check_place(folder: str, flag: str) -> None:
  """Checks that Beam knows how to get there."""
  try:
    FileSystems.get_filesystem(folder)
  except ValueError as error:
    raise UserError(
      f"--{flag}: Beam has no way to {folder}; install the part for it, such as"
      " apache-beam[gcp] for gs://, or correct it"
    ) from error


def _matching(pattern: str) -> list[str]:
  """The files that match a pattern, as Beam knows them."""
  try:
    [match] = FileSystems.match([pattern])
  except BeamIOError as error:
    raise UserError(
      f"{pattern}: can't be listed ({errors.first_line(error)}); correct the"
      " path or your credentials"
    ) from error
  return [file.path for file in match.metadata_list]


def build(
  pipeline: beam.Pipeline,
  parts: Sequence[SplitPlan],
  storing: FrameEncoding,
  output_dir: str,
  writing: ShardOptions,
) -> None:
  """Adds to a pipeline what converts the sources of splits.

  Args:
    pipeline: The pipeline.
    parts: The splits; paths of sources as Beam knows them.
    storing: How frames are stored.
    output_dir: Folder of the records, `%s` standing for the data set.
    writing: How records are written; `num_workers` is up to the runner.

  Raises:
    UserError: There are such records already.
  """
  dataset, _ = shard_files.parse_set_name(parts[0].name)
  folder = _folder(output_dir, dataset)
  written, results = [], []
  for part in parts:
    name = part.name
    _check_room(folder, name, writing.overwrite)
    converted = (
      pipeline
      | f"Sources of {name}" >> beam.Create(list(part.sources))
      # Keeps the next step from running where the list was made.
      | f"Shuffle {name}" >> beam.Reshuffle()
      | f"Convert {name}"
      >> beam.ParDo(Convert(storing, writing.skip_broken)).with_outputs()
    )
    sink = beam.io.WriteToTFRecord(
      f"{folder}/{name}",
      file_name_suffix=".tfrecord",
      num_shards=-(-len(part.sources) // writing.files_per_shard),
      shard_name_template="-S-of-N",
    )
    written.append(converted[_RECORDS] | f"Write {name}" >> sink)
    results.append(
      converted[_RESULTS] | f"Name {name}" >> beam.Map(_with_name, name)
    )
  (
    results
    | "All results" >> beam.Flatten()
    | "Collect" >> beam.combiners.ToList()
    | "Report"
    >> beam.Map(
      _write_info,
      # `dataset.json` comes when the records are there.
      beam.pvalue.AsList(written | "All shards" >> beam.Flatten()),
      orders={part.name: _names(part.sources) for part in parts},
      class_names=parts[0].class_names,
      folder=folder,
    )
  )


def _with_name(
  result: Report | Skipped, name: str
) -> tuple[str, Report | Skipped]:
  return name, result


def _names(sources: Sequence[Source]) -> list[str]:
  return [source.name for source in sources]


def _folder(output_dir: str, dataset: str) -> str:
  if "://" in output_dir:
    return output_dir.replace("%s", dataset).rstrip("/")
  return str(shard_files.records_folder(output_dir, dataset))


def _check_room(folder: str, name: str, overwrite: bool) -> None:
  there = _shards_of(folder, name)
  if there and not overwrite:
    raise UserError(shards.exists_already(there[0], name))


def _shards_of(folder: str, name: str) -> list[str]:
  return _matching(f"{folder}/{name}-*-of-*.tfrecord")


def _write_info(
  results: Sequence[tuple[str, Report | Skipped]],
  shard_paths: Collection[str],
  orders: Mapping[str, Sequence[str]],
  class_names: Sequence[str],
  folder: str,
) -> None:
  """Adds the splits to `dataset.json`, removes what they replace.

  That `shard_paths` are an argument makes this wait until all are written: as
  long as a video may turn out to be broken, what was there stays.
  """
  replaced = {path for name in orders for path in _shards_of(folder, name)}
  stale = sorted(replaced - set(shard_paths))
  if stale:
    FileSystems.delete(stale)
  dataset, _ = shard_files.parse_set_name(next(iter(orders)))
  info = _read_info(folder, dataset)
  for name, order in orders.items():
    place = {source: index for index, source in enumerate(order)}
    of_split = [result for split, result in results if split == name]
    of_split.sort(key=lambda result, place=place: place[result.name])
    _, split = shard_files.parse_set_name(name)
    info = dataset_info.merge_split(
      info, dataset, split, shards.collect(name, of_split), class_names
    )
  with FileSystems.create(f"{folder}/{dataset_info.FILE_NAME}") as file:
    file.write(dataset_info.format_dataset_file(dataset, info).encode())


def _read_info(output_dir: str, dataset: str) -> DatasetInfo | None:
  """What `dataset.json` says, see `dataset_info.read_dataset_file`."""
  path = f"{_folder(output_dir, dataset)}/{dataset_info.FILE_NAME}"
  if not FileSystems.exists(path):
    return None
  with FileSystems.open(path) as file:
    return dataset_info.parse_dataset_file(file.read().decode(), path, dataset)


def _options(beam_flags: Sequence[str]) -> PipelineOptions:
  """Beam's options; `--num_workers` means the same here and there."""
  workers = flags.FLAGS.num_workers
  options = PipelineOptions(
    [*beam_flags, *([f"--num_workers={workers}"] if workers else [])]
  )
  # Beam passes over what it does not know; some runners have more of their own.
  for name in (
    options.get_all_options(retain_unknown_options=True).keys()
    - options.get_all_options().keys()
  ):
    near = difflib.get_close_matches(name, flags.FLAGS, 1, cutoff=0.8)
    if near:
      raise UserError(f"--{name}: unknown flag; did you mean --{near[0]}?")
  return options


def _run(
  options: PipelineOptions,
  parts: Sequence[SplitPlan],
  storing: FrameEncoding,
  output_dir: str,
  writing: ShardOptions,
) -> None:
  """Runs the pipeline, see `build`."""
  try:
    pipeline = beam.Pipeline(options=options)
  except (ValueError, ImportError) as error:
    raise UserError(
      f"--runner: Beam refuses its flags ({' '.join(str(error).split())});"
      " correct them"
    ) from error
  build(pipeline, parts, storing, output_dir, writing)
  logging.get_absl_handler().addFilter(_is_news)
  try:
    pipeline.run().wait_until_finish()
  except Exception as error:
    _remove_unfinished(output_dir, parts)
    # Runners wrap what a worker raises, each in its own way.
    told = re.search(
      r"UserError: (.*?)(?: \[while running|\\n|\n|$)",
      f"{type(error).__name__}: {error}",
    )
    if not told:
      raise
    raise UserError(told[1]) from error


def _remove_unfinished(output_dir: str, parts: Sequence[SplitPlan]) -> None:
  """Removes from this machine what Beam leaves where a run ends early."""
  for part in parts:
    folder = _folder(output_dir, shard_files.parse_set_name(part.name)[0])
    for left in pathlib.Path(folder).glob(f"beam-temp-{part.name}-*"):
      shutil.rmtree(left, ignore_errors=True)


def _is_news(record: LogRecord) -> bool:
  """Whether it is not the stack of a mistake that is told at the end anyway."""
  return not (record.exc_info and isinstance(record.exc_info[1], UserError))


def main(beam_flags: Sequence[str]) -> None:
  """Runs the pipeline that the flags describe."""
  args = flags.FLAGS
  options = _options(beam_flags)
  _check_place(args.input_dir, "input_dir")
  _check_place(args.output_dir, "output_dir")
  videos = find_videos(args.input_dir, args.file_pattern)
  splits_of = build_records.divided(
    videos, args.name, preparation_flags.splitting(videos)
  )
  labeling = preparation_flags.labeling()
  parts = build_records.plan(
    splits_of,
    args.output_dir,
    labeling,
    no_others=bool(args.split),
    read_info=_read_info,
  )
  _run(
    options,
    parts,
    preparation_flags.storing(),
    args.output_dir,
    preparation_flags.writing(),
  )
  # What the workers print may be far away.
  dataset, _ = shard_files.parse_set_name(parts[0].name)
  info = _read_info(args.output_dir, dataset)
  written = {
    part.name: info.splits[shard_files.parse_set_name(part.name)[1]]
    for part in parts
  }
  print(build_records.summary(written, info.class_names))
  files = list_files(args.input_dir)
  for note in (
    *videos_to_tfrecords.left_out(files, args.file_pattern),
    *build_records.unused_labels(labeling.label_file, videos),
  ):
    print(note)
  preparation_flags.exit_if_incomplete(written)


if __name__ == "__main__":
  preparation_flags.define()
  videos_to_tfrecords.define_flags()
  flags.adopt_module_key_flags(preparation_flags)
  flags.adopt_module_key_flags(videos_to_tfrecords)
  command_line.run(main, takes_arguments=True, takes_unknown_flags=True)
