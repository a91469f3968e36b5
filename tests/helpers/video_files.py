"""Makes small video files of every kind for tests."""

import contextlib
import os
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition

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
  sar=None,
  draw=quartered,
  options=None,
  color_trc=None,
):
  """Writes a video of `quartered` frames; `pts` are numbers of ticks.

  `crop` takes rows and columns away; odd sizes need 4:4:4 color. `draw`
  makes the image of a number, `options` go to the encoder.
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
    stream.options |= options or {}
    if sar:
      stream.codec_context.sample_aspect_ratio = sar
    if color_trc:
      stream.codec_context.color_trc = color_trc
    if rotation is not None:
      stream.set_display_rotation(rotation, hflip=hflip)
    for number, tick in enumerate(pts):
      shown = np.ascontiguousarray(draw(number, seed)[:height, :width])
      frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
      frame.pts, frame.time_base = tick, Fraction(1, fps)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return path


def write_gray(path, codec, grays, times=None, ends=None, rate=25, **options):
  """Writes gray frames of 64 x 64 pixels, without reordering them.

  `times` and `ends` are in seconds, by default evenly spaced; `options` go to
  the encoder.
  """
  times = times or [number / rate for number in range(len(grays))]
  ends = ends or [*times[1:], times[-1] + 1 / rate]
  base = Fraction(1, 1000)
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=rate)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    stream.options = {"bf": "0"} | options
    if codec == "libx264":
      stream.time_base = stream.codec_context.time_base = base
    else:
      base = Fraction(1, rate)
    packets = []
    for gray, time in zip(grays, times, strict=True):
      image = np.full((64, 64, 3), gray, np.uint8)
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = round(time / base), base
      packets += stream.encode(frame)
    packets += stream.encode()
    shown = zip(packets, times, ends, strict=True)
    for packet, time, end in shown:
      packet.duration = round((end - time) / base)
      container.mux(packet)
  return path


def write_streams(path, *streams):
  """Writes several streams of gray frames, each a dict.

  Its keys are `codec`, `size` (width, height), `grays`, one a frame at 25
  frames per second, and `default`, whether it is the default stream.
  """
  with av.open(str(path), "w") as container:
    made = []
    for fields in streams:
      stream = container.add_stream(fields["codec"], rate=25)
      stream.width, stream.height = fields["size"]
      jpeg = fields["codec"] == "mjpeg"
      stream.pix_fmt = "yuvj420p" if jpeg else "yuv420p"
      stream.disposition = Disposition(int(fields.get("default", False)))
      made.append(stream)
    for stream, fields in zip(made, streams, strict=True):
      for number, gray in enumerate(fields["grays"]):
        image = np.full((*fields["size"][::-1], 3), gray, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        container.mux(stream.encode(frame))
      container.mux(stream.encode())
  return path


def make_with_sound(path, seconds, sound):
  """Writes a WMV file of gray frames whose sound has another length."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream("wmv2", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    audio = container.add_stream("wmav2", rate=16000, layout="mono")
    audio.bit_rate = 32000
    audio.codec_context.open()
    size, packets = audio.codec_context.frame_size, []
    for number in range(round(seconds * 25)):
      image = np.full((64, 64, 3), number, np.uint8)
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = number, Fraction(1, 25)
      packets += stream.encode(frame)
    for start in range(0, int(sound * 16000) - size + 1, size):
      samples = np.zeros((1, size), np.float32)
      frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
      frame.rate, frame.pts = 16000, start
      frame.time_base = Fraction(1, 16000)
      packets += audio.encode(frame)
    packets += [*stream.encode(), *audio.encode()]
    container.mux(sorted(packets, key=lambda x: x.dts * x.time_base))
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
