import numpy as np
import pytest

from dataset_preparation.labels import segments
from dataset_preparation.labels.segments import Segment, label_times


def test_annotators_are_averaged_and_gaps_and_overlaps_parted():
  ann = [Segment(0, 1, 2), Segment(1, 4, 6), Segment(2, 5, 9)]
  ben = [Segment(0, 3, 4), Segment(1, 6, 8), Segment(2, 7, 9)]
  merged = segments.merge_annotators([ann, ben])
  # Means: [2, 3], [5, 7], [6, 9]; middles: 4 and 6.5.
  assert merged == [Segment(0, 2, 4), Segment(1, 4, 6.5), Segment(2, 6.5, 9)]


def test_neighbors_are_found_by_start_not_by_label():
  ann = [Segment(0, 6, 9), Segment(1, 0, 2), Segment(10, 4, 6)]
  merged = segments.merge_annotators([ann])
  assert merged == [Segment(1, 0, 3), Segment(10, 3, 6), Segment(0, 6, 9)]
  assert label_times(merged, [0, 2.9, 3.1, 7, 99]) == [1, 1, 10, 0, 0]


def test_frames_before_the_first_and_after_the_last_segment():
  two = [Segment(3, 1.0, 2.0), Segment(5, 2.0, 3.0)]
  assert label_times(two, [0.0, 0.99, 1.5, 2.5, 3.0, 50.0]) == [3] * 3 + [5] * 3


def test_segments_without_an_instant_are_passed_over():
  middle = [Segment(0, 0, 2), Segment(1, 2, 1.5), Segment(2, 1.5, 4)]
  assert label_times(middle, [1.0, 1.4, 1.6, 3.0]) == [0, 0, 2, 2]
  last = [Segment(0, 0, 2), Segment(1, 2, 3), Segment(2, 3, 2.9)]
  assert label_times(last, [1.0, 2.95, 3.5]) == [0, 1, 1]


def test_labels_match_a_naive_search():
  rng = np.random.default_rng(0)
  for _ in range(50):
    cuts = np.sort(rng.uniform(0, 10, 6))
    phases = [Segment(k, *cuts[k : k + 2]) for k in range(5)]
    times = np.sort(rng.uniform(-1, 11, 40))
    naive = [min(max(sum(cuts <= t) - 1, 0), 4) for t in times]
    assert label_times(phases, times) == naive


RATES = (10, 15, 24, 25, 29.97, 30, 50, 59.94, 60, 120)


@pytest.mark.parametrize("rate", RATES)
def test_a_boundary_belongs_to_the_later_phase(rate):
  # Boundaries in microseconds, as a tool would write them down.
  cuts = [k * 1e6 / rate / 1e6 for k in range(501)]
  phases = [Segment(k, *cuts[k : k + 2]) for k in range(500)]
  assert label_times(phases, [k / rate for k in range(500)]) == list(range(500))
