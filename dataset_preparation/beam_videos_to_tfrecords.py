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
from dataset_preparation.conversion import Report, Source
from dataset_preparation.shards import ShardOptions, SplitPlan
from dataset_preparation.worker_pool import Skipped
from media import frame_flags
from media.frame_encoding import FrameEncoding
from media.image_folders import natural_order

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


# Any, because Beam interprets the annotation.
def convert(
  source: Source, encoding: FrameEncoding, skip_broken: bool
) -> Iterator[Any]:
  """Make the record of a source, as `conversion.convert` does.

  Args:
    source: The source, with its path as Beam knows it.
    encoding: How frames are stored.
    skip_broken: Whether to leave out a broken video.

  Yields:
    The `Report` or `Skipped`, and the serialized record, each with its tag.

  Raises:
    UserError: The video is broken, and is not to be left out.
  """
  path = str(source.path)
  with tempfile.TemporaryDirectory() as folder:
    local = pathlib.Path(folder, path.rpartition("/")[2])
    target = pathlib.Path(folder, "record")
    with FileSystems.open(path) as remote, local.open("wb") as file:
      shutil.copyfileobj(remote, file)
    local_source = dataclasses.replace(source, path=local)
    try:
      report = conversion.convert(local_source, encoding, target)
    except UserError as error:
      reason = str(error).replace(str(local), path)
      if not skip_broken:
        raise UserError(reason) from error
      yield beam.pvalue.TaggedOutput(_RESULTS, Skipped(source.name, reason))
      return
    warnings = tuple(x.replace(str(local), path) for x in report.warnings)
    report = dataclasses.replace(report, warnings=warnings)
    yield beam.pvalue.TaggedOutput(_RESULTS, report)
    [record] = tfrecords.list_records([target])
    yield beam.pvalue.TaggedOutput(_RECORDS, tfrecords.read_record(record))


def find_videos(folder: str, patterns: Sequence[str]) -> dict[str, str]:
  """Find videos as `videos_to_tfrecords.find_videos`, also in the cloud.

  Args:
    folder: A folder on this machine or any that Beam knows, such as `gs://...`.
    patterns: Patterns of file names, case-insensitive.

  Returns:
    Name -> path, in natural order.

  Raises:
    UserError: Nothing matches, or two videos have the same name.
  """
  named = videos_to_tfrecords.name_files(list_files(folder), folder, patterns)
  return {name: f"{folder.rstrip('/')}/{named[name]}" for name in named}


def list_files(folder: str) -> list[str]:
  """List files as `videos_to_tfrecords.list_files`, also in the cloud."""
  if "://" not in folder:
    return videos_to_tfrecords.list_files(folder)
  root = folder.rstrip("/") + "/"
  paths = (path.removeprefix(root) for path in _list_matching(f"{root}**"))
  shown = (path for path in paths if "/." not in f"/{path}")
  return sorted(shown, key=natural_order)


def _list_matching(pattern: str) -> list[str]:
  try:
    [match] = FileSystems.match([pattern])
  except BeamIOError as error:
    raise UserError(
      f"{pattern}: expected files that can be listed, received an error"
      f" ({errors.first_line(error)}); correct the path or your credentials"
    ) from error
  return [file.path for file in match.metadata_list]


