import json

import pytest

from core.errors import UserError
from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from tests.helpers.label_files import describe_error, label

SECONDS = "video,start,end,phase\nclip1,0,1,reach\nclip1,1,2.5,pour\n"
NEIGHBOR, NONE = "0" * 10 + "1" * 20, "0" * 10 + "1" * 15 + "-" * 5


def table(*rows, heading="video,start,end,phase"):
  return "\n".join([heading, *(f"clip1,{row}" for row in rows)]) + "\n"


RANGES = "video,start_frame,end_frame,phase"
WRITTEN = {
  "seconds": SECONDS,
  "clock": table("0:00:00,0:00:01.000,reach", "00:00:01.0,0:00:02.5,pour"),
  "minutes": table("0:00,0:01,reach", "0:01,0:2.5,pour"),
  "decimal comma": table("0;0:01;reach", "1,0;0:00:02,5;pour")
  .replace("clip1,", "clip1;")
  .replace("video,start,end,phase", "video;start;end;phase"),
  "frames": table("0,9,reach", "10,24,pour", heading=RANGES),
  "pandas": table("0.0,9.0,reach", "10.0,24.0,pour", heading=RANGES),
  "synonym": SECONDS.replace("phase", "Label"),
  "objects": json.dumps(
    [
      {"video": "clip1.mp4", "label": "reach", "start": 0, "end": 1},
      {"video": "clip1.mp4", "label": "pour", "start": 1, "end": 2.5},
    ]
  ),
  "utf-16": SECONDS.replace("\n", "\r\n").encode("utf-16"),
  "old Mac": SECONDS.replace("\n", "\r"),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_segments(tmp_path, content):
  path = tmp_path / "labels"
  assert label(path, content) == NEIGHBOR
  assert label(path, content, outside_segments="none") == NONE


@pytest.mark.parametrize(
  ("encoding", "end"), [("cp1252", "\r\n"), ("latin-1", "\n"), ("utf-8", "\n")]
)
def test_names_in_other_encodings(tmp_path, encoding, end):
  text = (
    "video;start;end;phase\nclip1;0;1;gie\u00dfen\nclip1;1;2,5;h\u00f6her\n"
  )
  path = tmp_path / "labels"
  assert label(path, text.replace("\n", end).encode(encoding)) == NEIGHBOR
  names = read_label_file(LabelOptions(path)).class_names
  assert names == ("gie\u00dfen", "h\u00f6her")


def test_names_in_the_encoding_of_old_macs(tmp_path):
  path = tmp_path / "labels"
  text = SECONDS.replace("pour", "gie\u00dfen").replace("\n", "\r")
  assert label(path, text.encode("mac_roman")) == NEIGHBOR
  names = read_label_file(LabelOptions(path)).class_names
  assert names == ("reach", "gie\u00dfen")


def test_gaps(tmp_path):
  path, rows = tmp_path / "labels", ["0.5,1,reach", "2,2.5,pour"]
  assert label(path, table(*rows)) == "0" * 15 + "1" * 15
  assert label(path, table(*rows), outside_segments="none") == (
    "-" * 5 + "0" * 5 + "-" * 10 + "1" * 5 + "-" * 5
  )
  # A stated gap is no gap to close.
  rows = table("0,1,reach", "1,2,-1", "2,2.5,pour", "2.5,3,-1")
  assert label(path, rows) == "0" * 10 + "-" * 10 + "1" * 5 + "-" * 5
  rows = table("0,9,reach", "15,19,pour", heading=RANGES)
  assert label(path, rows) == "0" * 13 + "1" * 17


def test_a_phase_may_come_again(tmp_path):
  rows = table("0,1,reach", "1,2,pour", "2,3,reach")
  assert label(tmp_path / "labels", rows) == "0" * 10 + "1" * 10 + "0" * 10


FRAMES = "video,frame,phase"


def test_frames_by_number_in_any_order(tmp_path):
  rows = [f"{i},{'reach' if i < 4 else 'pour'}" for i in (5, 0, 2, 3, 4, 2)]
  found = label(tmp_path / "labels", table(*rows, heading=FRAMES))
  # Numbered in the order of the frames. Frames 1 and 6 have no row.
  assert found == "0-0011" + "-" * 24
  path = tmp_path / "labels"
  assert label(path, table(*rows, heading=FRAMES), num_frames=6) == "0-0011"


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (
      table("0,reach", "30,pour", heading=FRAMES),
      "video 'clip1', row 3: expected a frame from 0 to 29, the last of the"
      " video, received 30; correct it",
    ),
    (
      table("4,reach", "3,reach", "4,pour", heading=FRAMES),
      "video 'clip1', row 4: expected one phase for frame 4, received 'pour'"
      " and 'reach' in row 2; remove one",
    ),
    (
      table("-1,reach", heading=FRAMES),
      "video 'clip1', row 2: expected the number of a frame from 0 as frame,"
      " received '-1'; correct it",
    ),
    (
      table("0,9.5,reach", heading=RANGES),
      "video 'clip1', row 2: expected the number of a frame from 0 as"
      " end_frame, received '9.5'; correct it",
    ),
    (
      table("0,9,reach", "9,12,pour", heading=RANGES),
      "video 'clip1', row 3: expected segments that don't overlap, received a"
      " start at frame 9 before the end at frame 9 of row 2; correct it",
    ),
    (
      table("0,30,reach", heading=RANGES),
      "video 'clip1', row 2: expected an end of at most frame 29, where the"
      " video ends, received frame 30; correct it",
    ),
    (
      table("30,31,reach", heading=RANGES),
      "video 'clip1', row 2: expected a start before frame 30, where the"
      " video ends, received frame 30; correct it",
    ),
    (
      table("9,3,reach", heading=RANGES),
      "video 'clip1', row 2: expected an end after the start at frame 9,"
      " received frame 3; correct it",
    ),
    (
      table("0,1000,reach", "1000,2500,pour"),
      "video 'clip1', row 2: expected an end of at most 3 s, where the"
      " video ends, received 1000 s; correct it, perhaps in milliseconds",
    ),
    (
      table("0,9,reach"),
      "video 'clip1', row 2: expected an end of at most 3 s, where the"
      " video ends, received 9 s; correct it",
    ),
    (
      table("0,1:75,reach"),
      "video 'clip1', row 2: expected seconds from 0 as end, received '1:75';"
      " correct it, to 62.5 or 0:01:02.5 for instance",
    ),
    (
      "video,label,label,start,end\nclip1,reach,pour,0,1\n",
      "expected one column phase, received several; remove or rename the"
      " others",
    ),
    (
      '[{"video": "clip1", "label": null, "start": 0, "end": 1}]',
      "video 'clip1', row 1: expected a phase by number or name, received ''",
    ),
    (b"video,start\0\x81", "expected a text file, received one that can't be"),
  ],
)
def test_mistakes_are_named(tmp_path, content, message):
  found = describe_error(tmp_path / "labels", content)
  assert found.startswith(message)


def test_seconds_that_are_frames(tmp_path):
  found = describe_error(tmp_path / "labels", table("0,9,reach", "10,29,pour"))
  assert found == (
    "video 'clip1', row 2: expected an end of at most 3 s, where the video"
    " ends, received 9 s; correct it, perhaps in frames, which"
    " start_frame,end_frame take"
  )


def test_columns_that_are_not_used_are_noted(tmp_path):
  path = tmp_path / "labels"
  rows = ["0,1,2,reach,me,,pouring", "1,2,4,pour,me,,pouring"]
  heading = "video,frame,start,end,phase,who,,label"
  path.write_text(table(*rows, heading=heading))
  notes = read_label_file(LabelOptions(path)).notes
  assert notes == (f"columns of {path} not used: frame, who, label",)
  path.write_text(SECONDS)
  assert read_label_file(LabelOptions(path)).notes == ()


def test_rows_of_other_videos_are_not_read(tmp_path):
  path = tmp_path / "labels"
  path.write_text(SECONDS + "clip2,x,y,z\n")
  assert read_label_file(LabelOptions(path), ["clip1"]).names[1] == "clip2"
  with pytest.raises(UserError, match="video 'clip2', row 4"):
    read_label_file(LabelOptions(path))
