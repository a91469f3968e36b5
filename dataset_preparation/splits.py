"""Dividing videos into splits, videos of a group together."""

import itertools
import math
import os
import random
from collections.abc import Collection, Mapping, Sequence

from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import tables

# Up to so many ways to divide groups, all are tried.
_MANY = 2**16


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


def read_groups(
  path: str | os.PathLike, videos: Collection[str]
) -> dict[str, str]:
  """Reads a CSV table that has columns `video` and `group`.

  Args:
    path: The file.
    videos: Names of all videos; see `video_names` for those in the file.

  Returns:
    Name of a video -> its group; the file may leave videos out.

  Raises:
    UserError: The file is missing, of another form, or names no video.
  """
  text = tables.read_text(path, "group_file")
  heading = tables.heading(text, path)
  if not {"video", "group"} <= set(heading):
    raise UserError(
      f"{path}: expected the heading video,group, received"
      f" {','.join(heading)!r}"
    )
  groups: dict[str, str] = {}
  for number, row in tables.rows(text, path):
    video, group = video_names.composed(row["video"]), row["group"]
    if not group:
      raise UserError(
        f"{path}: row {number} gives video {video!r} no group; expected one,"
        " fill it in or remove the row"
      )
    if groups.setdefault(video, group) != group:
      raise UserError(
        f"{path}: row {number} puts video {video!r} into group {group!r}, an"
        f" earlier one into {groups[video]!r}; expected one group"
      )
  found = video_names.match(videos, groups, path)
  unknown = groups.keys() - found.values()
  if unknown:
    raise UserError(
      f"{path}: {min(unknown)!r} is none of the {len(videos)} videos; expected"
      f" names such as {next(iter(videos))!r}, correct or remove it"
    )
  return {video: groups[name] for video, name in found.items()}


def assign(
  videos: Sequence[str],
  shares: Mapping[str, float],
  seed: int,
  groups: Mapping[str, str],
) -> dict[str, list[str]]:
  """Divides videos into splits.

  Every split gets its share as closely as the groups allow: of few groups, all
  ways to divide them are tried; many are taken in random order, large ones
  first, each to the split that lacks most of its share. No split stays empty.

  Args:
    videos: Names of the videos.
    shares: Name of a split -> its share.
    seed: Of the random order; the same videos and seed give the same splits.
    groups: Name of a video -> its group; others are groups of their own.

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
      f" {len(order)} groups"
    )
  wanted = {split: share * len(videos) for split, share in shares.items()}
  sizes = [len(members[key]) for key in order]
  few = len(shares) ** len(order) <= _MANY
  divide = _nearest if few else _greedy
  chosen: dict[str, set[str]] = {split: set() for split in shares}
  for key, split in zip(order, divide(sizes, wanted), strict=True):
    chosen[split].update(members[key])
  return {
    split: [video for video in videos if video in found]
    for split, found in chosen.items()
  }


def _nearest(
  sizes: Sequence[int], wanted: Mapping[str, float]
) -> Sequence[str]:
  """The split of each group: of all choices, the first that fits best."""

  def distance(choice: Sequence[str]) -> float:
    left = dict(wanted)
    for split, size in zip(choice, sizes, strict=True):
      left[split] -= size
    # Rounded, lest the last bits choose among what is equally near.
    return round(sum(x * x for x in left.values()), 6)

  choices = itertools.product(wanted, repeat=len(sizes))
  whole = (choice for choice in choices if len(set(choice)) == len(wanted))
  return min(whole, key=distance)


def _greedy(sizes: Sequence[int], wanted: Mapping[str, float]) -> Sequence[str]:
  """The split of each group: the one that lacks most when its turn comes."""
  left = dict(wanted)
  # In order, unlike a set.
  empty = dict(wanted)
  choice = []
  for index, size in enumerate(sizes):
    # The last groups are for the splits that have none.
    needed = len(sizes) - index == len(empty)
    split = max(empty if needed else wanted, key=left.get)
    left[split] -= size
    empty.pop(split, None)
    choice.append(split)
  return choice
