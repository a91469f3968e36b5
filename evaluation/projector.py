"""Embedded frames in the projector of TensorBoard."""

import os
import pathlib
import re

import numpy as np
from absl import logging
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins import projector

from core.files import atomic_write
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from evaluation.neighbor_strips import thumbnail

# So many the projector shows at once, whichever way it projects them; browsers
# take a sprite of at most 8192 pixels a side, this makes one of 4544.
_MAX_POINTS = 5000
_THUMBNAIL = 64
# TensorBoard looks for this name.
_CONFIG = "projector_config.pbtxt"

Places = list[tuple[EmbeddedVideo, int]]


def write_projector(
  folder: str | os.PathLike, name: str, split: EmbeddedSplit
) -> None:
  """Write what the projector shows, in place of what it showed by this name.

  Every frame has its video, frame number, time, share of the video and phase,
  and a thumbnail where frames are kept. Of more than 5000 frames, every second
  one is written, every third, and so on.

  Args:
    folder: Folder of a TensorBoard log.
    name: What the embeddings are called there.
    split: The videos.

  Raises:
    UserError: A file can't be written.
  """
  places = [(v, row) for v in split.videos for row in np.flatnonzero(v.finite)]
  stride = max(1, -(-len(places) // _MAX_POINTS))
  shown = places[::stride]
  if not shown:
    return
  has_frames = all(video.frames is not None for video in split.videos)
  note = "" if has_frames else ", without pictures: frames were not kept"
  counts = len(shown), len(places)
  logging.info("%s: %d of %d frames go to the projector%s", name, *counts, note)
  folder = pathlib.Path(folder)
  tensors, metadata, sprite = (
    f"projector/{name}_{kind}"
    for kind in ("tensors.tsv", "metadata.tsv", "sprite.jpg")
  )
  info = projector.EmbeddingInfo(
    tensor_name=name, tensor_path=tensors, metadata_path=metadata
  )
  with atomic_write(folder / tensors) as temporary:
    embs = [video.embs[row] for video, row in shown]
    np.savetxt(temporary, embs, fmt="%.6g", delimiter="\t")
  with atomic_write(folder / metadata) as temporary:
    temporary.write_text(_describe(shown, split.class_names), encoding="utf-8")
  if has_frames:
    size = _thumbnail_size(shown[0][0])
    with atomic_write(folder / sprite) as temporary:
      _make_sprite(shown, size).save(temporary, quality=85)
    info.sprite.image_path = sprite
    info.sprite.single_image_dim.extend(size)
  _replace_entry(folder / _CONFIG, info)


def _describe(places: Places, class_names: tuple[str, ...]) -> str:
  """Make the table of metadata, a line a frame below a heading."""
  names = dict(enumerate(class_names))
  lines = ["video\tframe\ttime\tshare\tphase"]
  for video, row in places:
    step, time = video.steps[row], "unknown"
    if video.times is not None and np.isfinite(video.times[row]):
      time = f"{video.times[row]:.3f}"
    share = f"{step / max(1, video.seq_len - 1):.3f}"
    phase = -1 if video.labels is None else int(video.labels[row])
    phase = "none" if phase < 0 else f"{phase} {names.get(phase, '')}".strip()
    cells = (video.name, str(step), time, share, phase)
    # Tabs and line ends would be cells and lines.
    lines.append("\t".join(re.sub(r"\s+", " ", cell) for cell in cells))
  return "\n".join(lines) + "\n"


def _thumbnail_size(video: EmbeddedVideo) -> tuple[int, int]:
  """Choose width and height, in whole blocks of JPEG, so that none bleeds."""
  height, width = video.frames.shape[1:3]
  scale = _THUMBNAIL / max(height, width)
  return tuple(max(8, round(x * scale / 8) * 8) for x in (width, height))


def _make_sprite(places: Places, size: tuple[int, int]) -> Image.Image:
  """Draw thumbnails in a square, row by row."""
  width, height = size
  columns = int(np.ceil(np.sqrt(len(places))))
  rows = -(-len(places) // columns)
  sprite = Image.new("RGB", (columns * width, rows * height))
  for number, (video, row) in enumerate(places):
    row_of_sprite, column = divmod(number, columns)
    image = thumbnail(video, row, size)
    sprite.paste(image, (column * width, row_of_sprite * height))
  return sprite


def _replace_entry(path: pathlib.Path, info: projector.EmbeddingInfo) -> None:
  """Add an entry to the projector's configuration, in place of its like."""
  config = projector.ProjectorConfig()
  if path.exists():
    text_format.Parse(path.read_text(), config)
  kept = [e for e in config.embeddings if e.tensor_name != info.tensor_name]
  config = projector.ProjectorConfig(embeddings=[*kept, info])
  with atomic_write(path) as temporary:
    temporary.write_text(text_format.MessageToString(config))
