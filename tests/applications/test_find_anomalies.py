import numpy as np
from PIL import Image

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


def naive_score(embs, others):
  """Median over videos of the least distance."""
  return np.median([np.linalg.norm(x - embs, axis=1).min() for x in others])


def test_scores_are_those_of_a_naive_search():
  videos = timed_videos(5, seed=0)
  scores = score_frames(videos)
  for number, video in enumerate(videos):
    others = [x.embs for x in videos if x is not video]
    expected = [naive_score(embs, others) for embs in video.embs]
    np.testing.assert_allclose(scores[number], expected, atol=1e-6)
  scores = score_frames(videos, reference=2)
  assert [*scores] == [0, 1, 3, 4]
  expected = [naive_score(embs, [videos[2].embs]) for embs in videos[4].embs]
  np.testing.assert_allclose(scores[4], expected, atol=1e-6)


def test_one_more_unusual_video_changes_no_score():
  videos = timed_videos(6, seed=0)
  before = score_frames(videos)[0]
  videos[1].embs[:] += 100
  assert np.abs(score_frames(videos)[0] - before).max() < 0.1


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
