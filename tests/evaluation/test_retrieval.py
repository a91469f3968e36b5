import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tests.helpers.embedded_videos import evaluate, listen, made_videos


def test_retrieval_of_a_copied_set_is_1(config):
  config.EVAL.RETRIEVAL_K = [1, 4]
  val = {key: 5 * entries for key, entries in made_videos(1, seed=0).items()}
  result = evaluate("retrieval", config, {}, val)
  assert result.scalars == {
    "retrieval/val_toy_ap@1": 1,
    "retrieval/val_toy_ap@4": 1,
  }
  assert result.value == 1


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_retrieval_against_a_loop(distance, config):
  config.EVAL.KENDALLS_TAU_DISTANCE = distance
  config.EVAL.KENDALLS_TAU_STRIDE = 2
  config.EVAL.RETRIEVAL_K = [3, 7]
  random = np.random.default_rng(0)
  val = {
    "embs": [random.normal(size=(n, 4)) for n in (20, 31, 8)],
    "labels": [random.integers(-1, 3, size=n) for n in (20, 31, 8)],
  }
  kept = [
    (embs[labels >= 0][::2], labels[labels >= 0][::2])
    for embs, labels in zip(*val.values(), strict=True)
  ]
  result = evaluate("retrieval", config, {}, val)
  for k in (3, 7):
    of_videos = []
    for i, (embs, labels) in enumerate(kept):
      others = [video for j, video in enumerate(kept) if j != i]
      candidates = np.concatenate([video[0] for video in others])
      phases = np.concatenate([video[1] for video in others])
      nearest = cdist(embs, candidates, distance).argsort(axis=1)[:, :k]
      of_videos.append(np.mean(phases[nearest] == labels[:, np.newaxis]))
    precision = result.scalars[f"retrieval/val_toy_ap@{k}"]
    assert precision == pytest.approx(np.mean(of_videos), abs=1e-12)


def test_retrieval_with_too_few_frames(config, val):
  config.EVAL.RETRIEVAL_K = [3, 500]
  result, messages = listen("retrieval", config, {}, val)
  assert list(result.scalars) == ["retrieval/val_toy_ap@3"]
  assert len(messages) == 1 and "retrieval of 500 frames is left" in messages[0]
  one = made_videos(1, seed=0)
  result, messages = listen("retrieval", config, {}, one)
  assert math.isnan(result.value) and result.scalars == {}
  assert messages == [
    "toy: retrieval is skipped, it needs at least two validation videos with"
    " labels and there is one"
  ]
