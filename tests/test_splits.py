import pytest

from dataset_preparation import splits
from errors import UserError

VIDEOS = [f"v{number}" for number in range(20)]
SHARES = {"train": 0.8, "val": 0.2}


def test_parts_are_read():
  assert splits.parse(["train=0.8", "val=.2"]) == SHARES
  assert splits.parse([]) == {}


@pytest.mark.parametrize(
  ("parts", "message"),
  [
    (["train"], "expected parts such as train=0.8,val=0.2, received 'train'"),
    (["train=x"], "received 'train=x'"),
    (["train=0", "val=1"], "received 'train=0'"),
    (["train=0.5", "train=0.5"], "received 'train=0.5'"),
    (["a_b=1"], "received 'a_b=1'"),
    (["train=0.8", "val=0.3"], "expected shares that sum to 1, received 1.1"),
  ],
)
def test_wrong_parts_are_named(parts, message):
  with pytest.raises(UserError, match="--split: ") as error:
    splits.parse(parts)
  assert message in str(error.value)


def test_every_video_goes_to_one_split_in_order():
  found = splits.assign(VIDEOS, SHARES, 0, {})
  assert {split: len(videos) for split, videos in found.items()} == {
    **{"train": 16, "val": 4}
  }
  assert sorted(found["train"] + found["val"]) == sorted(VIDEOS)
  for videos in found.values():
    assert videos == [video for video in VIDEOS if video in videos]


def test_the_seed_sets_the_choice():
  choices = [splits.assign(VIDEOS, SHARES, seed, {}) for seed in (0, 0, 1)]
  assert choices[0] == choices[1] != choices[2]
  reversed_order = splits.assign(VIDEOS[::-1], SHARES, 0, {})
  assert set(reversed_order["val"]) == set(choices[0]["val"])


def test_groups_stay_together():
  groups = {video: f"take{number // 3}" for number, video in enumerate(VIDEOS)}
  del groups["v19"]
  for seed in range(20):
    found = splits.assign(VIDEOS, SHARES, seed, groups)
    of_splits = [
      {groups.get(video, video) for video in videos}
      for videos in found.values()
    ]
    assert not of_splits[0] & of_splits[1]
    assert 3 <= len(found["val"]) <= 5


def test_a_split_without_videos_is_named():
  with pytest.raises(UserError) as error:
    splits.assign(VIDEOS, SHARES, 0, dict.fromkeys(VIDEOS, "one"))
  assert str(error.value) == (
    "--split: val gets none of 20 videos in 1 groups; give it a larger share or"
    " more videos"
  )


def test_groups_are_read(tmp_path):
  path = tmp_path / "groups.csv"
  path.write_text("video,group\nv0,a\nv1, b\n\n")
  assert splits.read_groups(path) == {"v0": "a", "v1": "b"}


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "expected the heading video,group, received ''"),
    ("a,b\n", "received 'a,b'"),
    (
      "video,group\nv0\n",
      "row 2 has 1 columns, expected the 2 of the heading (video,group)",
    ),
    (
      "video,group\nv0,a\nv0,b\n",
      "row 3 puts video 'v0' into group 'b', an earlier one into 'a'",
    ),
  ],
)
def test_wrong_groups_are_named(tmp_path, text, message):
  path = tmp_path / "groups.csv"
  path.write_text(text)
  with pytest.raises(UserError) as error:
    splits.read_groups(path)
  assert str(error.value).startswith(f"{path}: ")
  assert message in str(error.value)


def test_a_missing_group_file_is_named(tmp_path):
  with pytest.raises(UserError, match="none.csv: can't read the group file"):
    splits.read_groups(tmp_path / "none.csv")
