"""Embedded videos of a known warp, whose frames are as bright as their time."""

import numpy as np

import embeddings
from embeddings.types import EmbeddedSplit, EmbeddedVideo

TIMES = [
  np.linspace(0, 1, 12),
  np.linspace(0, 1, 20) ** 2,
  np.linspace(0, 1, 9) ** 0.5,
]


def curve(times):
  """A curve that doesn't meet itself: equal moments have equal embeddings."""
  return np.stack([times, np.sin(times), times**2], axis=1).astype(np.float32)


def bright_frames(times, shape):
  """Frames of one color, 40 at time 0 to 200 at time 1."""
  shades = np.uint8(40 + 160 * times)[:, None, None, None]
  return np.broadcast_to(shades, (len(times), *shape, 3))


def make(name, frames, embs=None):
  steps = np.arange(len(frames))
  embs = curve(steps) if embs is None else embs
  return EmbeddedVideo(embs, steps, str(name), len(steps), frames=frames)


def write(path, times=TIMES, shape=(48, 64), frames=None):
  """Writes an embeddings file; returns its path."""
  frames = frames or [bright_frames(t, shape) for t in times]
  embs = map(curve, times)
  videos = [make(f"video_{i}", frames[i], x) for i, x in enumerate(embs)]
  embeddings.save(path, EmbeddedSplit(videos))
  return path
