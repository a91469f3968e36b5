"""Speed and memory of the conversion of videos to TFRecords.

Usage: python -m benchmarks.preparation [--minutes 10]

Generates 20 H.264 clips of 1080p, 10 s each. Bare is what can't be left out:
two processes that decode the same frames, resize and encode them as JPEG, and
keep nothing. Both are timed as whole processes, alternately. Then a worker
converts a long clip, and its peak memory is read from the operating system.
"""

import multiprocessing
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from multiprocessing.connection import Connection

import av
import cv2
import numpy as np
from absl import flags

from core import command_line
from dataset_preparation import conversion
from dataset_preparation.conversion import Source
from media.frame_encoding import FrameEncoding

FLAGS = flags.FLAGS

_WIDTH, _HEIGHT, _FPS = 1920, 1080, 30
_SIZE = (224, 224)
_QUALITY = 95
# What is expected: a share of the bare throughput, and MiB.
_MIN_THROUGHPUT, _MAX_MEMORY = 0.85, 500
_ROOT = pathlib.Path(__file__).parents[1]


def frames(count: int) -> Iterator[np.ndarray]:
  """Frames that pan over a photograph-like picture, with noise."""
  random = np.random.default_rng(0)
  coarse = random.integers(0, 255, (60, 120, 3), np.uint8)
  picture = cv2.resize(coarse, (2 * _WIDTH, _HEIGHT))
  picture = cv2.add(picture, random.integers(0, 24, picture.shape, np.uint8))
  for number in range(count):
    shift = number * 7 % _WIDTH
    yield np.ascontiguousarray(picture[:, shift : shift + _WIDTH])


def film(path: pathlib.Path, seconds: float) -> None:
  """Writes an H.264 file as phones do: B frames, a key frame each second."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream("libx264", rate=_FPS)
    stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
    stream.options = {"preset": "veryfast", "g": str(_FPS)}
    for number, image in enumerate(frames(round(seconds * _FPS))):
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = number, Fraction(1, _FPS)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())


def lengthen(path: pathlib.Path, target: pathlib.Path, times: int) -> None:
  """Repeats a file's packets so many times: a long video, quickly made."""
  with av.open(str(target), "w") as output:
    stream, offset = None, 0
    for _ in range(times):
      with av.open(str(path)) as container:
        video = container.streams.video[0]
        stream = stream or output.add_stream_from_template(video)
        end = 0
        for packet in container.demux(video):
          if packet.dts is None:
            continue
          end = max(end, packet.pts + packet.duration)
          packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
          packet.stream = stream
          output.mux(packet)
        offset += end


def bare(path: str) -> int:
  """Decodes, resizes and encodes the frames of a video; counts bytes."""
  cv2.setNumThreads(1)
  size = 0
  with av.open(path) as container:
    for frame in container.decode(video=0):
      image = cv2.resize(
        frame.to_ndarray(format="bgr24"), _SIZE, interpolation=cv2.INTER_AREA
      )
      options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
      size += len(cv2.imencode(".jpg", image, options)[1])
  return size


def bare_seconds(folder: pathlib.Path) -> float:
  """Seconds that two bare processes take for all videos."""
  paths = [str(path) for path in sorted(folder.glob("*.mp4"))]
  start = time.perf_counter()
  with multiprocessing.get_context("spawn").Pool(2) as pool:
    pool.map(bare, paths, chunksize=1)
  return time.perf_counter() - start


def our_seconds(folder: pathlib.Path, output_dir: pathlib.Path) -> float:
  """Seconds that `videos_to_tfrecords` with two workers takes for all."""
  start = time.perf_counter()
  subprocess.run(
    [
      *(sys.executable, "-m", "dataset_preparation.videos_to_tfrecords"),
      *("--name=benchmark_train", f"--input_dir={folder}", "--overwrite"),
      *(f"--output_dir={output_dir}", "--num_workers=2"),
    ],
    cwd=_ROOT,
    check=True,
    capture_output=True,
  )
  return time.perf_counter() - start


def peak_memory(path: pathlib.Path, target: pathlib.Path) -> float:
  """MiB that a process of its own needs to convert a video."""
  context = multiprocessing.get_context("spawn")
  receiver, sender = context.Pipe(duplex=False)
  worker = context.Process(
    target=_convert_and_measure, args=(path, target, sender)
  )
  worker.start()
  worker.join()
  return receiver.recv()


def _convert_and_measure(
  path: pathlib.Path,
  target: pathlib.Path,
  sender: Connection,
) -> None:
  cv2.setNumThreads(1)
  conversion.convert(Source("long", path), FrameEncoding(size=_SIZE), target)
  # Not `ru_maxrss`, which starts at the peak of the process that started it.
  status = pathlib.Path("/proc/self/status").read_text()
  sender.send(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)


def main() -> None:
  """Measures and prints."""
  with tempfile.TemporaryDirectory(dir=FLAGS.work_dir) as name:
    root = pathlib.Path(name)
    folder = root / "videos"
    folder.mkdir()
    film(folder / "0.mp4", 10)
    data = (folder / "0.mp4").read_bytes()
    for number in range(1, 20):
      (folder / f"{number}.mp4").write_bytes(data)
    times = [
      (bare_seconds(folder), our_seconds(folder, root / "records"))
      for _ in range(FLAGS.rounds)
    ]
    ratio = statistics.median(theirs / ours for theirs, ours in times)
    for theirs, ours in times:
      print(f"bare {theirs:.1f} s, ours {ours:.1f} s", flush=True)
    print(
      f"throughput of ours: {ratio:.3f} of bare (median), expected at least"
      f" {_MIN_THROUGHPUT}",
      flush=True,
    )
    lengthen(folder / "0.mp4", root / "long.mp4", round(6 * FLAGS.minutes))
    for path in (folder / "0.mp4", root / "long.mp4"):
      start = time.perf_counter()
      peak = peak_memory(path, root / "record")
      seconds = time.perf_counter() - start
      print(
        f"{path.name}: {seconds:.0f} s, peak of the worker {peak:.0f} MiB,"
        f" {peak / _MAX_MEMORY:.3f} of the {_MAX_MEMORY} it may take",
        flush=True,
      )


if __name__ == "__main__":
  flags.DEFINE_integer("rounds", 3, "Times each is timed.", lower_bound=1)
  flags.DEFINE_float("minutes", 10, "Length of the long video.")
  command_line.define_path("work_dir", None, "Folder for the videos; 2 GiB.")
  command_line.run(main)
