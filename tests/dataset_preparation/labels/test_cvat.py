import pytest

from tests.helpers.label_files import describe_error, label

NEIGHBOR, NONE = "0" * 10 + "1" * 20, "0" * 10 + "1" * 15 + "-" * 5


def box(frame, outside=0, keyframe=1):
  return (
    f'<box frame="{frame}" keyframe="{keyframe}" outside="{outside}"'
    ' occluded="0" xtl="1.0" ytl="1.0" xbr="9.0" ybr="9.0" z_order="0"/>'
  )


def track(number, phase, frames, end=None, task=""):
  boxes = [box(frame, keyframe=int(not i)) for i, frame in enumerate(frames)]
  boxes += [] if end is None else [box(end, outside=1)]
  owner = f'task_id="{task}" subset="default"' if task else ""
  return (
    f'<track id="{number}" label="{phase}" source="manual" {owner}>'
    f"{''.join(boxes)}</track>"
  )


def meta(owner="task", source="clip1.mp4", number=5, inside=""):
  return f"""<{owner}><id>{number}</id><name>a task</name><size>25</size>
    <mode>interpolation</mode><start_frame>0</start_frame>
    <stop_frame>24</stop_frame>{inside}
    <segments><segment><id>1</id><start>0</start><stop>24</stop></segment>
    </segments><source>{source}</source></{owner}>"""


def write(*parts, about=None):
  return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>{meta() if about is None else about}<dumped>2024</dumped></meta>
  {"".join(parts)}
</annotations>
"""


REACH = track(0, "reach", range(10), end=10)
POUR = track(1, "pour", range(10, 25))
IMAGES = [
  f'<image id="{i}" name="frame_{i:06d}" width="9" height="9">'
  f'<tag label="{"reach" if i < 10 else "pour"}" source="manual"></tag></image>'
  for i in range(25)
]
TAGS = [
  f'<tag frame="{i}" label="{"reach" if i < 10 else "pour"}"/>'
  for i in reversed(range(25))
]


@pytest.mark.parametrize(
  "text",
  [
    write(REACH, POUR),
    write(REACH, POUR, about=meta("job")),
    write(REACH, POUR, about=""),
    # Key frames alone.
    write(track(0, "reach", [0], end=10), track(1, "pour", [10, 24])),
    write(*IMAGES),
    write(*TAGS),
  ],
)
def test_tracks_and_tags(tmp_path, text):
  path = tmp_path / "annotations.xml"
  order = {"phases": ("reach", "pour")}
  assert label(path, text, **order) == NEIGHBOR
  assert label(path, text, outside_segments="none", **order) == NONE


def test_a_track_may_go_and_come_back(tmp_path):
  boxes = "".join([box(2), box(5, outside=1), box(8), box(9, outside=1)])
  text = write(f'<track id="0" label="reach">{boxes}</track>')
  found = label(tmp_path / "a.xml", text, outside_segments="none")
  assert found == "--000---0" + "-" * 21


def test_tasks_of_a_part_of_the_video_and_of_every_third_frame(tmp_path):
  about = meta(inside="<frame_filter>step=3</frame_filter>")
  text = write(
    track(0, "reach", range(6, 12, 3), end=12),
    track(1, "pour", range(12, 21, 3)),
    about=about.replace("<start_frame>0", "<start_frame>6"),
  )
  found = label(tmp_path / "a.xml", text, outside_segments="none")
  assert found == "-" * 6 + "0" * 6 + "1" * 9 + "-" * 9


def test_tasks_of_a_project(tmp_path):
  tasks = meta(number=5) + meta(number=6, source="clip2.mp4")
  text = write(
    track(0, "reach", range(10), end=10, task=5),
    track(1, "pour", range(10, 25), task=5),
    track(2, "pour", range(25), task=6),
    about=f"<project><id>1</id><tasks>{tasks}</tasks></project>",
  )
  path = tmp_path / "a.xml"
  assert label(path, text, ["clip1", "clip2"]) == NEIGHBOR
  assert label(path, text, ["clip2", "clip1"]) == "1" * 30


def test_two_tracks_at_a_time_and_damage_are_named(tmp_path):
  path = tmp_path / "a.xml"
  text = write(REACH, track(1, "pour", range(8, 25)))
  assert describe_error(path, text) == (
    "track 1: expected segments that don't overlap, received a start at frame 8"
    " before the end at frame 9 of track 0; correct it"
  )
  text = write(REACH).replace('frame="3"', "")
  assert describe_error(path, text).startswith("expected CVAT's XML, received")
  text = write(track(0, "reach", range(31)))
  assert describe_error(path, text).startswith(
    "track 0: expected an end of at most frame 29, where the video ends"
  )
