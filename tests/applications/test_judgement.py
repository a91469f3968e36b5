import numpy as np
import pytest

import config as configuration
from applications.judgement import judge
from embeddings.types import EmbeddedVideo
from evaluation.cycle_consistency import measure_cycles
from evaluation.kendalls_tau import pairwise_taus
from visualization.matching import find_medoid

CONFIG = configuration.load([], ["EVAL.KENDALLS_TAU_STRIDE=1"])
FALLING = [1.0, 0.9, 0.5, 0.3, 0.3, 0.3, 0.3]


def made_video(name, seed, backwards=False, noise=0.02):
  rng = np.random.default_rng(seed)
  times = np.sort(rng.uniform(size=rng.integers(25, 35)))
  if backwards:
    times = times[::-1]
  embs = np.stack([times, np.sin(times), times**2], axis=1)
  embs = np.float32(embs + noise * rng.normal(size=embs.shape))
  return EmbeddedVideo(embs, np.arange(len(embs)), name, len(embs))


def made_folder(count, **options):
  return [made_video(f"clip{i}", i, **options) for i in range(count)]


def test_numbers_are_those_of_the_held_out_videos():
  videos = [*made_folder(9, noise=0.5), *map(made_video, "abc", (20, 21, 22))]
  found = judge(videos, "abc", FALLING, CONFIG)
  embs = [video.embs for video in videos[-3:]]
  assert found.tau == pytest.approx(
    np.nanmean(pairwise_taus(embs, "sqeuclidean"))
  )
  assert found.cycle_consistency == measure_cycles(embs, "sqeuclidean")["2way"]
  text = " ".join(found.sentences)
  assert "3 held-out videos" in text
  cycles = measure_cycles(embs, "sqeuclidean")
  assert f"{cycles['2way']:.2f} of their frames" in text
  # As often as one of 25 to 34 frames is guessed.
  assert "(by chance 0.03)" in text
  assert f"they end {cycles['error']:.0%} of their own video's length" in text
  assert "order of the matches is good" in text
  assert "were held out" not in text
  assert "did not fall" not in text


def test_one_held_out_video_is_none():
  found = judge(made_folder(4), ["clip0"], FALLING, CONFIG)
  everything = judge(made_folder(4), (), FALLING, CONFIG)
  assert found.tau == everything.tau
  assert "Too few of the 4 videos were held out" in " ".join(found.sentences)


def test_a_poor_alignment_is_not_to_be_believed():
  videos = made_folder(12, noise=5.0)
  found = judge(videos, ["clip0", "clip1", "clip2"], FALLING, CONFIG)
  assert found.tau < 0.5
  assert "Do not believe this alignment" in " ".join(found.sentences)


def test_few_videos_are_told():
  text = " ".join(judge(made_folder(4), (), FALLING, CONFIG).sentences)
  assert "Too few of the 4 videos were held out" in text
  # Of a run that was trained on other videos nothing is known.
  text = " ".join(judge(made_folder(4), (), (), CONFIG).sentences)
  assert "were held out" not in text


def test_a_loss_that_does_not_fall_is_told():
  flat = [1.0, 1.1, 0.9, 1.0, 0.95, 0.9, 1.0]
  text = " ".join(judge(made_folder(4), (), flat, CONFIG).sentences)
  assert "did not fall" in text


def test_videos_that_run_backwards_are_told():
  videos = [*made_folder(6), made_video("mirrored", 9, backwards=True)]
  found = judge(videos, (), FALLING, CONFIG)
  assert found.worst[0] == "mirrored"
  [told] = [x for x in found.sentences if "backwards" in x]
  # Of 7 x 6 ordered pairs, those with this video.
  assert told.startswith("⚠ 29% ")
  assert "mirrored" in told


def test_a_video_of_another_action_is_among_the_worst():
  rng = np.random.default_rng(0)
  other = rng.normal(size=(30, 3)).astype(np.float32)
  other = EmbeddedVideo(other, np.arange(30), "other", 30)
  found = judge([*made_folder(8), other], (), FALLING, CONFIG)
  assert found.worst[0] == "other"
  assert any("other (" in sentence for sentence in found.sentences)
  # Nor would it be the reference.
  videos = [*made_folder(8), other]
  assert find_medoid([video.embs for video in videos]) != 8


def test_two_equal_frames_are_no_order():
  still = EmbeddedVideo(np.ones((5, 3), np.float32), np.arange(5), "still", 5)
  found = judge([still, still], (), (), CONFIG)
  assert np.isnan(found.tau)
  assert "Do not believe" in " ".join(found.sentences)
