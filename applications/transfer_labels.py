r"""Transfers phases, or values of frames, from some videos to the others.

    python -m applications.transfer_labels --embs_path /tmp/embeddings.npy \
      --labeled_video clip1 --output_dir /tmp/transferred

writes `labels.csv`, segments which `--label_file` of the preparation commands
reads, and `frames.csv`, each frame with its phase and how sure that is.
"""

import inspect
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from absl import flags, logging

from applications import embedded_videos, frame_values
from applications.embedded_videos import FRAME_COLUMNS, describe_frame
from core import command_line
from core.errors import UserError
from dataset_preparation.labels import csv_tables
from dataset_preparation.labels.segments import find_runs
from embeddings.types import EmbeddedVideo
from visualization.label_transfer import predict_labels, transfer_values

FLAGS = flags.FLAGS

# Name of a video -> [L] phases or values of its frames, and [L] confidences.
Transferred = dict[str, tuple[np.ndarray, np.ndarray]]


def transfer(
  embs_path: str,
  output_dir: str,
  labeled_video: Sequence[str] = (),
  values: str | None = None,
  column: str | None = None,
  use_dtw: bool = True,
  phases: Sequence[str] = (),
) -> Transferred:
  """Transfer what is known of some videos to the others, and write tables.

  Args:
    embs_path: An embeddings file, or a pattern for several.
    output_dir: Folder of the tables.
    labeled_video: Names or indices of the videos that are known; empty for all
      with labels, or that the table of values names.
    values: A table, see `frame_values.read_values`; None transfers phases.
    column: The column of `values` to transfer.
    use_dtw: Align by dynamic time warping instead of nearest neighbors.
    phases: Names of the phases in the order of their numbers.

  Returns:
    What the other videos got, see `visualization/label_transfer.py`.

  Raises:
    UserError: The videos, names or values don't fit.
  """
  videos = embedded_videos.load_videos(embs_path)
  find = embedded_videos.find_video
  named = {find(videos, name, "labeled_video") for name in labeled_video}
  frames_path = pathlib.Path(output_dir, "frames.csv")
  if values:
    known = frame_values.read_values(values, column, videos)
    sources, targets = _choose(videos, named, known, values)
    columns = [known[video.name] for video in sources]
    found = {
      video.name: transfer_values(video, sources, columns, use_dtw)
      for video in targets
    }
    _write_frames(frames_path, targets, found, column)
    return found
  labeled = {video.name for video in videos if video.usable.any()}
  sources, targets = _choose(videos, named, labeled, embs_path)
  found = {
    video.name: predict_labels(video, sources, use_dtw) for video in targets
  }
  names = dict(enumerate(phases))
  _write_frames(frames_path, targets, found, "phase", names)
  segments_path = frames_path.with_name("labels.csv")
  _write_segments(segments_path, targets, found, names)
  _report_agreement(targets, found)
  return found


def _choose(
  videos: Sequence[EmbeddedVideo],
  named: Collection[int],
  known: Collection[str],
  path: str,
) -> tuple[list[EmbeddedVideo], list[EmbeddedVideo]]:
  """Divide videos into those to transfer from and the others.

  Args:
    videos: All videos.
    named: Indices of those that the user names.
    known: Names of those of which something is known.
    path: Where it is known from, for messages.
  """
  for name in (videos[index].name for index in sorted(named)):
    if name not in known:
      raise UserError(
        f"{path}: expected labels or values of {name}, which --labeled_video"
        " names, received none; name another video"
      )
  named = named or {i for i, v in enumerate(videos) if v.name in known}
  if not 0 < len(named) < len(videos):
    received = "all" if named else "none"
    raise UserError(
      f"{path}: expected labels or values of some videos to transfer to the"
      f" others, received those of {received}; label one, or name those to"
      " transfer from with --labeled_video"
    )
  sources = [video for i, video in enumerate(videos) if i in named]
  return sources, [video for i, video in enumerate(videos) if i not in named]


