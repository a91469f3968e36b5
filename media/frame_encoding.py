"""Encoding of frames for records: rotated, resized, as JPEGs."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Self

import cv2
import numpy as np

from core.errors import UserError
from media import image_folders
from media.frames import Frame

ROTATIONS = (0, 90, 180, 270)
# Pixels a side that the JPEG encoder takes at most.
MAX_SIDE = 65500


@dataclasses.dataclass(frozen=True)
class FrameEncoding:
  """Options for storing frames.

  Attributes:
    size: Width and height in pixels, whatever the aspect ratio; None keeps that
      on the screen.
    short_side: Length of the shorter side in pixels, keeping the aspect ratio;
      0 uses `size`.
    rotate: Degrees to turn clockwise before resizing: 0, 90, 180 or 270.
    fps: Frames per second to keep of a video, or the rate of an image folder;
      0 keeps all frames, and leaves images without times.
    quality: JPEG quality, 1 to 100.
    image_endings: Endings of the images in a folder, lower case.
    source_fps: Frames per second to count a video by instead of its time
      stamps; 0 for those.
    deinterlace: Whether to make whole frames of interlaced ones.
    keep_damaged: Whether to leave out the parts of a video that can't be
      decoded.
  """

  size: tuple[int, int] | None = (224, 224)
  short_side: int = 0
  rotate: int = 0
  fps: float = 0.0
  quality: int = 95
  image_endings: tuple[str, ...] = image_folders.ENDINGS
  source_fps: float = 0.0
  deinterlace: bool = False
  keep_damaged: bool = False

  @classmethod
  def from_fields(cls, fields: Mapping[str, Any]) -> Self:
    """Make an encoding from its fields as JSON has them."""
    lists = {k: tuple(v) for k, v in fields.items() if isinstance(v, list)}
    return cls(**{**fields, **lists})

  def encode(
    self, frame: Frame, path: str | os.PathLike = "frame"
  ) -> tuple[bytes, tuple[int, int]]:
    """Rotate, resize and encode a frame.

    Args:
      frame: The frame.
      path: Its video, for messages.

    Returns:
      A JPEG, the source's own if there is nothing to change, and its width and
      height.

    Raises:
      UserError: The frame can't be decoded, or is to have a side that is too
        long for a JPEG.
    """
    image = np.ascontiguousarray(np.rot90(frame.image, -self.rotate // 90))
    height, width = image.shape[:2]
    shown = width, height
    if frame.size:
      shown = frame.size[::-1] if self.rotate in (90, 270) else frame.size
    size = self.size or shown
    if self.short_side:
      scale = self.short_side / min(shown)
      size = round(shown[0] * scale), round(shown[1] * scale)
    if frame.jpeg is not None and not self.rotate and size == (width, height):
      return frame.jpeg, size
    if max(size) > MAX_SIDE:
      raise UserError(
        f"{path}: expected frames of at most {MAX_SIDE} pixels a side, as a"
        f" JPEG holds, received {size[0]} x {size[1]}; give a smaller"
        " --short_side, or --width and --height"
      )
    if size != (width, height):
      shrinks = size[0] * size[1] < width * height
      # Averaging over areas avoids aliasing, but enlarges to blocks.
      method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
      image = cv2.resize(image, size, interpolation=method)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
    _, jpeg = cv2.imencode(".jpg", bgr, options)
    return jpeg.tobytes(), size
