"""Progress with the time left."""

import sys
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

  Where standard error is no terminal, a log file, only work of more than a
  minute is shown, once a minute. When all are done the bar is removed.

  Args:
    items: What is worked on.
    title: Names the work.
    total: Number of items; None = `len(items)`, if it has one.
    unit: What an item is.

  Yields:
    The items.
  """
  pace = 0.1 if sys.stderr.isatty() else 60.0
  options = {"unit": unit, "mininterval": pace, "delay": pace}
  yield from tqdm(items, title, total, False, dynamic_ncols=True, **options)
