import json

import pytest

from tests.helpers.label_files import describe_error, label

ANN = {"reach": [0, 1e6], "pour": [1e6, 2.4e6]}
BEN = {"reach": [0.2e6, 1.4e6], "pour": [1.4e6, 2.4e6]}


def write(**annotators):
  return json.dumps({"clip1": annotators})


@pytest.mark.parametrize(
  ("options", "labels"),
  [
    ({}, "0" * 12 + "1" * 18),
    ({"label_tier": "ann"}, "0" * 10 + "1" * 20),
    ({"label_tier": "ben"}, "0" * 14 + "1" * 16),
    ({"outside_segments": "none"}, "-" + "0" * 11 + "1" * 12 + "-" * 6),
  ],
)
def test_annotators_are_averaged_or_chosen(tmp_path, options, labels):
  text = write(ann=ANN, ben=BEN)
  assert label(tmp_path / "labels", text, **options) == labels


def test_annotators_that_differ(tmp_path):
  text = write(ann=ANN, ben={"reach": [0, 1e6]})
  path = tmp_path / "labels"
  assert describe_error(path, text) == (
    "video 'clip1': expected the same labels in the same order from each tier,"
    " received ann: reach, pour; ben: reach; choose one with --label_tier"
  )
  assert label(path, text, label_tier="ben") == "0" * 30
  assert describe_error(path, text, label_tier="eve") == (
    "video 'clip1': expected a tier of ann, ben, received 'eve'; correct"
    " --label_tier"
  )


def test_a_table_has_no_tiers(tmp_path):
  text = "video,start,end,phase\nclip1,0,1,reach\n"
  assert describe_error(tmp_path / "labels", text, label_tier="ann") == (
    "video 'clip1': expected a tier of none, received 'ann';"
    " correct --label_tier"
  )


def test_overlaps_are_split_and_gaps_left_open(tmp_path):
  text = write(ann={"0": [0.5e6, 1.2e6], "1": [0.8e6, 1.5e6], "2": [2e6, 3e6]})
  found = label(tmp_path / "labels", text, outside_segments="none")
  assert found == "-" * 5 + "0" * 5 + "1" * 5 + "-" * 5 + "2" * 10
