import json

import numpy as np
import pytest

from core.errors import UserError
from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.labels.types import Extent
from tests.helpers.errors import message_of
from tests.helpers.paths import GOLDEN_DIR

CASES = json.loads((GOLDEN_DIR / "labels.json").read_text())


def write(tmp_path, content):
  """Writes a label file; content that is no text becomes JSON."""
  path = tmp_path / "labels"
  path.write_text(content if isinstance(content, str) else json.dumps(content))
  return path


def read(tmp_path, content, phases=(), **options):
  options = LabelOptions(write(tmp_path, content), phases, **options)
  return read_label_file(options)


def table(*rows, heading="video,start,end,phase"):
  return "\n".join([heading, *rows]) + "\n"


def frames_of(file, video, times, seconds=None):
  frames, extent = range(len(times)), Extent(len(times), seconds or times[-1])
  return file.videos[video].label_frames(times, frames, extent)


def labels_of(file, *videos):
  return [file.find_labels(videos)[video].labels for video in videos]


@pytest.mark.parametrize("case", CASES)
def test_golden_cases(tmp_path, case):
  file = read(tmp_path, {"clip": case["annotations"]})
  video = file.find_labels(["clip"], case["expected_segments"])["clip"]
  assert {str(s.label) for s in video.segments} == set(case["merged"])
  for segment in video.segments:
    bounds = case["merged"][str(segment.label)]
    np.testing.assert_allclose(segment[1:], bounds, rtol=1e-12)
  assert frames_of(file, "clip", case["timestamps"]) == case["labels"]
  assert file.class_names == ()


@pytest.mark.parametrize("names", [(), ("reach", "pour")])
def test_the_four_formats_say_the_same(tmp_path, names):
  first, second = names or ("0", "1")
  contents = [
    {"a": {"ann": {first: [0, 1e6], second: [1e6, 2e6]}}},
    table(f"a,0,1,{first}", f"a,1,2,{second}"),
    {"a": [*names[:1], *names, *names[1:]] or [0, 0, 1, 1]},
    table(*[f"a,{first}"] * 2, *[f"a,{second}"] * 2, heading="video,phase"),
  ]
  for content in contents:
    file = read(tmp_path, content)
    assert frames_of(file, "a", [0.0, 0.5, 1.0, 1.5]) == [0, 0, 1, 1]
    # As they come, if by name.
    assert file.class_names == names
  if names:
    file = read(tmp_path, contents[1], ["wait", "pour", "reach"])
    assert file.class_names == ("wait", "pour", "reach")
    assert frames_of(file, "a", [0.0, 1.5]) == [2, 1]


@pytest.mark.parametrize(
  "text",
  [
    'sep=;\nvideo;start;end;phase\na;0;2,5;"pour; \u00b2"\na;2,5;5;wait\n',
    '\n\nvideo, start, end, phase\n"a", 0, 2.5, "pour; \u00b2"\na,2.5,5,wait',
    "VIDEO\tStart\tEnd\tPhase\na\t0\t2,5\tpour; \u00b2\na\t2.5\t5\twait\n",
    "\ufeffPhase;Video;Start;End;who\nwait;a;2,5;5;x\n\n"
    '"pour; \u00b2";a;0;2,5;x\n;;;;\n',
  ],
)
def test_dialects_of_spreadsheets(tmp_path, text):
  file = read(tmp_path, text)
  assert sorted(file.class_names) == ["pour; \u00b2", "wait"]
  assert [s[1:] for s in file.videos["a"].segments] == [(0, 2.5), (2.5, 5)]
  file = read(tmp_path, '"video","phase"\n"a, the first","0"\n')
  assert list(file.videos) == ["a, the first"]


def test_frames_may_be_without_a_phase(tmp_path):
  for labels in ([-1, 0, 1, -1], [-1, "pour", "pin", "-1"]):
    file = read(tmp_path, {"a": labels})
    assert frames_of(file, "a", [0.0] * 4) == [-1, 0, 1, -1]


