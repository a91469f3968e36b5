"""Embedded videos whose frames tell by their color which ones they are."""

import numpy as np

from embeddings.types import EmbeddedVideo

NAMES = (
  "<img src=x onerror=alert(1)>",
  "\"quotes\" & 'apostrophes' </script>",
  "🎬 مرحبا بالعالم",
  "backwards",
  "plain",
)
# Other numbers of frames than whole sheets have.
LENGTHS = (40, 55, 31, 47, 26)


def code_frames(length, size):
  """Frames [L, H, W, 3] of one color each, which `decode` reads."""
  high, low = np.divmod(np.arange(length), 25)
  colors = np.stack([low * 9 + 12, high * 9 + 12, np.full(length, 128)], axis=1)
  shape = (length, *size, 3)
  return np.broadcast_to(np.uint8(colors)[:, None, None], shape)


def decode(color):
  """The number of the frame that has about this color."""
  low, high = (round((float(value) - 12) / 9) for value in color[:2])
  return low + 25 * high


def make(names=NAMES, lengths=LENGTHS, size=(48, 64)):
  """Videos along one curve at different speeds; `backwards` runs so.

  The first has phases 0 to 2, and times that stand still after frame 2.
  """
  random = np.random.default_rng(0)
  videos = []
  for name, length in zip(names, lengths, strict=True):
    moments = np.linspace(0, 1, length) ** random.uniform(0.6, 1.6)
    if name == "backwards":
      moments = moments[::-1]
    angles = 3 * moments
    curve = np.stack([np.cos(angles), np.sin(angles), moments], axis=1)
    embs = np.float32(curve + 0.03 * random.normal(size=curve.shape))
    frames = code_frames(length, size)
    known = {}
    if not videos:
      numbers = np.arange(length)
      known["labels"] = numbers * 3 // length
      known["times"] = numbers * 0.1 + (numbers > 2)
    steps = 2 * np.arange(length)
    video = EmbeddedVideo(embs, steps, name, 2 * length, frames=frames, **known)
    videos.append(video)
  return videos