def build_pipeline(
  pipeline: beam.Pipeline,
  plans: Sequence[SplitPlan],
  encoding: FrameEncoding,
  output_dir: str,
  options: ShardOptions,
) -> None:
  """Add the conversion of splits to a pipeline.

  Args:
    pipeline: The pipeline.
    plans: The splits of one data set; paths of sources as Beam knows them.
    encoding: How frames are stored.
    output_dir: Folder of the records, `%s` standing for the data set.
    options: How records are written; the runner decides on `num_workers`.

  Raises:
    UserError: Such records exist.
  """
  dataset, _ = shard_files.parse_set_name(plans[0].name)
  folder = _records_folder(output_dir, dataset)
  written, results = [], []
  for plan in plans:
    name, sources = plan.name, list(plan.sources)
    existing = _list_shards(folder, name)
    if existing and not options.overwrite:
      raise shards.existing_records_error(existing[0], name)
    conversions = beam.FlatMap(convert, encoding, options.skip_broken)
    converted = (
      pipeline
      | f"Sources of {name}" >> beam.Create(sources)
      # Keeps the next step from running where the list was made.
      | f"Shuffle {name}" >> beam.Reshuffle()
      | f"Convert {name}" >> conversions.with_outputs()
    )
    sink = beam.io.WriteToTFRecord(
      f"{folder}/{name}",
      file_name_suffix=".tfrecord",
      num_shards=-(-len(sources) // options.files_per_shard),
      shard_name_template="-S-of-N",
    )
    written.append(converted[_RECORDS] | f"Write {name}" >> sink)
    named = beam.Map(lambda result, name=name: (name, result))
    results.append(converted[_RESULTS] | f"Name {name}" >> named)
  all_results = results | "All results" >> beam.Flatten()
  collected = all_results | "Collect" >> beam.combiners.ToList()
  # `dataset.json` has to come after the records.
  shard_paths = beam.pvalue.AsList(written | "All shards" >> beam.Flatten())
  orders = {plan.name: [x.name for x in plan.sources] for plan in plans}
  names = plans[0].class_names
  report = beam.Map(_write_info, shard_paths, orders, names, folder, encoding)
  collected | "Report" >> report


def _records_folder(output_dir: str, dataset: str) -> str:
  if "://" in output_dir:
    return output_dir.replace("%s", dataset).rstrip("/")
  return str(shard_files.records_folder(output_dir, dataset))


def _list_shards(folder: str, name: str) -> list[str]:
  return _list_matching(f"{folder}/{name}-*-of-*.tfrecord")


def _write_info(
  results: Sequence[tuple[str, Report | Skipped]],
  shard_paths: Collection[str],
  orders: Mapping[str, Sequence[str]],
  class_names: Sequence[str],
  folder: str,
  encoding: FrameEncoding,
) -> None:
  """Add the splits to `dataset.json` and remove what they replace.

  The argument `shard_paths` makes this wait until all are written: as long as a
  video may turn out to be broken, existing records stay.
  """
  existing = {path for name in orders for path in _list_shards(folder, name)}
  if stale := existing - set(shard_paths):
    FileSystems.delete(sorted(stale))
  dataset, _ = shard_files.parse_set_name(next(iter(orders)))
  info = _read_info(folder, dataset)
  for name, order in orders.items():
    fields = {x.name: dataclasses.asdict(x) for k, x in results if k == name}
    ordered = [fields[source] for source in order]
    split_info = shards.sum_up(name, ordered, encoding)
    names = shard_files.parse_set_name(name)
    info = dataset_info.merge_split(info, *names, split_info, class_names)
  with FileSystems.create(f"{folder}/{dataset_info.FILE_NAME}") as file:
    file.write(dataset_info.format_dataset_file(dataset, info).encode())


def _read_info(output_dir: str, dataset: str) -> DatasetInfo | None:
  """Read `dataset.json`, see `dataset_info.read_dataset_file`."""
  folder = _records_folder(output_dir, dataset)
  path = f"{folder}/{dataset_info.FILE_NAME}"
  if not FileSystems.exists(path):
    return None
  with FileSystems.open(path) as file:
    return dataset_info.parse_dataset_file(file.read().decode(), path, dataset)


def _parse_beam_options(beam_flags: Sequence[str]) -> PipelineOptions:
  """Parse Beam's flags; `--num_workers` means the same here and there."""
  workers = flags.FLAGS.num_workers
  extra = [f"--num_workers={workers}"] if workers else []
  options = PipelineOptions([*beam_flags, *extra])
  # Beam ignores unknown flags, because some runners have more of their own.
  given = options.get_all_options(retain_unknown_options=True)
  for name in given.keys() - options.get_all_options().keys():
    if near := difflib.get_close_matches(name, flags.FLAGS, 1, cutoff=0.8):
      raise UserError(
        f"--{name}: expected a known flag, received another; did you mean"
        f" --{near[0]}?"
      )
  return options


def _run_pipeline(
  beam_options: PipelineOptions,
  plans: Sequence[SplitPlan],
  encoding: FrameEncoding,
  output_dir: str,
  options: ShardOptions,
) -> None:
  """Run the pipeline, see `build_pipeline`."""
  try:
    pipeline = beam.Pipeline(options=beam_options)
  except (ValueError, ImportError) as error:
    raise UserError(
      "--runner: expected flags that Beam takes, received others"
      f" ({' '.join(str(error).split())}); correct them"
    ) from error
  build_pipeline(pipeline, plans, encoding, output_dir, options)
  logging.get_absl_handler().addFilter(_is_not_user_error)
  try:
    pipeline.run().wait_until_finish()
  except Exception as error:
    # Beam leaves temporary folders where a run on this machine ends early.
    dataset, _ = shard_files.parse_set_name(plans[0].name)
    folder = pathlib.Path(_records_folder(output_dir, dataset))
    for plan in plans:
      for path in folder.glob(f"beam-temp-{plan.name}-*"):
        shutil.rmtree(path, ignore_errors=True)
    # Each runner wraps the exceptions of workers in its own way.
    text = f"{type(error).__name__}: {error}"
    message = re.search(r"UserError: (.*?)(?: \[while running|\\n|\n|$)", text)
    if not message:
      raise
    raise UserError(message[1]) from error


def _is_not_user_error(record: LogRecord) -> bool:
  """Drop stack traces of a user's mistake, which is reported at the end."""
  return not (record.exc_info and isinstance(record.exc_info[1], UserError))


def main(beam_flags: Sequence[str]) -> None:
  """Run the pipeline that the flags describe."""
  args = flags.FLAGS
  beam_options = _parse_beam_options(beam_flags)
  if args.dry_run:
    raise UserError(
      "--dry_run: expected a conversion, received it with Beam; give it to"
      " videos_to_tfrecords"
    )
  for flag in ("input_dir", "output_dir"):
    try:
      FileSystems.get_filesystem(args[flag].value)
    except ValueError as error:
      raise UserError(
        f"--{flag}: expected a path that Beam can access, received"
        f" {args[flag].value}; install the part for it, such as"
        " apache-beam[gcp] for gs://, or correct it"
      ) from error
  videos = find_videos(args.input_dir, args.file_pattern)
  label_options = preparation_flags.get_label_options()
  division = preparation_flags.get_split_options(videos)
  plans = build_records.plan_records(
    *(videos, args.name, args.output_dir, label_options, division, _read_info)
  )
  encoding = frame_flags.get()
  options = preparation_flags.get_shard_options()
  _run_pipeline(beam_options, plans, encoding, args.output_dir, options)
  _report(plans, videos, label_options.label_file)


def _report(
  plans: Sequence[SplitPlan], videos: Mapping[str, str], label_file: str | None
) -> None:
  """Print a summary; what the workers print may be far away."""
  args = flags.FLAGS
  names = {x.name: shard_files.parse_set_name(x.name) for x in plans}
  info = _read_info(args.output_dir, names[plans[0].name][0])
  written = {name: info.splits[split] for name, (_, split) in names.items()}
  paths = list_files(args.input_dir)
  others = videos_to_tfrecords.describe_left_out(paths, args.file_pattern)
  unused = build_records.describe_unused_labels(label_file, videos)
  summary = build_records.summarize(written, info.class_names)
  print(summary, *others, *unused, sep="\n")
  preparation_flags.exit_if_incomplete(written)


if __name__ == "__main__":
  videos_to_tfrecords.define_flags()
  flags.adopt_module_key_flags(videos_to_tfrecords)
  command_line.run(main, takes_arguments=True, takes_unknown_flags=True)
