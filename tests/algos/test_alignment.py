import numpy as np
import pytest
import tensorflow as tf

from algos import alignment
from tests.helpers import tiny


@pytest.mark.parametrize("num_frames", [40, 100])
def test_cycles_are_a_share_of_the_frames(num_frames):
  """Rounded down, as whole hundredths say it."""
  for hundredths in range(1, 101):
    count = alignment.count_cycles(num_frames, hundredths / 100)
    assert int(count) == max(1, num_frames * hundredths // 100)


def test_at_least_one_cycle_is_drawn():
  assert int(alignment.count_cycles(100, 0.0)) == 1
  assert int(alignment.count_cycles(tf.constant(9, tf.int64), 1e-9)) == 1


def test_as_many_cycles_are_drawn(monkeypatch):
  received = []

  def compute_loss(*_, num_cycles, **options):
    received.append(int(num_cycles))
    return 0.0

  monkeypatch.setattr(alignment, "compute_alignment_loss", compute_loss)
  settings = ("ALIGNMENT.STOCHASTIC_MATCHING=true", "ALIGNMENT.FRACTION=0.53")
  loss = alignment.AlignmentLoss(tiny.config(*settings))
  batch = {"steps": np.zeros([4, 25], np.int64), "seq_lens": [30] * 4}
  loss(tiny.frames(4, 25, 6), batch, seed=[0, 1], training=True)
  assert received == [53]
