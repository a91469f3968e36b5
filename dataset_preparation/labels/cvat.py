"""CVAT: tracks and tags of videos, as XML 1.1.

Frames count from 0 in the whole video, wherever a task or job starts. A track
gives its label to the frames in which it is visible, a tag to its frame.
"""

from collections.abc import Sequence

from dataset_preparation.labels.content import Content, Export
from dataset_preparation.labels.types import RawSegment

_OWNERS = ("meta/task", "meta/job", "meta/project/tasks/task")


def is_export(content: Content) -> bool:
  """Whether this is an export of a task, job or project."""
  return content.xml.tag == "annotations"


def read(content: Content) -> Export:
  """Yield name of a video and segment."""
  root = content.xml
  metas = [meta for path in _OWNERS for meta in root.iterfind(path)] or [root]
  # Only projects say of which task a track is.
  tasks = {meta.findtext("id"): meta for meta in metas} | {None: metas[0]}
  for (track, task, label), frames in _group_frames(content).items():
    meta = tasks[task]
    name = meta.findtext("source") or root.findtext("meta/source", "")
    step = int(meta.findtext("frame_filter", "").rpartition("step=")[2] or 1)
    where = f"track {track}" if track else f"tag {label!r}"
    for bounds in _find_runs(sorted(frames), step, is_track=bool(track)):
      yield name, RawSegment(f"{content.path}: {where}", *bounds, label)


def _group_frames(content: Content) -> dict[tuple, list[tuple[int, bool]]]:
  """Return frames of tracks and tags, and whether the track is outside there.

  They are grouped by number of the track, None for tags, task, and label.
  """
  groups: dict[tuple, list[tuple[int, bool]]] = {}
  for one in content.xml:
    number, task = one.get("id"), one.get("task_id")
    if one.tag == "track":
      groups[number, task, one.get("label")] = [
        (int(shape.get("frame")), shape.get("outside") == "1") for shape in one
      ]
    for tag in one.iterfind("tag") if one.tag == "image" else [one]:
      if tag.tag == "tag":
        frames = groups.setdefault((None, task, tag.get("label")), [])
        frames.append((int(one.get("frame") or number), False))
  return groups


def _find_runs(
  frames: Sequence[tuple[int, bool]], step: int, is_track: bool
) -> list[list[int]]:
  """Return first and last frame of each run of visible frames."""
  runs: list[list[int]] = []
  following = [frame for frame, _ in frames[1:]] if is_track else []
  for i, (frame, is_outside) in enumerate(frames):
    last = (following[i] if i < len(following) else frame + step) - 1
    if runs and runs[-1][1] + 1 >= frame and not is_outside:
      runs[-1][1] = last
    elif not is_outside:
      runs.append([frame, last])
  return runs
