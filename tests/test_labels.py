import json
import pathlib

import numpy as np
import pytest

from dataset_preparation import labels
from dataset_preparation.labels import Segment
from errors import UserError

CASES = json.loads(
  (pathlib.Path(__file__).parent / "data" / "labels.json").read_text()
)


def write(tmp_path, content):
  path = tmp_path / "labels.json"
  path.write_text(json.dumps(content))
  return path


def merged_from_file(tmp_path, annotations, expected_segments=0):
  path = write(tmp_path, {"clip": annotations})
  return labels.of_video(labels.read(path), "clip", path, expected_segments)


@pytest.mark.parametrize("case", CASES)
def test_golden_cases(tmp_path, case):
  merged = merged_from_file(
    tmp_path, case["annotations"], case["expected_segments"]
  )
  assert {str(s.label) for s in merged} == set(case["merged"])
  for segment in merged:
    np.testing.assert_allclose(
      segment[1:], case["merged"][str(segment.label)], rtol=1e-12
    )
  assert labels.of_frames(merged, case["timestamps"]) == case["labels"]


def test_annotators_are_averaged_and_gaps_and_overlaps_parted(tmp_path):
  merged = merged_from_file(
    tmp_path,
    {
      "ann": {"0": [1e6, 2e6], "1": [4e6, 6e6], "2": [5e6, 9e6]},
      "ben": {"0": [3e6, 4e6], "1": [6e6, 8e6], "2": [7e6, 9e6]},
    },
  )
  # Means: [2, 3], [5, 7], [6, 9]; middles: 4 and 6.5.
  assert merged == [Segment(0, 2, 4), Segment(1, 4, 6.5), Segment(2, 6.5, 9)]


def test_neighbours_are_found_by_start_not_by_label(tmp_path):
  merged = merged_from_file(
    tmp_path, {"ann": {"0": [6e6, 9e6], "1": [0, 2e6], "10": [4e6, 6e6]}}
  )
  assert merged == [Segment(1, 0, 3), Segment(10, 3, 6), Segment(0, 6, 9)]
  assert labels.of_frames(merged, [0, 2.9, 3.1, 7, 99]) == [1, 1, 10, 0, 0]


def test_frames_before_the_first_and_after_the_last_segment():
  segments = [Segment(3, 1.0, 2.0), Segment(5, 2.0, 3.0)]
  times = [0.0, 0.99, 1.5, 2.5, 3.0, 50.0]
  assert labels.of_frames(segments, times) == [3, 3, 3, 5, 5, 5]


def test_a_boundary_belongs_to_the_later_phase_at_every_common_rate():
  for rate in (10, 15, 24, 25, 29.97, 30, 50, 59.94, 60, 120):
    # Boundaries in microseconds, as a tool would write them down.
    segments = [
      Segment(k, k * 1e6 / rate / 1e6, (k + 1) * 1e6 / rate / 1e6)
      for k in range(500)
    ]
    times = [k / rate for k in range(500)]
    assert labels.of_frames(segments, times) == list(range(500))


def test_segments_without_an_instant_are_passed_over():
  segments = [Segment(0, 0, 2), Segment(1, 2, 1.5), Segment(2, 1.5, 4)]
  assert labels.of_frames(segments, [1.0, 1.4, 1.6, 3.0]) == [0, 0, 2, 2]
  last = [Segment(0, 0, 2), Segment(1, 2, 3), Segment(2, 3, 2.9)]
  assert labels.of_frames(last, [1.0, 2.95, 3.5]) == [0, 1, 1]


def test_labels_match_a_naive_search():
  rng = np.random.default_rng(0)
  for _ in range(50):
    cuts = np.sort(rng.uniform(0, 10, 6))
    segments = [
      Segment(k, *bounds)
      for k, bounds in enumerate(zip(cuts[:-1], cuts[1:], strict=True))
    ]
    times = np.sort(rng.uniform(-1, 11, 40))
    naive = [
      next((s.label for s in segments if s.start <= t < s.end), None)
      for t in times
    ]
    naive = [
      (0 if t < cuts[0] else 4) if label is None else label
      for t, label in zip(times, naive, strict=True)
    ]
    assert labels.of_frames(segments, times) == naive


def test_another_number_of_segments_than_expected(tmp_path):
  annotations = {"ann": {"0": [0, 1], "1": [1, 2]}}
  assert len(merged_from_file(tmp_path, annotations, 2)) == 2
  with pytest.raises(
    UserError, match="video 'clip' has 2 segments, expected 3"
  ):
    merged_from_file(tmp_path, annotations, 3)


def test_a_video_without_annotation_names_video_and_file(tmp_path):
  path = write(tmp_path, {"other": {"ann": {"0": [0, 1]}}})
  with pytest.raises(UserError) as error:
    labels.of_video(labels.read(path), "clip", path)
  assert str(error.value).startswith(f"{path}: has no annotation of video")
  assert "'clip'" in str(error.value)
  assert "'other'" in str(error.value)


@pytest.mark.parametrize(
  ("annotations", "message"),
  [
    ([], "expected {annotator: {label: [start, end]}}, received []"),
    ({}, "received {}"),
    ({"ann": [[0, 1]]}, "annotator 'ann': expected {label: [start, end]}"),
    ({"ann": {}}, "annotator 'ann': expected {label: [start, end]}"),
    (
      {"ann": {"pour": [0, 1]}},
      "expected labels '0', '1', ..., received 'pour'",
    ),
    ({"ann": {"-1": [0, 1]}}, "received '-1'"),
    ({"ann": {"0": [0, 1, 2]}}, "label 0: expected [start, end]"),
    ({"ann": {"0": [0, "1"]}}, "label 0: expected [start, end]"),
    ({"ann": {"0": [0, None]}}, "received [0, None]"),
    ({"ann": {"0": [0, float("nan")]}}, "received [0, nan]"),
    ({"ann": {"0": 7}}, "microseconds, received 7"),
    (
      {"ann": {"0": [0, 1]}, "ben": {"0": [0, 1], "1": [1, 2]}},
      "drew different segments, [0] and [0, 1]",
    ),
    ({"ann": {"0": [9, 1]}}, "all segments of video 'clip' end before"),
  ],
)
def test_wrong_structure_names_file_and_video(tmp_path, annotations, message):
  with pytest.raises(UserError) as error:
    merged_from_file(tmp_path, annotations)
  text = str(error.value)
  assert text.startswith(f"{tmp_path / 'labels.json'}: ")
  assert "'clip'" in text
  assert message in text
  assert "\n" not in text


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("video,start,end\n", "expected a label file in JSON"),
    ("", "expected a label file in JSON"),
    ("[1, 2]", "received a list"),
  ],
)
def test_other_files_are_named(tmp_path, text, message):
  path = tmp_path / "labels.json"
  path.write_text(text)
  with pytest.raises(UserError, match=message) as error:
    labels.read(path)
  assert str(path) in str(error.value)


def test_a_missing_label_file_is_named(tmp_path):
  with pytest.raises(UserError, match="none.json: can't read the label file"):
    labels.read(tmp_path / "none.json")
