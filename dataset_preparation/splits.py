"""Dividing videos into splits, videos of a group together."""

import math
import os
import random
from collections.abc import Mapping, Sequence

from dataset_preparation import tables
from errors import UserError


def parse(parts: Sequence[str]) -> dict[str, float]:
  """Reads the parts of `--split`.

  Args:
    parts: Such as `["train=0.8", "val=0.2"]`.

  Returns:
    Name of a split -> its share; they sum to 1. Empty without parts.

  Raises:
    UserError: A part has another form, or they do not sum to 1.
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
        f"--split: expected parts such as train=0.8,val=0.2, received {part!r}"
      )
    shares[name] = share
  total = sum(shares.values())
  if shares and abs(total - 1) > 1e-6:
    raise UserError(
      f"--split: expected shares that sum to 1, received {total:g}"
    )
  return shares


def read_groups(path: str | os.PathLike) -> dict[str, str]:
  """Reads a CSV table with the heading `video,group`.

  Args:
    path: The file.

  Returns:
    Name of a video -> its group.

  Raises:
    UserError: The file is missing or of another form.
  """
  text = tables.read_text(path, "group_file")
  heading = tables.heading(text)
  if heading != ["video", "group"]:
    raise UserError(
      f"{path}: expected the heading video,group, received"
      f" {','.join(heading)!r}"
    )
  groups: dict[str, str] = {}
  for number, row in tables.rows(text, path):
    video, group = row["video"], row["group"]
    if groups.setdefault(video, group) != group:
      raise UserError(
        f"{path}: row {number} puts video {video!r} into group {group!r}, an"
        f" earlier one into {groups[video]!r}; expected one group"
      )
  return groups


def assign(
  videos: Sequence[str],
  shares: Mapping[str, float],
  seed: int,
  groups: Mapping[str, str],
) -> dict[str, list[str]]:
  """Divides videos into splits.

  Groups are taken in random order, each to the split that lacks most of its
  share, so that every split gets its share as closely as the groups allow.

  Args:
    videos: Names of the videos.
    shares: Name of a split -> its share.
    seed: Of the random order; the same videos and seed give the same splits.
    groups: Name of a video -> its group; others are groups of their own.

  Returns:
    Name of a split -> its videos, in the order of `videos`.

  Raises:
    UserError: A split would have no video.
  """
  members: dict[tuple[str, bool], list[str]] = {}
  for video in videos:
    key = (groups[video], True) if video in groups else (video, False)
    members.setdefault(key, []).append(video)
  order = sorted(members)
  random.Random(seed).shuffle(order)
  # Large groups first: the small ones can make up for them.
  order.sort(key=lambda key: -len(members[key]))
  chosen: dict[str, set[str]] = {split: set() for split in shares}
  for key in order:
    lacking = {
      split: share * len(videos) - len(chosen[split])
      for split, share in shares.items()
    }
    chosen[max(lacking, key=lacking.get)].update(members[key])
  for split, found in chosen.items():
    if not found:
      raise UserError(
        f"--split: {split} gets none of {len(videos)} videos in {len(order)}"
        " groups; give it a larger share or more videos"
      )
  return {
    split: [video for video in videos if video in found]
    for split, found in chosen.items()
  }
