"""Speed and memory of embedding whole videos, against their parts alone.

Prints, for each precision, frames a second of embedding the videos of a split,
and of decoding, backbone, first convolution and the rest of the embedder, each
alone and in turn on a constant batch, all in alternating rounds of one process;
then the peak memory of processes that embed a short and a long video.

Usage: python -m benchmarks.embedding [--rounds 3] [--quick]
"""

import core.quiet_tensorflow  # noqa: F401

import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags
from easydict import EasyDict

import config as configuration
from algos import ALGOS
from benchmarks.made_records import make_jpegs, write_records
from benchmarks.measuring import (
  read_peak_memory,
  report,
  run_in_new_process,
  time_call,
)
from core import command_line
from data import preprocessing
from embeddings import extraction

FLAGS = flags.FLAGS

_NETWORK = ["MODEL.BASE_MODEL.NETWORK=Resnet50", "IMAGE_SIZE=112"]
_QUICK_NETWORK = [
  *("MODEL.BASE_MODEL.NETWORK=VGGM", "MODEL.BASE_MODEL.LAYER=conv2"),
  *("IMAGE_SIZE=32", "MODEL.CONV_EMBEDDER_MODEL.CAPACITY_SCALAR=0.05"),
]


def load(folder: pathlib.Path, precision: str, quick: bool) -> EasyDict:
  """Load the configuration that embeds the videos of a folder."""
  network = _QUICK_NETWORK if quick else _NETWORK
  data = ["DATASETS=[benchmark]", f"PATH_TO_TFRECORDS={folder}"]
  return configuration.load([], [*data, *network, f"PRECISION={precision}"])


def build_parts(
  embedder: extraction.VideoEmbedder, config: EasyDict
) -> list[Callable[[], tf.Tensor]]:
  """Build functions that each run one part of embedding a batch, alone."""
  algo, size = embedder.algo, config.IMAGE_SIZE
  emb, batch = algo.emb, algo.emb.piece_size
  jpegs = tf.constant(make_jpegs(112)[:batch])
  decode = tf.function(
    lambda: preprocessing.prepare(
      preprocessing.decode(jpegs), size, central_crop=False
    ),
    autograph=False,
  )
  frames = decode()
  compute = tf.function(algo.features, autograph=False)
  encode = tf.function(emb.encode_frames, autograph=False)
  features = compute(frames)
  encoded = encode(features)
  contexts = tf.stack([encoded] * config.DATA.NUM_STEPS, axis=1)
  return [
    decode,
    lambda: compute(frames),
    lambda: encode(features),
    lambda: emb._embed_contexts(contexts),
  ]


def compare(config: EasyDict, num_frames: int, rounds: int) -> None:
  """Print frames a second of the whole and of the parts in turn."""
  embedder = extraction.VideoEmbedder(ALGOS["alignment"](config), config)
  parts = build_parts(embedder, config)
  split = (config, "benchmark", "train")
  num_batches = num_frames // embedder.algo.emb.piece_size
  seconds = np.zeros([1 + len(parts), rounds])
  for place in range(-1, rounds):  # The first compiles.
    ours, _ = time_call(extraction.embed_split, embedder, *split)
    alone = [
      time_call(lambda part=part: [part() for _ in range(num_batches)])[0]
      for part in parts
    ]
    if place >= 0:
      seconds[:, place] = ours, *alone
  ours, *alone = num_frames / np.median(seconds, axis=1)
  limit = 1 / sum(1 / speed for speed in alone)
  report(
    "{}: {:.1f} frames/s; decoding {:.1f}, backbone {:.1f}, first convolution"
    " {:.1f}, rest {:.1f}; in turn {:.1f}; ratio {:.3f}".format(
      config.PRECISION, ours, *alone, limit, ours / limit
    )
  )


def measure_memory(folder: pathlib.Path, quick: bool) -> float:
  """Embed the videos of a folder; return the peak MiB of the process."""
  config = load(folder, "bfloat16", quick)
  embedder = extraction.VideoEmbedder(ALGOS["alignment"](config), config)
  extraction.embed_split(embedder, config, "benchmark", "train")
  return read_peak_memory()


def main() -> None:
  """Measure both precisions and memory."""
  # Clips as people have them, which do not fill whole batches.
  lengths, videos = [60, 130, 85, 100], {"10 s": 300, "5 min": 9000}
  if FLAGS.quick:
    lengths, videos = [10, 15], {"short": 10, "long": 30}
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_records(folder, lengths)
    for precision in ("float32", "bfloat16"):
      config = load(folder, precision, FLAGS.quick)
      compare(config, sum(lengths), 1 if FLAGS.quick else FLAGS.rounds)
    for title, length in videos.items():
      write_records(folder / title, [length])
      arguments = folder / title, FLAGS.quick
      peak = run_in_new_process(measure_memory, *arguments)
      report(f"peak memory of embedding a video of {title}: {peak:.0f} MiB")


if __name__ == "__main__":
  flags.DEFINE_integer("rounds", 3, "Rounds of each kind.", 1)
  flags.DEFINE_bool("quick", False, "Tiny sizes, to see that it runs.")
  command_line.run(main)
