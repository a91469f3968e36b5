"""Writes mp4 files that browsers play."""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import av
import numpy as np

from core.errors import UserError
from core.files import atomic_write

# Ticks a second of the clock of MPEG, in which usual rates are whole intervals.
CLOCK_RATE = 90_000


def count_ticks(times: Iterable[float]) -> list[int]:
  """Round times to the clock of a video, each at least a tick after the last.

  Args:
    times: Seconds from the first frame.

  Returns:
    Ticks of `CLOCK_RATE`; dividing by it and rounding again changes nothing.
  """
  ticks: list[int] = []
  for time in times:
    earliest = ticks[-1] + 1 if ticks else 0
    ticks.append(max(round(time * CLOCK_RATE), earliest))
  return ticks


def write_video(
  path: str | os.PathLike,
  images: Iterable[np.ndarray],
  fps: float = 25.0,
  crf: int = 23,
  times: Sequence[float] = (),
) -> None:
  """Encode frames as an H.264 mp4 that browsers play.

  Args:
    path: File to write, ending in `.mp4`.
    images: [H, W, 3] uint8 RGB frames, all of one size. An odd height or width
      loses its last row or column, since 4:2:0 color needs even sizes.
    fps: Frames per second.
    crf: Constant rate factor, 0 (lossless) to 51 (worst).
    times: Seconds at which each of the F frames is shown, and at which the last
      one ends, F + 1 in all, see `count_ticks`; empty for those of `fps`.

  Raises:
    UserError: There are no frames, or the file can't be written.
  """
  options = {"movflags": "faststart"}
  # The same images give the same bytes: one thread, and without the macroblock
  # tree, which differed from run to run (seen on x86-64).
  x264 = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
  ticks = count_ticks(times)
  ends = dict(itertools.pairwise(ticks))
  if ticks:
    # The length of the file is that of the frame which is encoded last.
    x264["bf"] = "0"
  with atomic_write(path) as temporary:
    with av.open(os.fspath(temporary), "w", options=options) as container:
      stream = None
      for number, image in enumerate(images):
        height, width = (side - side % 2 for side in image.shape[:2])
        if stream is None:
          rate = Fraction(fps).limit_denominator(1001)
          stream = container.add_stream("libx264", rate=rate)
          stream.width, stream.height = width, height
          stream.pix_fmt = "yuv420p"
          stream.thread_count = 1
          stream.options = x264
          if ticks:
            clock = Fraction(1, CLOCK_RATE)
            stream.time_base = stream.codec_context.time_base = clock
        pixels = np.ascontiguousarray(image[:height, :width])
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        if ticks:
          frame.pts, frame.time_base = ticks[number], clock
        container.mux(_set_ends(stream.encode(frame), ends))
      if stream is None:
        raise UserError(f"{path}: expected at least one frame, received none")
      container.mux(_set_ends(stream.encode(), ends))


def _set_ends(
  packets: list[av.Packet], ends: Mapping[int, int]
) -> list[av.Packet]:
  """Set how long frames are shown, where the ticks of their ends are known."""
  for packet in packets:
    if packet.pts in ends:
      packet.duration = ends[packet.pts] - packet.pts
  return packets
