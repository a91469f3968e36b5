"""Paints polygons into a picture through a camera."""

import dataclasses

import cv2
import numpy as np

from dataset_preparation.synthetic_pouring.shapes import across

_SUBPIXEL_BITS = 4
_HALF_CIRCLE = across(np.linspace(-np.pi / 2, np.pi / 2, 9))
_CIRCLE = across(np.linspace(0, 2 * np.pi, 28, endpoint=False))


@dataclasses.dataclass(frozen=True)
class Canvas:
  """A picture with the camera that maps world points to its pixels.

  Attributes:
    image: [H, W, 3] uint8, painted in place.
    camera: [2, 3] affine map.
  """

  image: np.ndarray
  camera: np.ndarray

  def fill(
    self, points: np.ndarray, color: np.ndarray, alpha: float = 1.0
  ) -> None:
    """Fill a polygon of [N, 2] world points, opaque (1) to invisible (0)."""
    moved = points @ self.camera[:, :2].T + self.camera[:, 2]
    corners = np.round(moved * 2**_SUBPIXEL_BITS).astype(np.int32)
    if alpha >= 1:
      _paint(self.image, corners, color.tolist())
      return
    low = np.maximum((corners.min(0) >> _SUBPIXEL_BITS) - 1, 0)
    size = self.image.shape[1::-1]
    high = np.minimum((corners.max(0) >> _SUBPIXEL_BITS) + 2, size)
    if np.any(high <= low):
      return
    part = self.image[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(part.shape[:2], np.uint8)
    _paint(mask, corners - (low << _SUBPIXEL_BITS), [255])
    weight = mask[..., None] * np.float32(alpha / 255)
    part[:] = part + weight * (color.astype(np.float32) - part) + 0.5

  def line(
    self, points: np.ndarray, width: float, color: np.ndarray, alpha: float
  ) -> None:
    """Draw a line of a width in world units along [N, 2] world points."""
    along = np.gradient(points, axis=0)
    if np.array_equal(points[0], points[-1]):
      along[0] = along[-1] = points[1] - points[-2]
    length = np.maximum(np.hypot(*along.T), 1e-9)
    side = along[:, ::-1] * [-1, 1] / length[:, None] * (width / 2)
    outline = np.concatenate([points + side, (points - side)[::-1]])
    self.fill(outline, color, alpha)


def _paint(image: np.ndarray, corners: np.ndarray, color: list[float]) -> None:
  cv2.fillPoly(image, [corners], color, cv2.LINE_AA, _SUBPIXEL_BITS)


def limb(
  start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float
) -> np.ndarray:
  """Return the outline of a tapered rod with round ends, [N, 2] points."""
  along = end - start
  along = along / max(float(np.hypot(*along)), 1e-9)
  cap = _HALF_CIRCLE @ np.stack([along, [-along[1], along[0]]])
  return np.concatenate([end + cap * end_radius, start - cap * start_radius])


def ellipse(center: np.ndarray, x_radius: float, y_radius: float) -> np.ndarray:
  """Return the outline of an ellipse, [28, 2] points."""
  return center + _CIRCLE * [x_radius, y_radius]
