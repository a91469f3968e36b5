r"""Transfers phases, or values of frames, from some videos to the others.

    python -m applications.transfer_labels --embs_path /tmp/embeddings.npy \
      --labeled_video clip1 --output_dir /tmp/transferred

writes `labels.csv`, segments which `--label_file` of the preparation commands
reads, and `frames.csv`, each frame with its phase and how sure that is.
"""

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
from visualization.matching import find_video

# Name of a video -> [L] phases or values of its frames, and [L] confidences.
Transferred = dict[str, tuple[np.ndarray, np.ndarray]]


def transfer(
  embs_path: str,
  output_dir: str,
  labeled_video: Sequence[str] = (),
  values: str | None = None,
  column: str = "",
  use_dtw: bool = True,
) -> Transferred:
  """Transfer what is known of some videos to the others, and write tables.

  Args:
    embs_path: An embeddings file, or a pattern for several.
    output_dir: Folder of the tables.
    labeled_video: Names or indices of the videos that are known; empty for all
      with labels, or with values.
    values: A table, see `frame_values.read_values`; None transfers phases.
    column: The column of `values` to transfer.
    use_dtw: Align by dynamic time warping instead of nearest neighbors.

  Returns:
    What the other videos got, see `visualization/label_transfer.py`.

  Raises:
    UserError: The videos, names or values don't fit.
  """
  split = embedded_videos.load_videos(embs_path)
  videos = split.videos
  chosen = [find_video(videos, x, "labeled_video") for x in labeled_video]
  named = [videos[number].name for number in chosen]
  known = {video.name: video.labels for video in videos if video.usable.any()}
  if values:
    known = frame_values.read_values(values, column, videos)
  sources, targets = _choose(videos, named, known, values or embs_path)
  frames_path = pathlib.Path(output_dir, "frames.csv")
  if values:
    columns = [known[video.name] for video in sources]
    found = {
      video.name: transfer_values(video, sources, columns, use_dtw)
      for video in targets
    }
    _write_frames(frames_path, targets, found, column, {})
    return found
  found = {
    video.name: predict_labels(video, sources, use_dtw) for video in targets
  }
  names = dict(enumerate(split.class_names))
  _write_frames(frames_path, targets, found, "phase", names)
  segments_path = frames_path.with_name("labels.csv")
  _write_segments(segments_path, targets, found, names)
  if own := [video for video in targets if video.usable.any()]:
    is_same = [(found[v.name][0] == v.labels)[v.usable] for v in own]
    text = "%d videos have labels; the same in %.1f %% of their frames"
    logging.info(text, len(own), 100 * np.concatenate(is_same).mean())
  return found


def _choose(
  videos: Sequence[EmbeddedVideo],
  named: Collection[str],
  known: Collection[str],
  path: str,
) -> tuple[list[EmbeddedVideo], list[EmbeddedVideo]]:
  """Divide videos into those to transfer from and the others.

  Args:
    videos: All videos.
    named: Names of those that the user chose; empty for all that are known.
    known: Names of those of which something is known.
    path: Where it is known from, for messages.
  """
  chosen = named or known
  missing = [name for name in chosen if name not in known]
  if missing or not 0 < len(chosen) < len(videos):
    received = f"none of {missing[0]}" if missing else f"those of {len(chosen)}"
    raise UserError(
      f"{path}: expected labels or values of some of the {len(videos)} videos,"
      f" for the others, received {received}; label some, see"
      " docs/applications.md, and name those to transfer from with"
      " --labeled_video"
    )
  sources = [video for video in videos if video.name in chosen]
  return sources, [video for video in videos if video.name not in chosen]


def _write_frames(
  path: pathlib.Path,
  videos: Sequence[EmbeddedVideo],
  found: Transferred,
  title: str,
  names: Mapping[int, str],
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
  all_times = [video.known_times for video in videos]
  are_timed = all(times is not None for times in all_times)
  place = ("start", "end") if are_timed else ("start_frame", "end_frame")
  rows: list[tuple] = [("video", *place, "phase", "phase_name")]
  for video, times in zip(videos, all_times, strict=True):
    labels = found[video.name][0].tolist()
    bounds, last = [*video.steps.tolist(), video.seq_len], 1
    if are_timed:
      # The last frame lasts as long as one of the source, embedded or not.
      frames = max(1, np.ptp(video.steps))
      bounds = np.append(times, times[-1] + (np.ptp(times) / frames or 0.04))
      bounds, last = bounds.round(6).tolist(), 0
    for start, end in find_runs(labels):
      place, phase = (bounds[start], bounds[end] - last), labels[start]
      rows.append((video.name, *place, phase, names.get(phase, "")))
  csv_tables.write_table(path, rows)
  logging.info("Wrote %d segments to %s", len(rows) - 1, path)


if __name__ == "__main__":
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
  flags.DEFINE_string("column", "", "The column of --values to transfer.")
  flags.DEFINE_boolean(
    "use_dtw",
    True,
    "Align by dynamic time warping, not each frame to its nearest neighbor.",
  )
  embedded_videos.run(transfer)
