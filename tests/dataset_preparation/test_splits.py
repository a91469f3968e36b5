import itertools
import random

import numpy as np
import pytest

from core.errors import UserError
from dataset_preparation import splits
from tests.helpers.errors import message_of

VIDEOS = [f"v{number}" for number in range(20)]
SHARES = {"train": 0.8, "val": 0.2}


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
  text = message_of(splits.parse_shares, parts)
  assert text.startswith("--split: ") and message in text


def test_parts_are_read():
  assert splits.parse_shares(["train=0.8", "val=.2"]) == SHARES
  assert splits.parse_shares([]) == {}


def test_every_video_goes_to_one_split_in_order():
  found, again, other = (
    splits.assign_videos(VIDEOS, SHARES, seed, {}) for seed in (0, 0, 1)
  )
  assert found == again != other
  turned = splits.assign_videos(VIDEOS[::-1], SHARES, 0, {})
  assert set(turned["val"]) == set(found["val"])
  assert (len(found["train"]), len(found["val"])) == (16, 4)
  assert sorted(found["train"] + found["val"]) == sorted(VIDEOS)
  for videos in found.values():
    assert videos == [video for video in VIDEOS if video in videos]


def test_groups_stay_together():
  groups = {video: f"take{number // 3}" for number, video in enumerate(VIDEOS)}
  del groups["v19"]
  for seed in range(20):
    found = splits.assign_videos(VIDEOS, SHARES, seed, groups)
    train, val = ({groups.get(v, v) for v in x} for x in found.values())
    assert not train & val
    assert 3 <= len(found["val"]) <= 5


def grouped(sizes):
  """Videos in groups of so many."""
  return {
    f"{group}-{number}": str(group)
    for group, size in enumerate(sizes)
    for number in range(size)
  }


@pytest.mark.parametrize("sizes", [(5, 5), (1, 9), (9, 1), (30, 1, 1), (1, 1)])
def test_with_few_groups_no_split_is_empty(sizes):
  groups = grouped(sizes)
  train, val = splits.assign_videos(list(groups), SHARES, 0, groups).values()
  assert len(train) >= len(val) >= 1
  assert {groups[v] for v in train}.isdisjoint(groups[v] for v in val)


def test_with_many_groups_no_split_is_empty():
  groups = grouped([10] * 40)
  shares = {"train": 0.99, "val": 0.005, "test": 0.005}
  found = splits.assign_videos(list(groups), shares, 0, groups)
  assert [len(found[split]) for split in shares] == [380, 10, 10]


def test_a_split_without_videos_is_named():
  arguments = (VIDEOS, SHARES, 0, dict.fromkeys(VIDEOS, "one"))
  assert message_of(splits.assign_videos, *arguments) == (
    "--split: expected at least a video and a group for each of train, val,"
    " received 20 videos in 1 groups; add some, or give fewer splits"
  )


def test_shares_are_met_as_closely_as_groups_permit():
  shares = {"train": 0.6, "val": 0.3, "test": 0.1}
  rng = random.Random(0)
  for seed in range(20):
    sizes = [rng.randint(1, 12) for _ in range(rng.randint(3, 6))]
    groups = grouped(sizes)
    found = splits.assign_videos(list(groups), shares, seed, groups)
    possible = [
      {s: [v for v in groups if choice[int(groups[v])] == s] for s in shares}
      for choice in itertools.product(shares, repeat=len(sizes))
      if len(set(choice)) == 3
    ]
    wanted = np.array(list(shares.values())) * len(groups)
    counts = np.array([[len(x[s]) for s in shares] for x in (found, *possible)])
    distance, *others = np.sum((counts - wanted) ** 2, axis=1)
    assert distance == pytest.approx(min(others))


HEAD = "video,group\n"
ONE, NAMES = "expected one group for video", "expected names of the 3 videos"


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "expected the heading video,group, received ''"),
    ("a,b", "received 'a,b'"),
    (f"{HEAD}v0,a\nv1,", f"row 3: {ONE} 'v1', received '' and before ''"),
    (
      f"{HEAD}v0",
      "row 2: expected the 2 columns of the heading (video,group), received 1",
    ),
    (f"{HEAD}v0,a\nv0,b", f"row 3: {ONE} 'v0', received 'b' and before 'a'"),
    (f"{HEAD}v0,a\nv0.mp4,b", f"{NAMES}, such as 'v0', received 'v0.mp4'"),
    (f"{HEAD}b/v0,a", "such as 'v0', received 'b/v0'"),
    (f"{HEAD}v1,a", "'v1', which may be 'take9/v1' or 'take10/v1'; correct it"),
  ],
)
def test_wrong_groups_are_named(tmp_path, text, message):
  path = tmp_path / "groups.csv"
  path.write_text(text)
  found = message_of(splits.read_groups, path, ["v0", "take9/v1", "take10/v1"])
  assert found.startswith(f"{path}: ") and message in found
  with pytest.raises(UserError, match="none.csv: expected.*--group_file"):
    splits.read_groups(tmp_path / "none.csv", VIDEOS)


@pytest.mark.parametrize(
  ("text", "groups"),
  [
    (f"{HEAD}v0,a\nv1, b\n\n", {"v0": "a", "v1": "b"}),
    # As spreadsheets write tables.
    (
      "\ufeffWho;Group;Video\nann;a;v0.mp4\nben;b;v1\n",
      {"v0": "a", "v1": "b"},
    ),
    (
      f"{HEAD}v1,a\ntake9/v1,b\nv2,c\n",
      {"take9/v1": "b", "take10/v1": "a", "take10/v2": "c"},
    ),
    (f"{HEAD}d\u00e9j\u00e0,a\n", {"take/de\u0301ja\u0300": "a"}),
  ],
)
def test_groups_are_read(tmp_path, text, groups):
  path = tmp_path / "groups.csv"
  path.write_text(text, encoding="utf-8")
  assert splits.read_groups(path, [*groups, "v40"]) == groups
