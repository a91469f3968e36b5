import dataclasses

import numpy as np
import pytest
from PIL import Image

from applications.embedded_videos import stack_context
from applications.find_frames import (
  FoundFrame,
  find_frames,
  parse_query,
  search,
)
from tests.helpers.embedded_videos import read_table, timed_videos, write
from tests.helpers.errors import message_of
from tests.helpers.warped_videos import bright_frames


def test_found_frames_are_of_the_same_phase():
  videos = timed_videos(14, seed=0)
  right = []
  for number, video in enumerate(videos):
    for row in range(0, len(video.embs), 3):
      found = search(videos, FoundFrame(number, row), 10)
      assert len(found) == 10
      labels = [videos[one.video].labels[one.row] for one in found]
      right.append(np.mean(labels == video.labels[row]))
  assert np.mean(right) > 0.8


def test_found_frames_are_the_nearest_and_apart():
  videos = timed_videos(4, seed=1, lengths=(40, 60))
  query = FoundFrame(1, 20)
  found = search(videos, query, 10)
  distances = [one.distance for one in found]
  assert distances == sorted(distances)
  embs = stack_context(videos[1])[20]
  for number in (0, 2, 3):
    rows = [one.row for one in found if one.video == number]
    all_distances = np.linalg.norm(stack_context(videos[number]) - embs, axis=1)
    assert rows[0] == all_distances.argmin()
    gaps = np.abs(np.subtract.outer(rows, rows))[~np.eye(len(rows), dtype=bool)]
    assert (gaps >= 0.1 * len(videos[number].embs)).all()
    # Whatever is nearer lies beside a frame that was found.
    for row in np.flatnonzero(all_distances < found[-1].distance):
      assert np.abs(np.array(rows) - row).min() < 0.1 * len(all_distances)
  assert not [one for one in found if one.video == 1]


def test_table_and_sheet(tmp_path):
  videos = timed_videos(3, seed=2)
  path = write(tmp_path / "e.npy", videos)
  found = find_frames(path, tmp_path / "bare", "video 1:7", k=4)
  rows = read_table(tmp_path / "bare" / "frames.csv")
  assert [row["rank"] for row in rows] == [*"01234"]
  assert rows[0] == {
    **{"rank": "0", "video": "video 1", "frame": "7", "time": "0.7"},
    **{"distance": "0.0", "phase": str(videos[1].labels[7])},
  }
  assert [int(row["frame"]) for row in rows[1:]] == [one.row for one in found]
  assert not (tmp_path / "bare" / "frames.png").exists()
  # What matplotlib would take for a formula is a name.
  shown = [
    dataclasses.replace(
      video,
      name=f"$x_{number}$ " * 20,
      frames=bright_frames(np.linspace(0, 1, len(video.embs)), (48, 64)),
    )
    for number, video in enumerate(videos)
  ]
  path = write(tmp_path / "f.npy", shown)
  find_frames(path, tmp_path / "sheet", "1:7", k=4)
  with Image.open(tmp_path / "sheet" / "frames.png") as sheet:
    pixels = np.asarray(sheet.convert("RGB"))
  # Each frame has one gray, which fills its tile in the order of the ranks.
  middle = pixels[pixels.shape[0] * 3 // 5]
  columns = (np.arange(5) + 0.5) / 5 * len(middle)
  grays = middle[columns.astype(int), 0].astype(int)
  frames = [shown[1].frames[7], *(shown[x.video].frames[x.row] for x in found)]
  assert np.abs(grays - [frame[0, 0, 0] for frame in frames]).max() <= 1


def test_queries():
  videos = timed_videos(2, seed=0)
  videos[0] = dataclasses.replace(videos[0], name="a:b:1")
  half = videos[1].select(np.arange(0, 20, 2))
  videos[1] = dataclasses.replace(half, seq_len=20)
  assert parse_query(videos, "a:b:1:5") == FoundFrame(0, 5)
  # Every other frame is embedded: the nearest counts.
  assert parse_query(videos, "1:6") == FoundFrame(1, 3)
  assert parse_query(videos, "1:7").row in (3, 4)
  assert parse_query(videos, "1:19") == FoundFrame(1, 9)
  assert parse_query(videos, "1:1.9s") == FoundFrame(1, 9)
  assert parse_query(videos, "a:b:1:1.26s") == FoundFrame(0, 13)
  assert parse_query(videos, "1:1s") == FoundFrame(1, 5)
  videos.append(dataclasses.replace(videos[1], name="untimed", times=None))
  for query, told in (
    ("video 1", "VIDEO:TIME, such as clip1:40 or clip1:2.5s, received 'video"),
    ("video 1:", "expected VIDEO:FRAME or VIDEO:TIME, such as"),
    ("video 1:1.5", "expected VIDEO:FRAME or VIDEO:TIME, such as"),
    ("video 3:0", "expected the name of a video or its index"),
    ("1:20", "frame of video 1, 0 to 19, or a time in it, if times are known"),
    ("1:2.0s", "of video 1, 0 to 19, or a time in it, if times are known, rec"),
    ("untimed:1s", "a frame of untimed, 0 to 19, or a time in it, if times"),
  ):
    message = message_of(parse_query, videos, query)
    assert message.startswith("--query: ") and told in message


@pytest.mark.parametrize("k", [1, 1000])
def test_any_number_of_frames(k):
  videos = timed_videos(3, seed=0)
  found = search(videos, FoundFrame(0, 3), k)
  assert len(found) == 1 if k == 1 else 12 < len(found) <= 2 * 11
