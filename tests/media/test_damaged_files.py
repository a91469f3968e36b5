"""Thousands of files with changed bytes, of every container."""

import pathlib
import time

import numpy as np
import pytest

from core.errors import UserError
from media.video_reader import VideoReader
from tests.helpers import video_files

KINDS = {
  **dict.fromkeys(("mp4", "mov", "mkv", "ts"), "libx264"),
  **dict(webm="libvpx", ogv="libvpx", avi="mpeg4", wmv="wmv2"),
  **dict(mpg="mpeg2video", gif="gif"),
}
# Bytes at both ends, where headers and indices lie.
HEADER = 1500


def mutate(data, rng):
  """Changes bytes, mostly of the headers, or cuts a file."""
  data = bytearray(data)
  if rng.random() < 0.1:
    return data[: rng.integers(1, len(data))]
  for _ in range(rng.integers(1, 9)):
    place = rng.integers(min(HEADER, len(data)))
    if rng.random() < 0.3:
      place = len(data) - 1 - place
    if rng.random() < 0.1:
      place = rng.integers(len(data))
    values = [rng.integers(256), 0, 255, data[place] ^ 1 << rng.integers(8)]
    data[place] = values[rng.integers(len(values))]
  return data


def read(path, **options):
  """Reads a file; returns whether it was read to its end."""
  reader, last = VideoReader(path, **options), -1.0
  try:
    for frame in reader:
      assert last <= frame.time < float("inf"), (frame, last)
      assert frame.image.ndim == 3
      last = frame.time
      if frame.index == 200:
        break
  except UserError as error:
    message = str(error)
    assert message.startswith(f"{path}: expected "), message
    assert "\n" not in message
    return False
  return True


@pytest.mark.slow
@pytest.mark.parametrize("ending", KINDS)
def test_whatever_a_file_holds_it_is_read_or_named(tmp_path, ending):
  path = tmp_path / f"a.{ending}"
  options = {"pix_fmt": "rgb8"} if ending == "gif" else {}
  video_files.make(path, KINDS[ending], 12, 25, **options)
  whole, rng = path.read_bytes(), np.random.default_rng(0)
  assert read(path)
  counts = [0, 0]
  for _ in range(500):
    path.write_bytes(mutate(whole, rng))
    start = time.monotonic()
    kept, strict = read(path, keep_damaged=True), read(path)
    assert kept or not strict
    # Not a matter of speed: a hang.
    assert time.monotonic() - start < 60, pathlib.Path(path).read_bytes()
    counts[strict] += 1
  assert min(counts) > 5
