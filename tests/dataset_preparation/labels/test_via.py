import json

import pytest

from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from tests.helpers.label_files import describe_error, label

NEIGHBOR, NONE = "0" * 10 + "1" * 20, "0" * 10 + "1" * 15 + "-" * 5
CHOICES = {
  "1": {
    **{"aname": "phase", "anchor_id": "FILE1_Z2_XY0", "type": 4, "desc": ""},
    **{"options": {"0": "reach", "7": "pour"}, "default_option_id": ""},
  },
  "2": {
    **{"aname": "note", "anchor_id": "FILE1_Z2_XY0", "type": 1, "desc": ""},
    **{"options": {}, "default_option_id": ""},
  },
}
SEGMENTS = [([0, 1], {"1": "0"}), ([1, 2.5], {"1": "7"})]
PLAIN = [([0, 1.0], {"1": "reach"}), ([1, 2.5], {"1": "pour"})]


def quote(value):
  return '"' + json.dumps(value).replace('"', '""') + '"'


def write_csv(segments, attributes=None, video="clip1.mp4", shape=()):
  lines = [
    "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg)",
    "# Notes:",
    "# - temporal coordinate of [4.633] denotes a still frame, at 4.633 sec.",
    *([f"# ATTRIBUTE = {json.dumps(attributes)}"] if attributes else []),
    "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
    "spatial_coordinates,metadata",
  ]
  for i, (times, values) in enumerate(segments):
    cells = (quote(x) for x in (times, shape, values))
    lines.append(f'"1_{i}",{quote([video])},0,{",".join(cells)}')
  return "\n".join(lines)


def write_project(segments, attributes=CHOICES, shape=()):
  return json.dumps(
    {
      "project": {"pid": "p", "rev": "1", "vid_list": ["1"]},
      "config": {"ui": {}},
      "attribute": attributes,
      "file": {
        "3": {"fid": "3", "fname": "clip1.mp4", "type": 4, "loc": 1, "src": ""},
        "4": {"fid": "4", "fname": "", "type": 4, "loc": 2, "src": "u/b.mp4"},
      },
      "view": {"1": {"fid_list": ["3"]}, "2": {"fid_list": ["4"]}},
      "metadata": {
        **{
          f"1_{i}": {"vid": "1", "flg": 0, "z": z, "xy": shape, "av": av}
          for i, (z, av) in enumerate(segments)
        },
        "2_x": {"vid": "2", "flg": 0, "z": [0, 1], "xy": [], "av": {"1": "0"}},
      },
    }
  )


EXPORTS = [
  write_csv(PLAIN),
  write_csv(SEGMENTS, CHOICES),
  write_csv(PLAIN, video="https://x.org/v/clip1.mp4?key=1").replace(
    "\n", "\r\n"
  ),
  write_project(SEGMENTS),
]


@pytest.mark.parametrize("text", EXPORTS)
def test_segments(tmp_path, text):
  path = tmp_path / "via"
  assert label(path, text) == NEIGHBOR
  assert label(path, text, outside_segments="none") == NONE


@pytest.mark.parametrize("write", [write_csv, write_project])
def test_stills_regions_and_what_has_no_label(tmp_path, write):
  path = tmp_path / "via"
  others = [([0.5], {"1": "0"}), ([2, 2], {"1": "0"}), ([2.5, 3], {"1": ""})]
  text = write(SEGMENTS + others, CHOICES)
  assert label(path, text) == NONE
  notes = read_label_file(LabelOptions(path)).notes
  assert notes == (f"annotations in {path} without length, not used: 1",)
  text = write([*SEGMENTS, ([2.5, 3], {})], CHOICES)
  assert label(path, text) == NONE
  text = write(SEGMENTS, CHOICES, shape=[2, 10, 20, 50, 80])
  assert "expected labels of video 'clip1'" in describe_error(path, text)


@pytest.mark.parametrize("write", [write_csv, write_project])
def test_attributes_are_tiers(tmp_path, write):
  segments = [(z, {**av, "2": "good"}) for z, av in SEGMENTS]
  path, text = tmp_path / "via", write(segments, CHOICES)
  assert label(path, text, label_tier="phase") == NEIGHBOR
  assert "phase: reach, pour; note: good, good" in describe_error(path, text)


def test_overlaps_and_damage_are_named(tmp_path):
  path = tmp_path / "via"
  text = write_csv([([0, 1.2], {"1": "reach"}), ([1, 2], {"1": "pour"})])
  assert describe_error(path, text) == (
    "row 6: expected segments that don't overlap, received a start at 1 s"
    " before the end at 1.2 s of row 5; correct it"
  )
  text = write_csv(PLAIN).replace("[1, 2.5]", "[1 2.5]")
  assert describe_error(path, text).startswith(
    "expected VIA 3's CSV, received something else (JSONDecodeError: "
  )
