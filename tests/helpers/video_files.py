"""Makes small video files of every kind for tests."""

import contextlib
import os
from fractions import Fraction

import av
import numpy as np

HEIGHT, WIDTH = 64, 96
# Colors of the quarters: top left, top right, bottom left, bottom right.
RED, GREEN, BLUE, WHITE = (250, 0, 0), (0, 250, 0), (0, 0, 250), (250,) * 3
QUARTERS = "RGBW"


def quartered(number=0, seed=None):
  """An image of four colors; the bottom right darkens frame by frame."""
  image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
  image[: HEIGHT // 2, : WIDTH // 2] = RED
  image[: HEIGHT // 2, WIDTH // 2 :] = GREEN
  image[HEIGHT // 2 :, : WIDTH // 2] = BLUE
  image[HEIGHT // 2 :, WIDTH // 2 :] = np.array(WHITE) - 2 * number
  if seed is not None:
    noise = np.random.default_rng(seed + number).integers(0, 60, image.shape)
    image = (image // 2 + noise).astype(np.uint8)
  return image


def make(
  path,
  codec="libx264",
  num_frames=30,
  fps=10,
  first=0,
  pts=None,
  rotation=None,
  hflip=False,
  container_options=None,
  seed=None,
  pix_fmt="yuv420p",
  crop=(0, 0),
):
  """Writes a video of `quartered` frames; `pts` are numbers of ticks.

  `crop` takes rows and columns away; odd sizes need 4:4:4 color.
  """
  pts = pts or range(first, first + num_frames)
  with (
    contextlib.ExitStack() as stack,
    av.open(str(path), "w", options=container_options or {}) as container,
  ):
    stream = container.add_stream(codec, rate=fps)
    height, width = HEIGHT - crop[0], WIDTH - crop[1]
    stream.width, stream.height = width, height
    stream.pix_fmt = pix_fmt
    stream.thread_count = 1
    if codec == "libsvtav1":
      stream.options = {"preset": "12"}
      stack.callback(_schedule_normally)
    if rotation is not None:
      stream.set_display_rotation(rotation, hflip=hflip)
    for number, tick in enumerate(pts):
      frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(quartered(number, seed)[:height, :width]),
        format="rgb24",
      )
      frame.pts, frame.time_base = tick, Fraction(1, fps)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return path


def _schedule_normally():
  """Takes back the real-time priority that SVT-AV1 gives root's processes.

  All that they start would inherit it, and starve the rest of the machine.
  """
  if hasattr(os, "sched_setscheduler"):
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def make_audio(path):
  """Writes a file of one second of silence."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream("aac", rate=16000)
    frame = av.AudioFrame.from_ndarray(
      np.zeros((1, 16000), np.float32), format="fltp", layout="mono"
    )
    frame.rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return path


def colors(image):
  """Names the colors of an image's quarters, in the order of QUARTERS."""
  height, width = image.shape[:2]
  names = ""
  for y in (height // 4, 3 * height // 4):
    for x in (width // 4, 3 * width // 4):
      bright = image[y, x].astype(int) > 125
      names += "W" if bright.all() else "RGB"[int(np.flatnonzero(bright)[0])]
  return names
