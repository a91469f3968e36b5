import math

import numpy as np
import pytest

from evaluation import nearest_neighbors
from tests.helpers import naive_tasks
from tests.helpers.embedded_videos import evaluate, listen, made_videos


def test_retrieval_of_a_copied_set_is_1(config):
  config.EVAL.RETRIEVAL_K = [1, 4]
  val = {key: 5 * entries for key, entries in made_videos(1, seed=0).items()}
  result = evaluate("retrieval", config, {}, val)
  assert result.scalars == {f"retrieval/val_toy_ap@{k}": 1 for k in (1, 4)}
  assert result.value == 1


@pytest.mark.parametrize("k", [3, 7])
@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_retrieval_of_noise_against_a_loop(distance, k, config):
  config.EVAL.KENDALLS_TAU_DISTANCE = distance
  config.EVAL.KENDALLS_TAU_STRIDE = 2
  config.EVAL.RETRIEVAL_K = [k]
  random, lengths = np.random.default_rng(0), (20, 31, 8)
  val = {"embs": [random.normal(size=(n, 4)) for n in lengths]}
  val["labels"] = [random.integers(-1, 3, size=n) for n in lengths]
  expected = naive_tasks.headline("retrieval", config, {}, val)
  expected = pytest.approx(expected, abs=1e-12)
  scalars = evaluate("retrieval", config, {}, val).scalars
  assert scalars == {f"retrieval/val_toy_ap@{k}": expected}


def test_retrieval_with_too_few_frames(config, val):
  config.EVAL.RETRIEVAL_K = [3, 500]
  result, messages = listen("retrieval", config, {}, val)
  assert list(result.scalars) == ["retrieval/val_toy_ap@3"]
  assert len(messages) == 1 and "retrieval of 500 frames is left" in messages[0]
  result, messages = listen("retrieval", config, {}, made_videos(1, seed=0))
  assert math.isnan(result.value) and result.scalars == {}
  assert messages == [
    "toy: retrieval is skipped, it needs at least two validation videos with"
    " labels and there is one"
  ]


@pytest.mark.parametrize("num_places", [1, 2, 4, 100])
@pytest.mark.parametrize("at_a_time", [1, 200, 2**23])
def test_of_equally_near_frames_the_earlier_is_found(
  num_places, at_a_time, config, monkeypatch
):
  monkeypatch.setattr(nearest_neighbors, "_MAX_DISTANCES", at_a_time)
  config.EVAL.RETRIEVAL_K = [1, 2, 13, 50]
  config.EVAL.KENDALLS_TAU_STRIDE = 1
  random, lengths = np.random.default_rng(num_places), (20, 31, 1, 30)
  # Whole numbers, so that distances are exact, and so are those of the loop.
  places = random.integers(-9, 10, size=(num_places, 3)).astype(np.float32)
  embs = [places[random.integers(num_places, size=n)] for n in lengths]
  val = {"embs": embs, "labels": [random.integers(3, size=n) for n in lengths]}
  result = evaluate("retrieval", config, {}, val)
  assert len(result.scalars) == 4
  for k in config.EVAL.RETRIEVAL_K:
    config.EVAL.RETRIEVAL_K = [k]
    expected = naive_tasks.headline("retrieval", config, {}, val)
    value = result.scalars[f"retrieval/val_toy_ap@{k}"]
    assert value == pytest.approx(expected, abs=1e-12)
