import pytest

from dataset_preparation import video_names
from tests.helpers.errors import message_of


@pytest.mark.parametrize(
  ("named", "video"),
  [
    ("/data/upload/1/clip1.mp4", "clip1"),
    ("/data/upload/1/0a1b2c3d-clip1.mp4", "clip1"),
    ("/data/upload/1/0a1b2c3d-clip1.mp4", "kitchen/clip1"),
    ("/data/local-files/?d=my/clip1.mp4", "clip1"),
    ("file:///C:/x/clip1.mp4", "clip1"),
    ("file:///x/my%20clip%20de%CC%81.mp4", "my clip d\u00e9"),
    ("https://x.org/clip1.webm?key=a/b&d=c", "clip1"),
    ("C:\\x\\clip1.MP4", "kitchen/clip1"),
    ("./clip1.mp4", "clip1"),
    ("./train/squats/0001", "0001"),
    ("/x/kitchen/clip.mp4", "kitchen/clip"),
    ("0a1b2c3d-clip1.mp4", "clip1"),
    # The name as it is goes before.
    ("/x/0a1b2c3d-clip1.mp4", "0a1b2c3d-clip1"),
  ],
)
def test_places_are_matched_by_their_last_part(named, video):
  others = ["clip9", "garden/clip"]
  found = video_names.match_names([*others, video], [named], "f")
  assert found == {video: named}


@pytest.mark.parametrize(
  ("named", "video"),
  [
    ("other/clip1.mp4", "kitchen/clip1"),
    ("other/clip1.mp4", "clip1"),
    ("/data/clip12.mp4", "clip1"),
    ("/x/0a1b2c3-clip1.mp4", "clip1"),
    ("/x/clip1.mp4/", "clip1"),
  ],
)
def test_other_names_are_not(named, video):
  assert video_names.match_names([video], [named], "f") == {}


def test_places_that_may_be_of_two_videos_are_named():
  names = ["/x/0a1b2c3d-clip1.mp4", "/x/1a1b2c3d-clip1.mp4"]
  assert message_of(video_names.match_names, ["clip1"], names, "f") == (
    "f: expected each video once, without ending, received"
    f" {names[0]!r} and {names[1]!r}; remove one"
  )
  videos = ["a/clip1", "b/clip1"]
  assert message_of(video_names.match_names, videos, ["/x/clip1.mp4"], "f") == (
    "f: expected a path below the input folder, received '/x/clip1.mp4', which"
    " may be 'a/clip1' or 'b/clip1'; correct it"
  )
  # A path below the folder goes before.
  found = video_names.match_names(["clip1"], ["/x/clip1.mp4", "clip1"], "f")
  assert found == {"clip1": "clip1"}
