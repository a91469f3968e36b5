"""Writes mp4 files that browsers play."""

import os
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np

from core.errors import UserError
from core.files import atomic_write


def write_video(
  path: str | os.PathLike,
  images: Iterable[np.ndarray],
  fps: float,
  crf: int = 23,
) -> None:
  """Encode frames as an H.264 mp4 that browsers play.

  Args:
    path: File to write, ending in `.mp4`.
    images: [H, W, 3] uint8 RGB frames, all of one size. An odd height or width
      loses its last row or column, since 4:2:0 color needs even sizes.
    fps: Frames per second.
    crf: Constant rate factor, 0 (lossless) to 51 (worst).

  Raises:
    UserError: There are no frames, or the file can't be written.
  """
  options = {"movflags": "faststart"}
  # The same images give the same bytes: one thread, and without the macroblock
  # tree, which differed from run to run (seen on x86-64).
  x264 = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
  with atomic_write(path) as temporary:
    with av.open(os.fspath(temporary), "w", options=options) as container:
      stream = None
      for image in images:
        height, width = (side - side % 2 for side in image.shape[:2])
        if stream is None:
          rate = Fraction(fps).limit_denominator(1001)
          stream = container.add_stream("libx264", rate=rate)
          stream.width, stream.height = width, height
          stream.pix_fmt = "yuv420p"
          stream.thread_count = 1
          stream.options = x264
        pixels = np.ascontiguousarray(image[:height, :width])
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        container.mux(stream.encode(frame))
      if stream is None:
        raise UserError(f"{path}: expected at least one frame, received none")
      container.mux(stream.encode())
