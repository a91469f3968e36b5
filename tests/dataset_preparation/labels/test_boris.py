import pytest

from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from tests.helpers.label_files import describe_error, label

NEIGHBOR, NONE = "0" * 10 + "1" * 20, "0" * 10 + "1" * 15 + "-" * 5
TABULAR = (
  "Observation id,Observation date,Description,Observation duration,Observation"
  " type,Source,Time offset (s),Media duration (s),FPS,Subject,Behavior,"
  "Behavioral category,Modifier #1,Behavior type,Time,Media file name,Image"
  " index,Image file path,Comment"
)
AGGREGATED = (
  "Observation id,Observation date,Description,Observation type,Source,Time"
  " offset (s),Coding duration,Media duration (s),FPS (frame/s),Subject,"
  "Observation duration by subject by observation,Behavior,Behavioral category,"
  "Modifier #1,Behavior type,Start (s),Stop (s),Duration (s),Media file name,"
  "Image index start,Image index stop,Image file path start,Image file path"
  " stop,Comment start,Comment stop"
)
# Version 7 and before.
OLD = "Time,Media file path,Total length,FPS,Subject,Behavior,Comment,Status"
ABOVE = (
  "Observation id,obs,,,,,,\n,,,,,,,\nMedia file(s),,,,,,,\n"
  "Player #1,clip1.mp4,,,,,,\nindependent variables,,,,,,,\nvariable,value\n"
)
COMMON = {
  **{"Observation id": "obs", "Observation date": "2024-01-01 10:00:00"},
  **{"Time offset (s)": "0.0", "Media file name": "videos/clip1.mp4"},
  **{"Media file path": "videos/clip1.mp4", "Subject": "No focal subject"},
}
STATES = [("reach", 0, 1), ("pour", 1, 2.5)]


def write(heading, rows):
  titles = heading.split(",")
  lines = (
    ",".join(str((COMMON | row).get(x, "NA")) for x in titles) for row in rows
  )
  return "\n".join([heading, *lines]) + "\n"


def event(time, behavior, kind, **more):
  row = {"Time": f"{time:.3f}", "Behavior": behavior, "Behavior type": kind}
  return row | {"Status": kind} | more


def events(states=STATES, **more):
  kinds = ("START", "STOP")
  rows = [
    event(time, behavior, kind, **more)
    for behavior, *bounds in states
    for time, kind in zip(bounds, kinds, strict=False)
  ]
  return sorted(rows, key=lambda row: float(row["Time"]))


def states(listed=STATES, **more):
  return [
    {"Behavior": x, "Behavior type": "STATE", "Start (s)": a, "Stop (s)": b}
    | more
    for x, a, b in listed
  ]


@pytest.mark.parametrize(
  "text",
  [
    write(TABULAR, events()),
    write(TABULAR, events()).replace(",", "\t"),
    write(AGGREGATED, states()),
    write(AGGREGATED, states()).replace(",", "\t"),
    write("Behavior,Start (s),Stop (s)", states()),
    ABOVE + write(OLD, events()),
    (ABOVE + write(OLD, events())).replace(",", "\t"),
    # An offset of the clock is no part of the video.
    write(TABULAR, events([("reach", 5, 6), ("pour", 6, 7.5)])).replace(
      ",0.0,", ",5.0,"
    ),
  ],
)
def test_state_events(tmp_path, text):
  path = tmp_path / "events"
  order = {"phases": ("reach", "pour")}
  assert label(path, text, **order) == NEIGHBOR
  assert label(path, text, outside_segments="none", **order) == NONE


def test_open_states_last_to_the_end_and_points_are_left_out(tmp_path):
  path, options = tmp_path / "events", {"outside_segments": "none"}
  points = [event(0.5, "spill", "POINT")]
  text = write(TABULAR, events([("reach", 0.5, 1), ("pour", 1)]) + points)
  assert label(path, text, **options) == "-" * 5 + "0" * 5 + "1" * 20
  notes = read_label_file(LabelOptions(path)).notes
  assert notes == (f"annotations in {path} without length, not used: 1",)
  text = write(AGGREGATED, states([("reach", 0.5, 1), ("pour", 1, "NA")]))
  assert label(path, text, **options) == "-" * 5 + "0" * 5 + "1" * 20


def test_observations_of_several_videos_and_of_none(tmp_path):
  path, order = tmp_path / "clip2", {"phases": ("reach", "pour")}
  rows = events(**{"Media file name": "NA", "Observation id": "live"})
  text = write(TABULAR, events() + rows)
  assert label(path, text, ["clip1"], **order) == NEIGHBOR
  assert label(path, text, ["clip2", "clip1"], **order) == NEIGHBOR
  assert "labels of video 'clip3'" in describe_error(
    path, text, videos=["clip3"], **order
  )


def test_subjects(tmp_path):
  path = tmp_path / "events"
  rows = events(Subject="left") + events([("rest", 0, 3)], Subject="right")
  text = write(TABULAR, rows)
  assert label(path, text, label_tier="left") == NEIGHBOR
  assert "left: reach, pour; right: rest;" in describe_error(path, text)


@pytest.mark.parametrize(
  ("rows", "message"),
  [
    (
      events()[1:],
      "row 2: expected a START of 'reach' before its STOP, received none;"
      " correct the events in BORIS",
    ),
    (
      [*events(), *events(**{"Media file name": "clip2.mp4"})],
      "row 6: expected one video an observation, as times go on from one to the"
      " next, received 'clip2.mp4' after 'videos/clip1.mp4'; observe each on"
      " its own",
    ),
    (
      events([("reach", 0, 1.5), ("pour", 1, 2)]),
      "row 3: expected segments that don't overlap, received a start at 1 s"
      " before the end at 1.5 s of row 2; correct it",
    ),
    (
      [event(0, "reach", "START", Time="x")],
      "row 2: expected seconds from 0 as time, received 'x'",
    ),
  ],
)
def test_mistakes_are_named(tmp_path, rows, message):
  found = describe_error(tmp_path / "events", write(TABULAR, rows))
  assert found.startswith(message)
