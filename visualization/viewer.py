"""Writes the viewer: aligned videos as one HTML page that needs no server."""

import base64
import hashlib
import io
import json
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging
from matplotlib.colors import to_hex
from PIL import Image

from core.files import atomic_write
from data.known_datasets import pad_names
from embeddings.types import EmbeddedSplit, EmbeddedVideo
from media.colors import phase_colors
from visualization.alignment import load_videos
from visualization.label_transfer import predict_missing
from visualization.matching import find_video, match_all

# The page: it can be opened as it stands here, and shows nothing then.
_PAGE = pathlib.Path(__file__).parent / "viewer_page"
# A sheet is decoded in a few milliseconds, and has few bytes of overhead.
_SHEET_COLUMNS = 6
_SHEET_FRAMES = 24
_FORMAT = {"format": "WEBP", "quality": 75, "method": 2}
# A frame is unusual if its distance exceeds the median by so many median
# absolute deviations. Distances have a long tail: three would mark some frames
# of every video.
_UNUSUAL = 5


def write_page(
  embs_path: str | os.PathLike,
  html_path: str | os.PathLike,
  *,
  html_width: int = 160,
  html_stride: int = 1,
  use_dtw: bool = False,
  reference_video: str | int = 0,
  normalize_embeddings: bool = False,
) -> int:
  """Write the viewer for an embeddings file.

  Args:
    embs_path: An embeddings file with frames, or a pattern for several.
    html_path: File to write.
    html_width: Pixels that the frames are wide at most.
    html_stride: Show every n-th frame.
    use_dtw: Start with dynamic time warping instead of nearest neighbors.
    reference_video: Name or index of the video that is the reference at first.
    normalize_embeddings: Compare the directions of embeddings only.

  Returns:
    Number of bytes written.

  Raises:
    UserError: The embeddings can't be shown, or an option doesn't fit them.
  """
  split = load_videos(embs_path, normalize_embeddings)
  size = write_viewer(
    html_path,
    split,
    width=html_width,
    stride=html_stride,
    use_dtw=use_dtw,
    reference=find_video(split.videos, reference_video, "reference_video"),
  )
  logging.info("Wrote %s, %.1f MB", html_path, size / 1e6)
  return size


def write_viewer(
  path: str | os.PathLike,
  split: EmbeddedSplit,
  *,
  notes: Sequence[str] = (),
  width: int = 160,
  stride: int = 1,
  use_dtw: bool = False,
  reference: int = 0,
) -> int:
  """Write videos, their embeddings and a page to look at them in one file.

  Where only some videos have labels, the others are shown with phases that are
  predicted from these.

  Args:
    path: File to write, `.html`.
    split: Two or more videos with frames and finite embeddings. `frames` may
      be any object with a `shape` [L, H, W, 3] that gives frame i, [H, W, 3]
      uint8, as `frames[i]`; frames are asked for in order and one at a time.
    notes: Sentences at the top of the page.
    width: Pixels that the frames are wide; smaller ones are not enlarged.
    stride: Show every n-th frame. All frames are aligned.
    use_dtw: Start with dynamic time warping instead of nearest neighbors.
    reference: Index of the video that is the reference at first.

  Returns:
    Number of bytes written.

  Raises:
    UserError: The file can't be written.
  """
  videos = predict_missing(split.videos, use_dtw)
  sizes = [_fit(video, width) for video in videos]
  facts = _describe(videos, sizes, stride)
  facts |= {"phases": _name_phases(videos, split.class_names)}
  facts |= {"notes": [*notes], "useDtw": use_dtw, "reference": reference}
  head, tail = _read_page()
  with atomic_write(path) as temporary:
    with open(temporary, "w", encoding="utf-8", newline="\n") as page:
      page.write(head)
      page.write(_data_block("data", "application/json", _to_json(facts)))
      for v, video in enumerate(videos):
        embeddings = video.embs.astype("<f4").tobytes()
        page.write(_binary_block(f"embeddings-{v}", embeddings))
        for s, sheet in enumerate(_draw_sheets(video, sizes[v], stride)):
          page.write(_binary_block(f"sheet-{v}-{s}", sheet))
      page.write(tail)
    return temporary.stat().st_size


def _fit(video: EmbeddedVideo, most: int) -> tuple[int, int]:
  """Return width and height that frames are shown with."""
  height, width = video.frames.shape[1:3]
  fitted = min(width, most)
  return fitted, max(1, round(height * fitted / width))


