import dataclasses

import numpy as np
import pytest

from embeddings.types import EmbeddedSplit
from evaluation import neighbor_strips
from tests.helpers import warped_videos

TIMES = warped_videos.TIMES


def make_videos(count=3):
  return [
    warped_videos.make(
      f"video {k}",
      warped_videos.bright_frames(TIMES[k % 3], (48, 64)),
      warped_videos.curve(TIMES[k % 3]),
    )
    for k in range(count)
  ]


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_rows_are_the_nearest_ones(distance):
  videos = make_videos()
  videos[1].embs[[0, 7]] = np.nan
  found = neighbor_strips.find_rows(videos, distance, 5)
  assert found[0].tolist() == [0, 3, 6, 8, 11]
  for row, video in zip(found[1:], videos[1:], strict=True):
    for i, j in zip(found[0], row, strict=True):
      query = videos[0].embs[i].astype(float)
      distances = []
      for emb in video.embs.astype(float):
        apart = ((query - emb) ** 2).sum()
        if distance == "cosine":
          norms = np.linalg.norm(query) * np.linalg.norm(emb)
          apart = 1 - query @ emb / norms if norms else np.nan
        distances.append(apart)
      if not np.isnan(distances).all():
        assert distances[j] == pytest.approx(np.nanmin(distances), abs=1e-12)


def test_frames_stand_above_their_neighbors_with_their_phases():
  videos = make_videos()
  labels = [np.uint8(t > 0.5).astype(int) for t in TIMES]
  videos[:2] = [
    dataclasses.replace(v, labels=x)
    for v, x in zip(videos[:2], labels[:2], strict=True)
  ]
  figure = neighbor_strips.draw_strip(videos, "sqeuclidean")
  [axes] = figure.axes
  sheet = np.asarray(axes.images[0].get_array())
  assert sheet.shape == (3 * 104, 8 * 96, 3)
  rows = neighbor_strips.find_rows(videos, "sqeuclidean", 8)
  assert len({tuple(sheet[100, 96 * m]) for m in range(8)}) == 2
  for v in range(3):
    for m in range(8):
      shade = 40 + 160 * TIMES[v][rows[v, m]]
      assert sheet[v * 104 + 48, m * 96 + 48] == pytest.approx(shade, abs=2)
      if v < 2:
        same = labels[v][rows[v, m]] == labels[0][0]
        band = sheet[v * 104 + 100, m * 96 + 48]
        assert (band == sheet[100, 0]).all() == same
  ticks = [text.get_text() for text in axes.get_yticklabels()]
  assert ticks == ["video 0", "video 1", "video 2"]


@pytest.mark.parametrize("count, strips", [(0, 0), (1, 0), (2, 1), (9, 3)])
def test_a_strip_each_of_the_first_videos(count, strips):
  split = EmbeddedSplit(make_videos(count))
  result = neighbor_strips.show_neighbors("toy", split, "sqeuclidean")
  tags = [f"neighbors/toy_val_{i}" for i in range(strips)]
  assert list(result.plots) == tags and result.scalars == {}
  for image in result.images.values():
    assert image.dtype == np.uint8 and image.shape[2] == 3


def test_videos_without_frames_are_left_out():
  videos = [dataclasses.replace(v, frames=None) for v in make_videos()]
  split = EmbeddedSplit([*videos, *make_videos(2)])
  assert len(neighbor_strips.show_neighbors("toy", split, "cosine").plots) == 1
