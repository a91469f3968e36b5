import numpy as np
import pytest
from PIL import Image

from applications.embedded_videos import stack_context
from applications.find_anomalies import (
  Stretch,
  find_anomalies,
  find_fence,
  find_stretches,
  score_frames,
)
from tests.helpers.embedded_videos import read_table, timed_videos, write


def insert_stretch(videos, seed):
  """Moves some frames of a video off the curve; returns which."""
  rng = np.random.default_rng(seed)
  number = int(rng.integers(len(videos)))
  start = int(rng.integers(len(videos[number].embs) - 8))
  direction = rng.normal(size=3)
  videos[number].embs[start : start + 8] += (
    0.6 * direction / np.linalg.norm(direction)
  )
  return number, start


def test_a_foreign_stretch_is_the_highest():
  hits = 0
  for seed in range(20):
    videos = timed_videos(8, seed, lengths=(40, 60))
    number, start = insert_stretch(videos, seed)
    scores = score_frames(videos)
    stretches = find_stretches(scores, find_fence(scores))
    first = stretches[0]
    hits += first.video == number and start <= first.peak < start + 8
  assert hits >= 18


def distance(embs, others):
  """Median over videos of the least distance, and the frames it is to."""
  found = [np.linalg.norm(x - embs, axis=1) for x in others]
  nearest = [
    x[values.argmin()] for x, values in zip(others, found, strict=True)
  ]
  return np.median([values.min() for values in found]), nearest


def naive_score(videos, number, row, usual):
  def without(*left_out):
    return [x for i, x in enumerate(videos) if i not in left_out]

  own, nearest = distance(videos[number][row], [videos[v] for v in usual])
  expected = [
    distance(embs, without(v))[0]
    for v, embs in zip(usual, nearest, strict=True)
  ]
  return own / np.median(expected)


def test_scores_are_those_of_a_naive_search():
  videos = timed_videos(5, seed=0)
  stacked = [stack_context(video) for video in videos]
  scores = score_frames(videos)
  assert [*scores] == [0, 1, 2, 3, 4]
  for number, row in ((0, 0), (1, 7), (3, 20), (4, 12)):
    usual = [v for v in range(5) if v != number]
    expected = naive_score(stacked, number, row, usual)
    assert scores[number][row] == pytest.approx(expected, rel=1e-5)
  scores = score_frames(videos, reference=2)
  assert [*scores] == [0, 1, 3, 4]
  expected = naive_score(stacked, 4, 9, [2])
  assert scores[4][9] == pytest.approx(expected, rel=1e-5)


def test_usual_frames_score_1_wherever_videos_differ():
  # The second half of the action differs ten times as much.
  videos = timed_videos(9, seed=0, lengths=(60, 80))
  rng = np.random.default_rng(0)
  for video in videos:
    late = video.labels >= 2
    video.embs[late] += rng.normal(0, 0.5, (late.sum(), 3))
  scores = score_frames(videos)
  for is_late in (False, True):
    values = [
      scores[number][(video.labels >= 2) == is_late]
      for number, video in enumerate(videos)
    ]
    assert 0.8 < np.median(np.concatenate(values)) < 1.25


def test_stretches_join_over_small_gaps():
  low, high = np.zeros(40), np.zeros(30)
  low[[3, 4, 9]] = 2, 5, 3
  low[[20, 39]] = 4
  high[0] = 9
  assert find_stretches({0: low, 4: high}, fence=1.0) == [
    Stretch(4, 0, 0, 0, 9.0),
    Stretch(0, 3, 9, 4, 5.0),
    Stretch(0, 20, 20, 20, 4.0),
    Stretch(0, 39, 39, 39, 4.0),
  ]
  assert find_fence({0: np.arange(9.0)}) == 6 + 1.5 * 4


def test_tables_and_plot(tmp_path):
  videos = timed_videos(5, seed=3, lengths=(40, 60))
  number, start = insert_stretch(videos, seed=3)
  path = write(tmp_path / "e.npy", videos)
  stretches = find_anomalies(path, tmp_path / "out")
  name = videos[number].name
  first = read_table(tmp_path / "out" / "stretches.csv")[0]
  assert (first["rank"], first["video"]) == ("1", name)
  assert int(first["start_frame"]) == stretches[0].start
  assert float(first["end"]) == stretches[0].last / 10
  assert start <= int(first["peak_frame"]) < start + 8
  table = read_table(tmp_path / "out" / "videos.csv")
  assert table[0]["video"] == name and len(table) == 5
  means = [float(row["mean_score"]) for row in table]
  assert means == sorted(means, reverse=True)
  frames = read_table(tmp_path / "out" / "frames.csv")
  assert len(frames) == sum(len(video.embs) for video in videos)
  high = [row for row in frames if row["is_high"] == "1"]
  lowest = min(float(row["score"]) for row in high)
  rest = [float(x["score"]) for x in frames if x["is_high"] == "0"]
  assert lowest > max(rest)
  with Image.open(tmp_path / "out" / "anomalies.png") as image:
    pixels = np.asarray(image.convert("RGB")).astype(int)
  assert (pixels[..., 0] - pixels[..., 2] > 60).any(), "nothing is marked"