def _describe(
  videos: Sequence[EmbeddedVideo],
  sizes: Sequence[tuple[int, int]],
  stride: int,
) -> dict[str, Any]:
  """Gather what the page knows of the videos besides their frames."""
  matched = match_all([video.embs for video in videos])
  distances = [
    np.delete(to_each, v, axis=1).min(axis=1)
    for v, (_, to_each) in enumerate(matched)
  ]
  pooled = np.concatenate(distances)
  middle = np.median(pooled)
  threshold = middle + _UNUSUAL * np.median(np.abs(pooled - middle))
  described = []
  for v, video in enumerate(videos):
    times, labels = video.known_times, video.labels
    num_pictures = len(range(0, len(video.embs), stride))
    described.append(
      {
        "name": video.name,
        "width": sizes[v][0],
        "height": sizes[v][1],
        "numSheets": len(range(0, num_pictures, _SHEET_FRAMES)),
        "dimensions": video.embs.shape[1],
        "steps": video.steps.tolist(),
        "times": None if times is None else np.round(times, 4).tolist(),
        "labels": labels.tolist() if video.usable.any() else None,
        "isPredicted": video.is_predicted,
        "distances": [float(f"{d:.5g}") for d in distances[v]],
      }
    )
  layout = dict(stride=stride, columns=_SHEET_COLUMNS, perSheet=_SHEET_FRAMES)
  threshold = float(f"{threshold:.5g}")
  return {"videos": described, "layout": layout, "threshold": threshold}


def _name_phases(
  videos: Sequence[EmbeddedVideo], class_names: Sequence[str]
) -> list[dict[str, str]]:
  """Give each phase that may occur a name and a color; none without labels."""
  known = [video.labels.max() for video in videos if video.usable.any()]
  if not known:
    return []
  names = pad_names(class_names, max(known) + 1)
  colors = map(to_hex, phase_colors(len(names)))
  pairs = zip(names, colors, strict=True)
  return [{"name": name, "color": color} for name, color in pairs]


def _draw_sheets(
  video: EmbeddedVideo, size: tuple[int, int], stride: int
) -> Iterator[bytes]:
  """Draw the frames that are shown, a few dozen on each image."""
  width, height = size
  shown = range(0, len(video.embs), stride)
  for start in range(0, len(shown), _SHEET_FRAMES):
    frames = shown[start : start + _SHEET_FRAMES]
    rows = -(-len(frames) // _SHEET_COLUMNS)
    sheet = Image.new("RGB", (_SHEET_COLUMNS * width, rows * height))
    for place, frame in enumerate(frames):
      row, column = divmod(place, _SHEET_COLUMNS)
      picture = Image.fromarray(np.asarray(video.frames[frame]))
      picture = picture.resize(size, Image.Resampling.BILINEAR)
      sheet.paste(picture, (column * width, row * height))
    encoded = io.BytesIO()
    sheet.save(encoded, **_FORMAT)
    yield encoded.getvalue()


def _read_page() -> tuple[str, str]:
  """Put style and scripts into the page; cut it where the data goes."""
  hashes = {"script": [], "style": []}

  def inline(match: re.Match) -> str:
    text = (_PAGE / match["name"]).read_text(encoding="utf-8")
    tag = "style" if match["name"].endswith(".css") else "script"
    digest = hashlib.sha256(text.encode()).digest()
    hashes[tag].append(f"'sha256-{base64.b64encode(digest).decode()}'")
    return f"<{tag}>{text}</{tag}>"

  page = (_PAGE / "page.html").read_text(encoding="utf-8")
  page = re.sub(r'<link rel="stylesheet" href="(?P<name>.+)">', inline, page)
  page = re.sub(r'<script src="(?P<name>.+)"></script>', inline, page)
  rules = [f"{tag}-src {' '.join(found)}" for tag, found in hashes.items()]
  # Nothing else may run, and nothing may be loaded or sent.
  policy = "; ".join(["default-src 'none'", *rules])
  meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
  head, tail = page.replace("<!-- policy -->", meta).split("<!-- data -->")
  return head, tail


def _to_json(value: Any) -> str:
  """Write JSON that can't end the block it is in."""
  return json.dumps(value, separators=(",", ":")).replace("<", r"\u003c")


def _binary_block(name: str, content: bytes) -> str:
  return _data_block(name, "text/plain", base64.b64encode(content).decode())


def _data_block(name: str, kind: str, text: str) -> str:
  return f'<script id="{name}" type="{kind}">{text}</script>\n'