def test_a_phase_may_come_twice_and_gaps_are_parted(tmp_path):
  file = read(tmp_path, table("a,4,6,0", "a,0,1,0", "a,2,3,1"))
  assert frames_of(file, "a", [0, 1.4, 1.6, 3.4, 3.6, 6]) == [0, 0, 1, 1, 0, 0]


def test_labels_follow_the_frames_that_are_kept(tmp_path):
  video = read(tmp_path, {"a": [0, 0, 1, 1, 2, 2]}).videos["a"]
  kept = video.label_frames([0.0, 0.4, 1.0], [0, 2, 5], Extent(6, 1.2))
  assert kept == [0, 1, 2]


def test_videos_in_folders_are_found_by_path_or_by_name(tmp_path):
  file = read(tmp_path, {"x/a": [0], "b": [1]})
  assert labels_of(file, "x/a", "y/b") == [[0], [1]]
  with pytest.raises(UserError, match="expected labels of video 'y/a'"):
    file.find_labels(["x/a", "y/a"])


def test_labels_that_may_be_of_two_videos_name_both(tmp_path):
  file = read(tmp_path, {"take9/v1": [0], "v1": [1]})
  # The path goes before the name.
  assert labels_of(file, "take9/v1") == [[0]]
  assert labels_of(file, "take9/v1", "take10/v1") == [[0], [1]]
  assert message_of(file.find_labels, ["take10/v1", "take11/v1"]) == (
    f"{file.path}: expected a path below the input folder, received 'v1', which"
    " may be 'take10/v1' or 'take11/v1'; correct it"
  )
  with pytest.raises(UserError, match="expected labels of video 'take11/v1'"):
    file.find_labels(["v1", "take11/v1"])


def test_accents_of_names_may_be_composed_or_not(tmp_path):
  whole, parts = "d\u00e9j\u00e0/vu", "de\u0301ja\u0300/vu"
  for in_file, on_disk in ((whole, parts), (parts, whole)):
    file = read(tmp_path, {in_file: [1]})
    assert labels_of(file, on_disk) == [[1]]
    assert not file.list_unused([on_disk])
  text = f"video,phase\n{whole},0\n{parts},1\n"
  assert labels_of(read(tmp_path, text), parts) == [[0, 1]]


def test_a_number_of_segments_can_be_expected(tmp_path):
  file = read(tmp_path, {"clip": {"ann": {"0": [0, 1], "1": [1, 2]}}})
  with pytest.raises(
    UserError, match="video 'clip': expected 3 segments, received 2; correct it"
  ):
    file.find_labels(["clip"], 3)
  with pytest.raises(UserError, match="leave --expected_segments away"):
    read(tmp_path, {"clip": [0, 1]}).find_labels(["clip"], 2)


def test_labels_of_other_videos_are_listed(tmp_path):
  file = read(tmp_path, table("a,0,1,0", "b,0,1,0"))
  assert file.list_unused(["x/a", "b"]) == []
  assert file.list_unused(["a"]) == ["b"]
  assert read(tmp_path, {"x/a": [0], "a": [1]}).list_unused(["x/a"]) == ["a"]


def test_endings_of_the_videos_do_no_harm(tmp_path):
  file = read(tmp_path, {"a.MP4": [0], "v1.webm": [1], "v1.5": [2]})
  assert labels_of(file, "x/a", "v1", "v1.5") == [[0], [1], [2]]
  assert file.list_unused(["x/a"]) == ["v1.webm", "v1.5"]
  # A name without one goes before.
  assert labels_of(read(tmp_path, {"a.mp4": [0], "a": [1]}), "a") == [[1]]
  file = read(tmp_path, {"a.mp4": [0], "a.avi": [1]})
  assert message_of(file.find_labels, ["a"]) == (
    f"{tmp_path}/labels: expected each video once, without ending, received"
    " 'a.avi' and 'a.mp4'; remove one"
  )
  with pytest.raises(UserError, match="'v.ts', which may be 'x/v' or 'y/v'"):
    read(tmp_path, {"v.ts": [0]}).find_labels(["x/v", "y/v"])


