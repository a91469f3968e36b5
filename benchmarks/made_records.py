"""Records of made-up videos, about as hard to decode as real ones."""

import pathlib

import numpy as np
import tensorflow as tf

from data import examples

# Different frames of a video; a longer one repeats them.
_NUM_DIFFERENT = 60


def make_jpegs(size: int, seed: int = 0) -> list[bytes]:
  """Make JPEGs of smooth noise, of `size` pixels a side."""
  rng = np.random.default_rng(seed)
  shape = [_NUM_DIFFERENT, size // 8, size // 8, 3]
  coarse = tf.constant(rng.integers(0, 255, shape), tf.float32)
  frames = tf.cast(tf.image.resize(coarse, [size, size]), tf.uint8)
  return [tf.io.encode_jpeg(frame, quality=95).numpy() for frame in frames]


def write_records(
  folder: pathlib.Path,
  lengths: list[int],
  size: int = 112,
  dataset: str = "benchmark",
  split: str = "train",
) -> None:
  """Write a file of unlabeled videos of so many frames."""
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / f"{dataset}_{split}-0-of-1.tfrecord"
  with path.open("wb") as file:
    for number, length in enumerate(lengths):
      jpegs = make_jpegs(size, number)
      chosen = [jpegs[frame % len(jpegs)] for frame in range(length)]
      spool = folder / "spool"
      spool.write_bytes(b"".join(chosen))
      sizes = [len(jpeg) for jpeg in chosen]
      examples.write_example(file, spool, sizes, f"video {number}")
      spool.unlink()
