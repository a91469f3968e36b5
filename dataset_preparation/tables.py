"""CSV tables as spreadsheets write them."""

import csv
import os
import pathlib
from collections.abc import Iterator, Sequence

from errors import UserError


def read_text(path: str | os.PathLike, flag: str) -> str:
  """Reads a text file in UTF-8, with or without a byte order mark.

  Args:
    path: The file; `~` stands for the home folder.
    flag: Name of the flag that gave it, for messages.

  Returns:
    Its content.

  Raises:
    UserError: It is missing or not in UTF-8.
  """
  try:
    place = pathlib.Path(os.path.expanduser(path))
    return place.read_text(encoding="utf-8-sig")
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, "strerror", None) or "no text in UTF-8"
    what = flag.replace("_", " ")
    raise UserError(
      f"{path}: can't read the {what} ({reason}); correct --{flag}"
    ) from error


def heading(text: str) -> list[str]:
  """The titles of the columns, in lower case."""
  return [name.strip().lower() for name in next(_lines(text), [])]


def rows(
  text: str, path: str | os.PathLike
) -> Iterator[tuple[int, dict[str, str]]]:
  """Reads the rows below the heading; empty ones are passed over.

  Args:
    text: Content of the file.
    path: The file, for messages.

  Yields:
    Number of a row, from 1 for the heading, and its cells by their titles.

  Raises:
    UserError: A row has another number of cells than the heading.
  """
  titles = heading(text)
  for number, cells in enumerate(_lines(text), start=1):
    if number == 1 or not any(cell.strip() for cell in cells):
      continue
    if len(cells) != len(titles):
      raise UserError(
        f"{path}: row {number} has {len(cells)} columns, expected the"
        f" {len(titles)} of the heading ({','.join(titles)}); correct it"
      )
    stripped = (cell.strip() for cell in cells)
    yield number, dict(zip(titles, stripped, strict=True))


def _lines(text: str) -> Iterator[Sequence[str]]:
  lines = text.splitlines()
  first = lines[0] if lines else ""
  # Spreadsheets write semicolons where the comma is for decimals.
  return csv.reader(lines, delimiter=max(",;\t", key=first.count))
