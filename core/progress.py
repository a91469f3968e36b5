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

  On a terminal this is a bar, which is removed when all are done. In a log file
  it is a line a minute, of work that takes longer.

  Args:
    items: What is worked on.
    title: Names the work.
    total: Number of items; None = `len(items)`, if it has one.
    unit: What an item is.

  Yields:
    The items.
  """
  options = {"unit": unit, "leave": False, "dynamic_ncols": True}
  if not sys.stderr.isatty():
    # A fixed `miniters` keeps tqdm from refreshing in between.
    options |= {"mininterval": 60, "delay": 60, "miniters": 1, "leave": True}
    options["bar_format"] = "{desc}: {n_fmt}/{total_fmt}, {remaining} left\n"
  yield from tqdm(items, title, total, **options)
