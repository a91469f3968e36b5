import numpy as np
import pytest
import tensorflow as tf

from data import record_writer as records
from tests.helpers import record_files

# Lengths on both sides of where their own encoding grows by a byte.
SIZES = (0, 1, 3, 126, 127, 128, 129, 200, 16383, 16384, 70000)


def write(path, frames, **fields):
  spool = path.with_suffix(".jpegs")
  spool.write_bytes(b"".join(frames))
  with path.open("ab") as file:
    records.write(file, spool, [len(frame) for frame in frames], **fields)


@pytest.mark.parametrize(
  "fields",
  [
    {"name": "a", "frame_labels": None},
    {
      "name": "näme/ü",
      "frame_labels": [-1, 0, 5, 127, 128, 300, 0, 1, 2, 3, 4],
    },
    {"name": "x" * 200, "frame_labels": [0] * 11, "label": 2**40},
    {"name": "", "frame_labels": None, "label": 0},
  ],
)
def test_bytes_are_those_tensorflow_writes(tmp_path, fields):
  rng = np.random.default_rng(0)
  frames = [rng.bytes(size) for size in SIZES]
  write(tmp_path / "ours", frames, **fields)
  write(tmp_path / "ours", frames[:1], name="second")
  with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
    writer.write(record_files.sequence_example(jpegs=frames, **fields))
    writer.write(record_files.sequence_example("second", frames[:1]))
  ours, theirs = (tmp_path / name for name in ("ours", "theirs"))
  assert ours.read_bytes() == theirs.read_bytes()


def test_another_number_of_labels_is_refused(tmp_path):
  with pytest.raises(ValueError, match="a: expected 1 labels .* received 2"):
    write(tmp_path / "ours", [b"x"], name="a", frame_labels=[0, 1])


def test_the_size_of_a_record_is_not_underestimated(tmp_path):
  jpegs, target = tmp_path / "jpegs", tmp_path / "record"
  for size in (0, 1, 200, 70_000):
    sizes = [size] * 50
    jpegs.write_bytes(bytes(sum(sizes)))
    with target.open("wb") as file:
      records.write(file, jpegs, sizes, "n" * 4096, [-1] * 50)
    frames = sum(size + records.FRAME_OVERHEAD for size in sizes)
    assert target.stat().st_size < frames + (2**31 - records.MAX_BYTES)
