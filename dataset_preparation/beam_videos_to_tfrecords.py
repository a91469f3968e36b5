r"""Converts videos to TFRecords on many machines, as an Apache Beam pipeline.

    python -m dataset_preparation.beam_videos_to_tfrecords --name mine_train \
      --input_dir gs://bucket/videos --output_dir gs://bucket/records \
      --runner DataflowRunner --project P --temp_location gs://bucket/tmp

The flags are those of `videos_to_tfrecords`; all others go to Beam, whose
runner is by default on this machine. Needs `pip install .[beam]`. The records
are the same; which shard holds which is up to the runner, and a record is in
memory as a whole. `--label_file` and `--group_file` are read where the pipeline
is started.
"""

import pathlib
import sys

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import dataclasses
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from absl import flags
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

import dataset_info
import errors
from dataset_info import DatasetInfo
from dataset_preparation import (
  conversion,
  preparation_flags,
  prepare,
  records,
  shards,
  videos_to_tfrecords,
)
from dataset_preparation.conversion import Report, Source, Storing
from dataset_preparation.shards import Part, Skipped, Writing
from errors import UserError

_RECORDS, _RESULTS = "records", "results"


class Convert(beam.DoFn):
  """Makes the record of a source, as `conversion.convert` does."""

  def __init__(self, storing: Storing, skip_broken: bool) -> None:
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
        reason = str(error).replace(str(local), str(source.path))
        if not self._skip_broken:
          raise UserError(reason) from error
        yield beam.pvalue.TaggedOutput(_RESULTS, Skipped(source.name, reason))
        return
      yield beam.pvalue.TaggedOutput(_RESULTS, report)
      yield beam.pvalue.TaggedOutput(_RECORDS, records.only_record(target))


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
  if "://" not in folder:
    found = videos_to_tfrecords.find_videos(folder, patterns)
    return {name: str(path) for name, path in found.items()}
  root = folder.rstrip("/") + "/"
  [match] = FileSystems.match([f"{root}**"])
  below = [file.path.removeprefix(root) for file in match.metadata_list]
  named = videos_to_tfrecords.by_name(below, folder, patterns)
  return {name: root + path for name, path in named.items()}


def build(
  pipeline: beam.Pipeline,
  parts: Sequence[Part],
  storing: Storing,
  output_dir: str,
  writing: Writing,
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
  dataset, _ = dataset_info.split_name(parts[0].name)
  folder = _folder(output_dir, dataset)
  written, results = [], []
  for part in parts:
    name = part.name
    _make_room(folder, name, writing.overwrite)
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
  return str(dataset_info.records_folder(output_dir, dataset))


def _make_room(folder: str, name: str, overwrite: bool) -> None:
  [match] = FileSystems.match([f"{folder}/{name}-*-of-*.tfrecord"])
  there = [file.path for file in match.metadata_list]
  if there and not overwrite:
    raise UserError(shards.exists_already(there[0], name))
  if there:
    FileSystems.delete(there)


def _write_info(
  results: Sequence[tuple[str, Report | Skipped]],
  shard_paths: Collection[str],
  orders: Mapping[str, Sequence[str]],
  class_names: Sequence[str],
  folder: str,
) -> None:
  """Adds the splits to `dataset.json`; `shard_paths` are only waited for."""
  del shard_paths
  dataset, _ = dataset_info.split_name(next(iter(orders)))
  info = _read_info(folder, dataset)
  for name, order in orders.items():
    place = {source: index for index, source in enumerate(order)}
    of_split = [result for split, result in results if split == name]
    of_split.sort(key=lambda result, place=place: place[result.name])
    _, split = dataset_info.split_name(name)
    info = dataset_info.with_split(
      info, dataset, split, shards.collect(name, of_split), class_names
    )
  with FileSystems.create(f"{folder}/{dataset_info.FILE_NAME}") as file:
    file.write(dataset_info.to_json(dataset, info).encode())


def _read_info(folder: str, dataset: str) -> DatasetInfo | None:
  path = f"{folder}/{dataset_info.FILE_NAME}"
  if not FileSystems.exists(path):
    return None
  with FileSystems.open(path) as file:
    return dataset_info.parse(file.read().decode(), path, dataset)


def main(beam_flags: Sequence[str]) -> None:
  """Runs the pipeline that the flags describe."""
  args = flags.FLAGS
  videos = find_videos(args.input_dir, args.file_pattern)
  splits_of = prepare.divided(
    videos, args.name, preparation_flags.splitting(videos)
  )
  parts = prepare.plan(
    splits_of, args.output_dir, preparation_flags.labelling(), bool(args.split)
  )
  with beam.Pipeline(options=PipelineOptions(list(beam_flags))) as pipeline:
    build(
      pipeline,
      parts,
      preparation_flags.storing(),
      args.output_dir,
      preparation_flags.writing(),
    )
  # What the workers print may be far away.
  dataset, _ = dataset_info.split_name(parts[0].name)
  info = _read_info(_folder(args.output_dir, dataset), dataset)
  written = {
    part.name: info.splits[dataset_info.split_name(part.name)[1]]
    for part in parts
  }
  print(prepare.summary(written, info.class_names))
  preparation_flags.exit_if_incomplete(written)


if __name__ == "__main__":
  preparation_flags.define()
  videos_to_tfrecords.define_flags()
  flags.adopt_module_key_flags(preparation_flags)
  flags.adopt_module_key_flags(videos_to_tfrecords)
  errors.run(main, takes_arguments=True, takes_unknown_flags=True)
