import math
import tracemalloc

import numpy as np
import pytest

from evaluation.cycle_consistency import measure_cycles
from tests.helpers import naive_tasks
from tests.helpers.embedded_videos import evaluate, listen, made_videos


def test_cycles_of_copies_return(config):
  val = {key: 4 * entries for key, entries in made_videos(1, seed=0).items()}
  result = evaluate("cycle_consistency", config, {}, val)
  expected = {"2way": 1, "3way": 1, "error": 0}
  tag = "cycle_consistency/val_toy_{}"
  assert result.scalars == {tag.format(k): x for k, x in expected.items()}


def test_videos_of_a_single_frame_are_no_part_of_cycles(config, val):
  expected = evaluate("cycle_consistency", config, {}, val)
  short = made_videos(2, seed=1, lengths=(3, 5))
  with_short = {key: short[key][:1] + val[key] + short[key][1:] for key in val}
  result, messages = listen("cycle_consistency", config, {}, with_short)
  assert result == expected
  assert messages == [
    "toy: cycle_consistency leaves out 2 of 5 val videos, which have a single"
    " frame at EVAL.KENDALLS_TAU_STRIDE=5"
  ]


@pytest.mark.parametrize(("count", "undefined"), [(0, 3), (1, 3), (2, 1)])
def test_cycles_of_too_few_videos(count, undefined, config):
  val = made_videos(count, seed=0)
  result, [message] = listen("cycle_consistency", config, {}, val)
  assert len(result.scalars) == 3
  assert sum(map(math.isnan, result.scalars.values())) == undefined
  assert f"there are {count} with finite embeddings of two" in message


def test_cycle_consistency_against_loops(config):
  config.EVAL.KENDALLS_TAU_STRIDE = 3
  val = made_videos(4, seed=0)
  expected = naive_tasks.cycles([video[::3] for video in val["embs"]])
  result = evaluate("cycle_consistency", config, {}, val)
  assert list(result.scalars.values()) == pytest.approx(expected, abs=1e-12)
  assert 0 < min(expected) and max(expected) < 1


@pytest.mark.parametrize("lengths", [(7, 2, 30), (4, 130, 3, 17, 8)])
def test_cycles_of_repeated_frames_against_loops(lengths):
  random = np.random.default_rng(0)
  videos = [random.integers(-2, 3, size=(n, 3)) for n in lengths]
  expected = naive_tasks.cycles(videos)
  values = measure_cycles(videos, "sqeuclidean")
  assert list(values.values()) == pytest.approx(expected, abs=1e-12)
  assert 0 < min(expected) and max(expected) < 1


def test_cycles_of_many_videos_take_little_memory():
  random = np.random.default_rng(0)
  videos = [random.normal(size=(20, 2)) for _ in range(150)]
  tracemalloc.start()
  measure_cycles(videos, "sqeuclidean")
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  # All cycles through one video at once would take 3.6 MB for each index.
  assert peak < 1.5e6
