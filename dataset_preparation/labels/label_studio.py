"""Label Studio: timeline labels of videos, as JSON or JSON-MIN.

Frames count from 1. Annotators are tiers, and so are controls of the interface.
"""

from collections.abc import Iterator, Mapping

from core.errors import UserError
from dataset_preparation.labels.content import Content, Export
from dataset_preparation.labels.types import RawSegment


def is_export(content: Content) -> bool:
  """Whether this is an export of tasks."""
  tasks = content.json
  return isinstance(tasks, list) and any(
    isinstance(task, dict)
    and ("annotations" in task or any(map(_is_timeline, task.values())))
    for task in tasks
  )


def read(content: Content) -> Export:
  """Yield name of a video and segment."""
  for number, task in enumerate(content.json):
    where = f"{content.path}: task {task.get('id', number)}"
    data = task.get("data", task)
    # Its key is free to choose.
    addresses = (x for x in data.values() if isinstance(x, str) and "/" in x)
    video = data.get("video") or next(addresses, "")
    for tier, region in _list_regions(task):
      labels = region.get("timelinelabels") or [""]
      if len(labels) > 1:
        raise UserError(
          f"{where}: expected one label a region, received {', '.join(labels)};"
          " remove the others"
        )
      for span in region["ranges"]:
        bounds = (span["start"] - 1, span["end"] - 1)
        yield video, RawSegment(where, *bounds, labels[0], tier)


def _is_timeline(value: object) -> bool:
  return isinstance(value, list) and any(
    isinstance(region, dict) and "ranges" in region for region in value
  )


def _list_regions(task: Mapping) -> Iterator[tuple[tuple[str, ...], Mapping]]:
  """Yield annotator and control, and the region."""
  for annotation in task.get("annotations", ()):
    by = annotation.get("completed_by", "")
    by = by.get("email", by.get("id")) if isinstance(by, dict) else by
    for result in annotation["result"]:
      is_label = result["type"] == "timelinelabels"
      if is_label and not annotation.get("was_cancelled"):
        yield (str(by), result.get("from_name", "")), result["value"]
  # JSON-MIN has an entry for each annotator.
  for key, value in task.items():
    for region in value if _is_timeline(value) else ():
      yield (str(task.get("annotator", "")), key), region