def test_only_the_phases_of_the_videos_are_numbered(tmp_path):
  labels = {"b": ["typo"], "x/a.mp4": ["reach"], "c": [0, {}]}
  rows = table("b,0,1,typo", "x/a.mp4,0,1,reach", "c,0,1,0")
  for content in (labels, rows):
    options = LabelOptions(write(tmp_path, content))
    file = read_label_file(options, videos=["x/a"])
    assert file.class_names == ("reach",)
    assert list(file.videos) == ["x/a.mp4"]
    assert file.list_unused(["x/a"]) == ["b", "c"]


def test_a_video_without_labels_names_video_and_file(tmp_path):
  file = read(tmp_path, {"other": {"ann": {"0": [0, 1]}}})
  assert message_of(file.find_labels, ["clip"]) == (
    f"{file.path}: expected labels of video 'clip', received those of 1 others"
    " such as 'other'; add them, or leave the video out"
  )


@pytest.mark.parametrize("num_frames", [3, 5])
def test_another_number_of_labels_than_frames_is_named(tmp_path, num_frames):
  file = read(tmp_path, table(*["a,0"] * 4, heading="video,phase"))
  assert message_of(frames_of, file, "a", [0.0] * num_frames) == (
    f"{file.path}: video 'a': expected one label for each of"
    f" the video's {num_frames} frames, received 4; correct it, or give"
    " --resample_labels"
  )


def test_segments_of_annotations_beyond_the_video_are_named(tmp_path):
  segments = [{"0": [0, 1e6], "1": [1e6, end]} for end in (2.4e6, 2.6e6)]
  long = dict(zip(("ann", "ben"), segments, strict=True))
  late = {"ann": {"0": [0, 1e6], "1": [2.1e6, 2.2e6]}}
  file = read(tmp_path, {"long": long, "late": late})
  assert frames_of(file, "long", [0.0, 1.5], seconds=2.2) == [0, 1]
  assert message_of(frames_of, file, "long", [0.0, 1.5], seconds=2.0) == (
    f"{file.path}: video 'long', annotator 'ben', label 1: expected an end"
    " of at most 2 s, where the video ends, received 2.6 s; correct it"
  )
  assert message_of(frames_of, file, "late", [0.0, 1.5], seconds=2.0) == (
    f"{file.path}: video 'late', annotator 'ann', label 1: expected a start"
    " before 2 s, where the video ends, received 2.1 s; correct it"
  )


@pytest.mark.parametrize(
  ("annotations", "message"),
  [
    ([], ": expected {annotator: {label: [start, end]}}, received []"),
    ({}, ": expected {annotator: {label: [start, end]}}, received {}"),
    ({"ann": [[0, 1]]}, ", annotator 'ann': expected {label: [start, end]}"),
    ({"ann": {}}, ", annotator 'ann': expected {label: [start, end]}"),
    ({"ann": {"-2": [0, 1]}}, "expected a phase from 0 to 9999, received -2"),
    ({"ann": {"": [0, 1]}}, "expected a phase by number or name, received ''"),
    (
      {"ann": {"0": [0, 1], "pour": [1, 2]}},
      "expected phases by number in the whole file, or by name, received 'pour'"
      " after '0'; correct it",
    ),
    ({"ann": {"0": [0, 1, 2]}}, "label 0: expected [start, end]"),
    ({"ann": {"0": [0, "1"]}}, "label 0: expected [start, end]"),
    ({"ann": {"0": [0, None]}}, "received [0, None]"),
    ({"ann": {"0": [0, float("nan")]}}, "received [0, nan]"),
    ({"ann": {"0": [0, 10**400]}}, "expected [start, end]"),
    ({"ann": {"0": 7}}, "microseconds from 0, received 7"),
    ({"ann": {"0": [-5, 7]}}, "label 0: expected [start, end] in microsec"),
    ({"ann": {"0": [5, -7]}}, "from 0, received [5, -7]"),
    (
      {"ann": {"0": [0, 1]}, "ben": {"0": [0, 1], "1": [1, 2]}},
      "expected the same labels in the same order from each tier, received ann:"
      " 0; ben: 0, 1; choose one with --label_tier",
    ),
    ({"ann": {"0": [9, 1]}}, "received only segments that end before they"),
    ([0, True], "frame 1: expected a phase by number or name"),
    ([0, 0.5], "frame 1: expected a phase by number or name"),
  ],
)
def test_wrong_annotations_name_the_video(tmp_path, annotations, message):
  text = message_of(read, tmp_path, {"clip": annotations})
  assert text.startswith(f"{tmp_path}/labels: video 'clip'")
  assert message in text


