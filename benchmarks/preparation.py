"""Speed and memory of the conversion of videos to TFRecords.

Usage: python -m benchmarks.preparation [--minutes 10]

Generates 20 H.264 clips of 1080p, 10 s each. Bare is what can't be left out:
two processes that decode the same frames, resize and encode them as JPEG, and
keep nothing. Both are timed as whole processes, alternately. Then a worker
converts a long clip, and its peak memory is read from the operating system.
"""

import multiprocessing
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
from absl import flags

from benchmarks import measuring
from core import command_line
from dataset_preparation import conversion
from media.frame_encoding import FrameEncoding

FLAGS = flags.FLAGS

_WIDTH, _HEIGHT, _FPS = 1920, 1080, 30
_SIZE = (224, 224)
_QUALITY = 95
# What is expected: a share of the bare throughput, and MiB.
_MIN_THROUGHPUT, _MAX_MEMORY = 0.85, 500


def make_frames(count: int) -> Iterator[np.ndarray]:
  """Yield frames that pan over a photograph-like picture, with noise."""
  random = np.random.default_rng(0)
  coarse = random.integers(0, 255, (60, 120, 3), np.uint8)
  picture = cv2.resize(coarse, (2 * _WIDTH, _HEIGHT))
  picture = cv2.add(picture, random.integers(0, 24, picture.shape, np.uint8))
  for number in range(count):
    shift = number * 7 % _WIDTH
    yield np.ascontiguousarray(picture[:, shift : shift + _WIDTH])


def write_clip(path: pathlib.Path, seconds: float) -> None:
  """Write an H.264 file as phones do: B frames, a key frame each second."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream("libx264", rate=_FPS)
    stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
    stream.options = {"preset": "veryfast", "g": str(_FPS)}
    for number, image in enumerate(make_frames(round(seconds * _FPS))):
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = number, Fraction(1, _FPS)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())


def lengthen(path: pathlib.Path, target: pathlib.Path, times: int) -> None:
  """Repeat a file's packets so many times: a long video, quickly made."""
  listing = target.with_suffix(".txt")
  listing.write_text(f"file '{path}'\n" * times)
  with (
    av.open(str(listing), format="concat", options={"safe": "0"}) as container,
    av.open(str(target), "w") as output,
  ):
    stream = output.add_stream_from_template(container.streams.video[0])
    for packet in container.demux(video=0):
      if packet.dts is not None:
        packet.stream = stream
        output.mux(packet)


def encode_bare(path: str) -> int:
  """Decode, resize and encode the frames of a video; count bytes."""
  cv2.setNumThreads(1)
  size = 0
  with av.open(path) as container:
    for frame in container.decode(video=0):
      image = frame.to_ndarray(format="bgr24")
      image = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
      options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
      size += len(cv2.imencode(".jpg", image, options)[1])
  return size


def convert_bare(folder: pathlib.Path) -> None:
  """Run two bare processes on all videos of a folder."""
  paths = [str(path) for path in sorted(folder.glob("*.mp4"))]
  with multiprocessing.get_context("spawn").Pool(2) as pool:
    pool.map(encode_bare, paths, chunksize=1)


def convert_ours(folder: pathlib.Path, output_dir: pathlib.Path) -> None:
  """Run `videos_to_tfrecords` with two workers on a folder."""
  measuring.run_module(
    "dataset_preparation.videos_to_tfrecords",
    *("--name=benchmark_train", f"--input_dir={folder}", "--overwrite"),
    *(f"--output_dir={output_dir}", "--num_workers=2"),
  )


def convert_and_measure(path: pathlib.Path, target: pathlib.Path) -> float:
  """Convert a video as a worker does; return the peak MiB of the process."""
  cv2.setNumThreads(1)
  source, encoding = conversion.Source("long", path), FrameEncoding(size=_SIZE)
  conversion.convert(source, encoding, target)
  return measuring.read_peak_memory()


def main() -> None:
  """Measure and prints."""
  with tempfile.TemporaryDirectory(dir=FLAGS.work_dir) as name:
    root = pathlib.Path(name)
    folder = root / "videos"
    folder.mkdir()
    short, long = folder / "0.mp4", root / "long.mp4"
    seconds, num_clips = (0.5, 2) if FLAGS.quick else (10, 20)
    write_clip(short, seconds)
    for number in range(1, num_clips):
      shutil.copy(short, folder / f"{number}.mp4")
    ratios, minutes = [], FLAGS.minutes
    if FLAGS.quick:
      minutes = seconds / 30
    for _ in range(1 if FLAGS.quick else FLAGS.rounds):
      theirs, _ = measuring.time_call(convert_bare, folder)
      ours, _ = measuring.time_call(convert_ours, folder, root / "records")
      ratios.append(theirs / ours)
      measuring.report(f"bare {theirs:.1f} s, ours {ours:.1f} s")
    measuring.report(
      f"throughput of ours: {statistics.median(ratios):.3f} of bare (median),"
      f" expected at least {_MIN_THROUGHPUT}"
    )
    lengthen(short, long, round(60 * minutes / seconds))
    for path in (short, long):
      seconds, peak = measuring.time_call(
        measuring.run_in_new_process, convert_and_measure, path, root / "record"
      )
      measuring.report(
        f"{path.name}: {seconds:.0f} s, peak of the worker {peak:.0f} MiB,"
        f" {peak / _MAX_MEMORY:.3f} of the {_MAX_MEMORY} it may take"
      )


if __name__ == "__main__":
  flags.DEFINE_integer("rounds", 3, "Times each is timed.", lower_bound=1)
  flags.DEFINE_float("minutes", 10, "Length of the long video.")
  flags.DEFINE_bool("quick", False, "Tiny sizes, to see that it runs.")
  command_line.define_path("work_dir", None, "Folder for the videos; 2 GiB.")
  command_line.run(main)
