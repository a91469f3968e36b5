import collections

import numpy as np
import pytest
import tensorflow as tf

import config
from data.sampling import FrameSampler, PositivePairSampler, context_steps


def sampled(length, num_frames, *settings, seed=0):
  section = config.load(settings=[f"DATA.{s}" for s in settings]).DATA
  seeds, length = tf.constant([[3, seed]] * 3), tf.constant(length, tf.int64)
  steps = FrameSampler(section)(length, num_frames, seeds)
  assert steps.dtype == tf.int64
  return steps.numpy()


@pytest.mark.parametrize("offset", [0, 1, 7])
def test_uniform_samples_are_sorted_distinct_and_from_the_offset_on(offset):
  counts = np.zeros(30)
  for seed in range(150):
    steps = sampled(30, 10, f"RANDOM_OFFSET={offset}", seed=seed)
    assert (np.diff(steps) > 0).all()
    counts[steps] += 1
  assert not counts[:offset].any()
  expected = 1500 / (30 - offset)
  # Five standard deviations of a binomial count.
  assert np.abs(counts[offset:] - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize(
  "length, offset, expected",
  [
    *((5, 1, [1, 2, 3, 4, 4, 4]), (7, 1, [1, 2, 3, 4, 5, 6])),
    *((1, 1, [0] * 6), (1, 0, [0] * 6), (4, 9, [3] * 6)),
  ],
)
def test_short_videos_repeat_their_last_frame(length, offset, expected):
  assert sampled(length, 6, f"RANDOM_OFFSET={offset}").tolist() == expected


def test_stride_samples_equal_steps_from_a_random_start():
  starts = collections.Counter()
  for seed in range(100):
    steps = sampled(20, 4, "SAMPLING_STRATEGY=stride", "STRIDE=5", seed=seed)
    assert (np.diff(steps) == 5).all() and steps[-1] < 20
    starts[steps[0]] += 1
  assert sorted(starts) == [0, 1, 2, 3, 4] and min(starts.values()) > 6
  short = sampled(12, 4, "SAMPLING_STRATEGY=stride", "STRIDE=5")
  assert short.tolist() == [0, 5, 10, 11]
  assert sampled(1, 3, "SAMPLING_STRATEGY=stride").tolist() == [0, 0, 0]


@pytest.mark.parametrize("num_steps, stride", [(1, 15), (2, 15), (4, 3)])
def test_context_is_the_past_up_to_the_frame_itself(num_steps, stride):
  section = config.load().DATA
  section.update(NUM_STEPS=num_steps, FRAME_STRIDE=stride)
  steps = [0, 2, 9, 40]
  context = context_steps(tf.constant(steps, tf.int64), section)
  backs = stride * np.arange(num_steps)[::-1]
  expected = np.maximum(np.subtract.outer(steps, backs), 0)
  np.testing.assert_array_equal(np.reshape(context, [4, num_steps]), expected)


@pytest.mark.parametrize("window", [1, 3])
def test_positives_lie_in_the_window_before_their_anchors(window):
  section = config.load().DATA
  backs = set()
  for seed in range(60):
    arguments = tf.constant(30, tf.int64), 10, tf.constant([[seed, 0]] * 3)
    pairs = PositivePairSampler(section, window)(*arguments)
    assert pairs.dtype == tf.int64
    positives, anchors = pairs.numpy().reshape(-1, 2).T
    np.testing.assert_array_equal(anchors, FrameSampler(section)(*arguments))
    assert (positives >= 0).all()
    inside = anchors >= window
    assert (positives[~inside] <= np.maximum(anchors[~inside] - 1, 0)).all()
    backs |= set(anchors[inside] - positives[inside])
  assert backs == set(range(1, window + 1))