def _write_frames(
  path: pathlib.Path,
  videos: Sequence[EmbeddedVideo],
  found: Transferred,
  title: str,
  names: Mapping[int, str] | None = None,
) -> None:
  """Write a row a frame, with the names of phases if there are any."""
  titles = [title, "phase_name"] if names else [title]
  rows: list[tuple] = [(*FRAME_COLUMNS, *titles, "confidence")]
  for video in videos:
    columns = (array.tolist() for array in found[video.name])
    for row, (value, confidence) in enumerate(zip(*columns, strict=True)):
      cells = [value, names.get(value, "")] if names else [value]
      place = describe_frame(video, row)
      rows.append((*place, *cells, round(confidence, 4)))
  csv_tables.write_table(path, rows)
  logging.info("Wrote %d frames to %s", len(rows) - 1, path)


def _write_segments(
  path: pathlib.Path,
  videos: Sequence[EmbeddedVideo],
  found: Transferred,
  names: Mapping[int, str],
) -> None:
  """Write a row a segment: in seconds or, if times are not known, in frames."""
  all_times = [embedded_videos.known_times(video) for video in videos]
  are_timed = all(times is not None for times in all_times)
  place = ("start", "end") if are_timed else ("start_frame", "end_frame")
  rows: list[tuple] = [("video", *place, "phase", "phase_name")]
  for video, times in zip(videos, all_times, strict=True):
    labels = found[video.name][0].tolist()
    steps = [*video.steps.tolist(), video.seq_len]
    for start, end in find_runs(labels):
      # The last frame of a segment belongs to it.
      bounds = steps[start], steps[end] - 1
      if are_timed:
        bounds = _locate(video, times, start), _locate(video, times, end)
      phase = labels[start]
      rows.append((video.name, *bounds, phase, names.get(phase, "")))
  csv_tables.write_table(path, rows)
  logging.info("Wrote %d segments to %s", len(rows) - 1, path)


def _locate(video: EmbeddedVideo, times: np.ndarray, row: int) -> float:
  """Return when a frame starts; after the last one, about when it ends."""
  if row < len(times):
    return round(float(times[row]), 6)
  # A frame that is embedded may stand for several.
  frames = max(1, video.steps[-1] - video.steps[0])
  interval = (times[-1] - times[0]) / frames or 0.04
  return round(float(times[-1] + interval), 6)


def _report_agreement(
  videos: Sequence[EmbeddedVideo], found: Transferred
) -> None:
  """Compare with the videos' own labels, where they have any."""
  own = [video for video in videos if video.usable.any()]
  if own:
    agreements = np.concatenate(
      [(found[v.name][0] == v.labels)[v.usable] for v in own]
    )
    logging.info(
      "%.1f %% of the %d frames with own labels (%d videos) got the same phase",
      100 * agreements.mean(),
      len(agreements),
      len(own),
    )


def main() -> None:
  """Read the flags, one for each parameter of `transfer`, and transfer."""
  names = inspect.signature(transfer).parameters
  transfer(**{name: FLAGS[name].value for name in names})


if __name__ == "__main__":
  command_line.define_path(
    "embs_path",
    None,
    "Embeddings, from extract_embeddings.py; may be a pattern in quotes, such"
    " as '/tmp/embs_*.npy'.",
    required=True,
  )
  command_line.define_path(
    "output_dir", None, "Folder of the tables.", required=True
  )
  flags.DEFINE_multi_string(
    "labeled_video",
    [],
    "Name or index (from 0) of a video to transfer from; may be given several"
    " times. Default: all with labels, or with values.",
  )
  command_line.define_path(
    "values",
    None,
    "CSV table of a value a frame (video,frame,NAME), or of samples at any time"
    " (video,time,NAME), to transfer instead of phases.",
  )
  flags.DEFINE_string("column", None, "The column of --values to transfer.")
  flags.DEFINE_boolean(
    "use_dtw",
    True,
    "Align whole videos by dynamic time warping; otherwise each frame gets what"
    " its nearest neighbor has.",
  )
  flags.DEFINE_list(
    "phases", [], "Names of the phases in the order of their numbers."
  )
  command_line.run(main)
