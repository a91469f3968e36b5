import json

import pytest

from tests.helpers.label_files import describe_error, label

NEIGHBOR, NONE = "0" * 10 + "1" * 20, "0" * 10 + "1" * 15 + "-" * 5
# Frames from 1, the last included.
RANGES = [("reach", 1, 10), ("pour", 11, 25)]


def regions(ranges=RANGES):
  return [
    {
      "ranges": [{"start": start, "end": end}],
      "timelinelabels": [phase] if phase else [],
    }
    for phase, start, end in ranges
  ]


def annotation(ranges=RANGES, by=1, name="videoLabels", **options):
  common = {"to_name": "video", "from_name": name, "type": "timelinelabels"}
  result = [
    {**common, "value": value, "id": str(i), "origin": "manual"}
    for i, value in enumerate(regions(ranges))
  ]
  return {"id": 7, "completed_by": by, "result": result} | options


def task(*annotations, video="/data/upload/1/1a2b3c4d-clip1.mp4", key="video"):
  return {"id": 1, "data": {key: video}, "annotations": list(annotations)}


def entry(ranges=RANGES, by=1, **more):
  video = "/data/upload/1/1a2b3c4d-clip1.mp4"
  return {"video": video, "id": 1, "videoLabels": regions(ranges)} | {
    **{"annotator": by, "annotation_id": 7, "lead_time": 3.5},
    **more,
  }


def first(phase, *bounds):
  return [(phase, *bounds), *RANGES[1:]]


@pytest.mark.parametrize(
  "tasks",
  [
    [task(annotation())],
    [task(annotation(by={"id": 3, "email": "ann@x.org"}))],
    [task(annotation(), annotation(RANGES[:1], was_cancelled=True))],
    [task(annotation(), video="/data/upload/1/clip1.mp4")],
    [task(annotation(), video="/data/local-files/?d=my/clip1.mp4", key="v")],
    [task(annotation(), video="s3://bucket/clip1.mp4?X-Amz-Sign=a/b")],
    [task(annotation()), task(video="/data/upload/1/other.mp4")],
    [entry()],
  ],
)
def test_ranges_of_frames(tmp_path, tasks):
  path = tmp_path / "project.json"
  assert label(path, json.dumps(tasks)) == NEIGHBOR
  assert label(path, json.dumps(tasks), outside_segments="none") == NONE


def test_regions_without_label_and_of_one_frame(tmp_path):
  ranges = [("", 1, 10), ("reach", 11, 11), ("pour", 12, 25)]
  found = label(tmp_path / "a", json.dumps([task(annotation(ranges))]))
  assert found == "-" * 10 + "0" + "1" * 19


def test_the_player_may_count_a_frame_twice_and_some_more(tmp_path):
  ranges = [("reach", 1, 11), ("pour", 11, 32)]
  found = label(tmp_path / "a", json.dumps([task(annotation(ranges))]))
  assert found == "0" * 11 + "1" * 19
  ranges = [("reach", 1, 13), ("pour", 11, 32)]
  assert describe_error(
    tmp_path / "a", json.dumps([task(annotation(ranges))])
  ) == (
    "task 1: expected segments that don't overlap, received a start at frame"
    " 10 before the end at frame 12 of task 1; correct it"
  )


@pytest.mark.parametrize("is_minimal", [False, True])
def test_annotators_and_controls(tmp_path, is_minimal):
  later = [("reach", 1, 14), ("pour", 15, 25)]
  one, two = annotation(by=1), annotation(later, by=2)
  tasks = [entry(by=1), entry(later, by=2)] if is_minimal else [task(one, two)]
  path = tmp_path / "a"
  assert label(path, json.dumps(tasks)) == "0" * 12 + "1" * 18
  assert label(path, json.dumps(tasks), label_tier="2") == "0" * 14 + "1" * 16
  other = annotation([("left", 1, 25)], name="hands")
  more = {"hands": regions([("left", 1, 25)])}
  tasks = [entry(**more)] if is_minimal else [task(one, other)]
  assert label(path, json.dumps(tasks), label_tier="videoLabels") == NEIGHBOR
  message = describe_error(path, json.dumps(tasks))
  assert "1 / videoLabels: reach, pour; 1 / hands: left" in message


def test_a_region_has_one_label(tmp_path):
  entries = [entry()]
  entries[0]["videoLabels"][0]["timelinelabels"] = ["reach", "pour"]
  assert describe_error(tmp_path / "a", json.dumps(entries)) == (
    "task 1: expected one label a region, received reach, pour; remove the"
    " others"
  )


def test_damage_is_named(tmp_path):
  tasks = [task({"id": 3})]
  assert describe_error(tmp_path / "a", json.dumps(tasks)) == (
    "expected Label Studio's JSON, received something else (KeyError:"
    " 'result'); correct or export it again"
  )
