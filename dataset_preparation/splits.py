"""Divides videos into splits, keeping groups together."""

import itertools
import math
import os
import random
from collections.abc import Collection, Mapping, Sequence

from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import csv_tables

# Up to this many ways to divide groups, all are tried.
_MAX_TRIED = 2**16

# Name of a split -> its share of the videos, as a part or a number of them.
Shares = Mapping[str, float]


def parse_shares(parts: Sequence[str]) -> dict[str, float]:
  """Parse the value of `--split`.

  Args:
    parts: Such as `["train=0.8", "val=0.2"]`.

  Returns:
    Name of a split -> its share; the shares sum to 1. Empty without parts.

  Raises:
    UserError: A part has another form, or the shares don't sum to 1.
  """
  shares: dict[str, float] = {}
  for part in parts:
    name, separator, text = part.partition("=")
    try:
      share = float(text)
    except ValueError:
      share = math.nan
    if not (separator and name.isalnum() and 0 < share <= 1) or name in shares:
      raise UserError(
        f"--split: expected parts such as train=0.8,val=0.2, received {part!r};"
        " correct it"
      )
    shares[name] = share
  total = sum(shares.values())
  if shares and abs(total - 1) > 1e-6:
    raise UserError(
      f"--split: expected shares that sum to 1, received {total:g}; correct it"
    )
  return shares


def read_groups(
  path: str | os.PathLike, videos: Collection[str]
) -> dict[str, str]:
  """Read a CSV table with the columns `video` and `group`.

  Args:
    path: The file.
    videos: Names of all videos; see `video_names` for those in the file.

  Returns:
    Name of a video -> its group, for the videos that the file lists.

  Raises:
    UserError: The file is missing, has another form, or lists other videos.
  """
  text = csv_tables.read_text(path, "group_file")
  lines = csv_tables.split_lines(text, path)
  heading, rows = csv_tables.read_table(lines, path)
  if not {"video", "group"} <= set(heading):
    raise UserError(
      f"{path}: expected the heading video,group, received"
      f" {','.join(heading)!r}; correct it"
    )
  groups: dict[str, str] = {}
  for number, row in rows:
    video, group = row["video"], row["group"]
    if not group or groups.setdefault(video, group) != group:
      raise UserError(
        f"{path}: row {number}: expected one group for video {video!r},"
        f" received {group!r} and before {groups.get(video, '')!r}; correct one"
      )
  found = video_names.match_names(videos, groups, path)
  if unknown := groups.keys() - found.values():
    raise UserError(
      f"{path}: expected names of the {len(videos)} videos, such as"
      f" {next(iter(videos))!r}, received {min(unknown)!r}; correct it"
    )
  return {video: groups[name] for video, name in found.items()}


def assign_videos(
  videos: Sequence[str], shares: Shares, seed: int, groups: Mapping[str, str]
) -> dict[str, list[str]]:
  """Divide videos into splits.

  Every split gets its share as closely as the groups allow. For few groups, all
  ways to divide them are tried. Many groups are taken in random order, large
  ones first, each by the split that lacks most of its share. No split stays
  empty.

  Args:
    videos: Names of the videos.
    shares: Name of a split -> its share.
    seed: Seed of the random order; the same videos and seed give the same
      splits.
    groups: Name of a video -> its group; other videos are their own groups.

  Returns:
    Name of a split -> its videos, in the order of `videos`.

  Raises:
    UserError: There are fewer groups than splits.
  """
  members: dict[tuple[str, bool], list[str]] = {}
  for video in videos:
    key = (groups[video], True) if video in groups else (video, False)
    members.setdefault(key, []).append(video)
  order = sorted(members)
  random.Random(seed).shuffle(order)
  # Large groups first: the small ones can make up for them.
  order.sort(key=lambda key: -len(members[key]))
  if len(order) < len(shares):
    raise UserError(
      f"--split: expected at least a video and a group for each of"
      f" {', '.join(shares)}, received {len(videos)} videos in"
      f" {len(order)} groups; add some, or give fewer splits"
    )
  wanted = {split: share * len(videos) for split, share in shares.items()}
  sizes = [len(members[key]) for key in order]
  few = len(shares) ** len(order) <= _MAX_TRIED
  divide = _choose_best if few else _choose_greedily
  chosen = {
    video: split
    for key, split in zip(order, divide(sizes, wanted), strict=True)
    for video in members[key]
  }
  return {s: [video for video in videos if chosen[video] == s] for s in shares}


def _choose_best(sizes: Sequence[int], wanted: Shares) -> Sequence[str]:
  """Return the split of each group: the first of the best choices."""

  def distance(choice: Sequence[str]) -> float:
    left = dict(wanted)
    for split, size in zip(choice, sizes, strict=True):
      left[split] -= size
    # Rounded, so that the last bits don't choose among equally near ones.
    return round(sum(x * x for x in left.values()), 6)

  choices = itertools.product(wanted, repeat=len(sizes))
  whole = (choice for choice in choices if len(set(choice)) == len(wanted))
  return min(whole, key=distance)


def _choose_greedily(sizes: Sequence[int], wanted: Shares) -> Sequence[str]:
  """Return the split of each group: the one that lacks most at its turn."""
  # Dicts keep their order, unlike sets.
  left, empty, choice = dict(wanted), dict(wanted), []
  for index, size in enumerate(sizes):
    # The last groups are for the splits that have none.
    needed = len(sizes) - index == len(empty)
    split = max(empty if needed else wanted, key=left.get)
    left[split] -= size
    empty.pop(split, None)
    choice.append(split)
  return choice