NOT_NUMBER = "expected seconds from 0 as"


@pytest.mark.parametrize(
  ("rows", "message"),
  [
    (
      "a,0,2,0 a,1,3,1",
      "row 3: expected segments that don't overlap, received a start at 1 s"
      " before the end at 2 s of row 2",
    ),
    ("a,2,1,0", "row 2: expected an end after the start at 2 s, received 1 s"),
    ("a,1,1,0", "row 2: expected an end after the start at 1 s"),
    ("a,-1,1,0", f"row 2: {NOT_NUMBER} start, received '-1'"),
    ("a,0,nan,0", f"row 2: {NOT_NUMBER} end, received 'nan'"),
    ("a,0,x,0", f"row 2: {NOT_NUMBER} end, received 'x'"),
    ("a,0,1,", "row 2: expected a phase by number or name, received ''"),
    ("a,0,1,-3", "row 2: expected a phase from 0 to 9999, received -3"),
    ("a,0,1,99999999999", "row 2: expected a phase from 0 to 9999"),
    ("a,0,1,0 a,1,2,b", "row 3: expected phases by number in the"),
  ],
)
def test_wrong_segments_name_video_and_row(tmp_path, rows, message):
  text = message_of(read, tmp_path, table(*rows.split()))
  assert text.startswith(f"{tmp_path}/labels: video 'a', {message}")


@pytest.mark.parametrize(
  ("phase", "message"),
  [("poor", "did you mean 'pour'?"), ("9b", "correct it, or --phases")],
)
def test_an_unknown_phase_names_the_nearest(tmp_path, phase, message):
  rows = table("a,0,1,reach", f"a,1,2,{phase}")
  assert message_of(read, tmp_path, rows, ["reach", "pour"]) == (
    f"{tmp_path}/labels: video 'a', row 3: expected a phase of reach, pour,"
    f" received {phase!r}; {message}"
  )


NO_LABELS = "expected a label file in JSON, XML or CSV, received something"


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (
      table("a,0,1,0", "a,1,2"),
      "row 3: expected the 4 columns of the heading (video,start,end,phase),"
      " received 3; correct it",
    ),
    (
      table("a,0,1,0", ",1,2,0"),
      "row 3: expected the name of a video, received none; fill it in or remove"
      " the row",
    ),
    (
      table('a,0,2,"pour', *["a,2,3,wait"] * 9000),
      "row 2: expected quotation marks in pairs around a cell, or none,"
      " received others (unexpected end of data); correct it",
    ),
    (
      '{"a": [0], "b": [0], "a": [1]}',
      "expected each name once, received 'a' twice; remove one",
    ),
    (
      '{"\\u00e9": [0], "e\\u0301": [1]}',
      "expected each name once, received '\u00e9' twice; remove one",
    ),
    ("", "expected a label file in JSON, or CSV with the heading"),
    ("video,begin\na,1\n", "expected a label file in JSON, or CSV with the"),
    ("{", f"{NO_LABELS} else"),
    ("[" * 100_000, NO_LABELS),
    ([1, 2], "expected a label file in JSON, or CSV with the heading"),
  ],
)
def test_other_files_are_named(tmp_path, content, message):
  text = message_of(read, tmp_path, content)
  assert text.startswith(f"{tmp_path}/labels: {message}")


def test_files_that_cannot_be_read_are_named(tmp_path):
  path = tmp_path / "labels"
  with pytest.raises(UserError, match="labels: expected a text.*--label_file"):
    read_label_file(LabelOptions(path))
  path.write_bytes(b"\x00\x81")
  with pytest.raises(UserError, match="no text in UTF-8"):
    read_label_file(LabelOptions(path))
