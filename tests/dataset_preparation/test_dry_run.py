import os
from fractions import Fraction

import pytest

from tests.helpers import video_files
from tests.helpers.processes import run_python

MODULE = "dataset_preparation.videos_to_tfrecords"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("videos")
  video_files.make(folder / "a.mp4", rotation=270, sar=Fraction(4, 3))
  film = {"codec": "libx264", "size": (128, 64), "grays": range(20)}
  small = film | {"size": (32, 16), "grays": range(20)}
  video_files.write_streams(folder / "b.mkv", small, film | {"default": True})
  rows = "a,0,1,reach\na,1,3,pour\nb,0,0.8,reach\n"
  (folder / "labels.csv").write_text(f"video,start,end,phase\n{rows}")
  return folder


def test_a_dry_run_tells_everything_and_writes_nothing(folder, tmp_path):
  out = tmp_path / "out"
  command = (
    *("-m", MODULE, "--input_dir", folder, "--name", "mine_train", "--dry_run"),
    *("--output_dir", out, "--fps=5", "--short_side=32"),
  )
  done = run_python(*command, "--label_file", folder / "labels.csv")
  assert done.stdout.splitlines() == [
    "mine_train: a.mp4: h264, 64 x 128, turned by 90 degrees, 10 frames/s,"
    " 3.000 s, 30 frames -> 15 of 32 x 64",
    "  0 reach: 5 frames",
    "  1 pour: 10 frames",
    "mine_train: b.mkv: stream 1 (h264, 128 x 64) of 0, 1, 128 x 64, 25"
    " frames/s, 0.800 s, 20 frames -> 4 of 64 x 32",
    "  0 reach: 4 frames",
    "1 files match no --file_pattern and are left out, the first is labels.csv",
    "Nothing was written (--dry_run).",
  ]
  assert done.returncode == 0
  assert not out.exists()
  assert os.listdir(tmp_path) == []
  # What can't be converted is listed among the others.
  (folder / "c.mp4").write_bytes(b"no video")
  try:
    done = run_python(*command)
  finally:
    (folder / "c.mp4").unlink()
  assert done.returncode == 2
  assert "mine_train: c: can't be converted\n  error: " in done.stdout
  assert not out.exists()
