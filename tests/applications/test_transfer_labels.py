import dataclasses

import numpy as np
import pytest

from applications.transfer_labels import transfer
from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.labels.types import Extent
from tests.helpers.embedded_videos import read_table, timed_videos, write
from tests.helpers.errors import message_of


def labels_read_back(path, videos):
  """The labels of a table of segments, as conversion takes them."""
  file = read_label_file(LabelOptions(path))
  found = {}
  for video in videos:
    count = video.seq_len
    times = np.arange(count) / 10 if video.times is None else video.times
    frames = (times, video.steps, Extent(count, count / 10))
    found[video.name] = file.videos[video.name].label_frames(*frames)
  return found


@pytest.mark.parametrize("use_dtw", [False, True])
def test_one_labeled_video_labels_the_others(use_dtw, tmp_path):
  videos = timed_videos(6, seed=0)
  path = write(tmp_path / "e.npy", videos)
  found = transfer(path, tmp_path, ["video 2"], use_dtw=use_dtw)
  assert [*found] == [f"video {x}" for x in (0, 1, 3, 4, 5)]
  targets = [video for video in videos if video.name in found]
  right = [found[video.name][0] == video.labels for video in targets]
  assert np.concatenate(right).mean() > 0.9
  read = labels_read_back(tmp_path / "labels.csv", targets)
  assert read == {name: labels.tolist() for name, (labels, _) in found.items()}


def test_tables(tmp_path):
  known, other = timed_videos(2, seed=1)
  other = dataclasses.replace(other, labels=None, name='a, "b"')
  # Every third frame is embedded, and the file names the phases by number.
  rows = np.arange(0, len(other.embs), 3)
  other = other.select(rows)
  names = ["reach", "grasp", "pour", "put"]
  path = write(tmp_path / "e.npy", [known, other], names)
  found = transfer(path, tmp_path)
  labels, confidences = found[other.name]
  frames = read_table(tmp_path / "frames.csv")
  assert [int(row["frame"]) for row in frames] == rows.tolist()
  assert [float(row["time"]) for row in frames] == (rows / 10).tolist()
  assert [int(row["phase"]) for row in frames] == labels.tolist()
  assert [float(x["confidence"]) for x in frames] == pytest.approx(
    confidences.tolist(), abs=1e-4
  )
  first, *_, last = read_table(tmp_path / "labels.csv")
  bounds = {"video": other.name, "start": "0.0", "phase": "0"}
  assert first.items() >= (bounds | {"phase_name": "reach"}).items()
  assert last["phase_name"] == "put"
  # The last frame ends a frame later, not three.
  assert float(last["end"]) == pytest.approx(rows[-1] / 10 + 0.1)
  read = labels_read_back(tmp_path / "labels.csv", [other])
  assert read == {other.name: labels.tolist()}


def test_segments_are_in_frames_if_no_times_are_known(tmp_path):
  videos = [
    dataclasses.replace(video, times=None) for video in timed_videos(3, seed=2)
  ]
  path = write(tmp_path / "e.npy", videos)
  found = transfer(path, tmp_path, ["0"])
  read = labels_read_back(tmp_path / "labels.csv", videos[1:])
  assert read == {name: labels.tolist() for name, (labels, _) in found.items()}
  assert [*read_table(tmp_path / "labels.csv")[0]][1:3] == [
    *("start_frame", "end_frame")
  ]


def test_a_column_of_values(tmp_path):
  videos = timed_videos(3, seed=3)
  path = write(tmp_path / "e.npy", videos)
  # What is measured is how far the action is.
  progress = [np.linspace(0, 1, len(video.embs)) for video in videos]
  lines = ["video;time;Force"]
  for number in (0, 1):
    for time, value in zip(videos[number].times, progress[number], strict=True):
      lines.append(f"video {number};{time:.3f};{value:.4f}".replace(".", ","))
  table = tmp_path / "sensor.csv"
  table.write_text("\n".join(lines))
  found = transfer(path, tmp_path, values=str(table), column="force")
  values, _ = found["video 2"]
  assert np.abs(values - progress[2]).mean() < 0.12
  rows = read_table(tmp_path / "frames.csv")
  assert [float(row["force"]) for row in rows] == pytest.approx(values.tolist())
  assert not (tmp_path / "labels.csv").exists()


def test_there_must_be_something_to_transfer_and_someone_to_get_it(tmp_path):
  videos = timed_videos(3, seed=0)
  path = write(tmp_path / "e.npy", videos)
  assert message_of(transfer, path, tmp_path) == (
    f"{path}: expected labels or values of some of the 3 videos, for the"
    " others, received those of 3; label some, see docs/applications.md, and"
    " name those to transfer from with --labeled_video"
  )
  bare = [dataclasses.replace(video, labels=None) for video in videos]
  path = write(tmp_path / "f.npy", bare)
  assert "received those of 0;" in message_of(transfer, path, tmp_path)
  told = message_of(transfer, path, tmp_path, ["video 1"])
  assert "received none of video 1;" in told
  told = message_of(transfer, path, tmp_path, ["video 9"])
  assert told.startswith("--labeled_video: ")
