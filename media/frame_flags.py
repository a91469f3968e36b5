"""Flags on how frames are read and stored."""

import dataclasses

from absl import flags

from media import frame_encoding
from media.frame_encoding import FrameEncoding

FLAGS = flags.FLAGS
# --help lists them under the command that defines them.
flags.disclaim_key_flags()

# Fields of `FrameEncoding` that other flags decide than those of their names;
# each way to give a size replaces the others.
_SIZES = ("resize", "width", "height", "short_side")
_DECIDED_BY = {"quality": ["jpeg_quality"], "keep_damaged": ["on_error"]}
_DECIDED_BY |= dict.fromkeys(["size", "short_side"], _SIZES)


def define() -> None:
  """Define the flags on how frames are stored."""
  flags.DEFINE_enum(
    "rotate",
    "0",
    list(map(str, frame_encoding.ROTATIONS)),
    "Degrees to turn the frames clockwise, before they are resized. The"
    " rotation that a file's metadata asks for is applied anyway.",
  )
  flags.DEFINE_boolean(
    "resize", True, "Whether to resize to --width and --height."
  )
  most = frame_encoding.MAX_SIDE
  flags.DEFINE_integer("width", 224, "Width in pixels.", 1, most)
  flags.DEFINE_integer("height", 224, "Height in pixels.", 1, most)
  flags.DEFINE_integer(
    "short_side",
    0,
    "Length of the shorter side in pixels, keeping the aspect ratio, instead of"
    " --width and --height; 0 = those.",
    lower_bound=0,
  )
  flags.DEFINE_integer("jpeg_quality", 95, "Quality of the frames.", 1, 100)
  flags.DEFINE_float(
    "fps",
    0.0,
    "Videos: frames per second to keep, the nearest to each tick; 0 = all."
    " Images: their rate, for labels in seconds; 0 = unknown.",
    lower_bound=0.0,
  )
  flags.DEFINE_float(
    "source_fps",
    0.0,
    "Videos: frames per second to count by, for files whose own times are"
    " wrong; 0 = their own times.",
    lower_bound=0.0,
  )
  flags.DEFINE_boolean(
    "deinterlace", False, "Whether to make whole frames of interlaced ones."
  )
  flags.DEFINE_enum(
    "on_error",
    "stop",
    ["stop", "skip", "keep"],
    "What a broken video does: end the conversion; be left out, listed at the"
    " end, and make the exit status 2; or be kept as far as it decodes, and"
    " left out if nothing does.",
  )


def get(stored: FrameEncoding | None = None) -> FrameEncoding:
  """Return how the flags want frames to be stored.

  Args:
    stored: What holds where a flag is not given; None for the defaults of
      flags, which are those of `FrameEncoding`.

  Returns:
    How frames are stored.
  """
  found = {
    "size": (FLAGS.width, FLAGS.height) if FLAGS.resize else None,
    "short_side": FLAGS.short_side,
    "rotate": int(FLAGS.rotate),
    "fps": FLAGS.fps,
    "quality": FLAGS.jpeg_quality,
    "source_fps": FLAGS.source_fps,
    "deinterlace": FLAGS.deinterlace,
    "keep_damaged": FLAGS.on_error == "keep",
  }
  given = {
    field: value
    for field, value in found.items()
    if any(FLAGS[x].present for x in _DECIDED_BY.get(field, [field]))
  }
  return dataclasses.replace(stored or FrameEncoding(), **given)
