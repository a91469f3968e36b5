"""Progress on a terminal, with the time left."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")


def progress(
  items: Iterable[_Item],
  title: str,
  total: int | None = None,
  unit: str = "frame",
) -> Iterator[_Item]:
  """Yield items, and show on standard error how many are done.

  Nothing is shown where standard error is no terminal, so that log files stay
  readable; when all are done the bar is removed.

  Args:
    items: What is worked on.
    title: Names the work.
    total: Number of items; None = `len(items)`, if it has one.
    unit: What an item is.

  Yields:
    The items.
  """
  # `disable=None` asks whether the stream is a terminal.
  options = {"leave": False, "dynamic_ncols": True, "disable": None}
  yield from tqdm(items, title, total, unit=unit, **options)
