"""CSV tables as spreadsheets write them."""

import csv
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence

from core.errors import UserError


def read_text(path: str | os.PathLike, flag: str) -> str:
  """Reads a text file in UTF-8, with or without a byte order mark.

  Args:
    path: The file.
    flag: Name of the flag that gave it, for messages.

  Returns:
    Its content.

  Raises:
    UserError: It is missing or not in UTF-8.
  """
  try:
    return pathlib.Path(path).read_text(encoding="utf-8-sig")
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, "strerror", None) or "no text in UTF-8"
    what = flag.replace("_", " ")
    raise UserError(
      f"{path}: can't read the {what} ({reason}); correct --{flag}"
    ) from error


def heading(text: str, path: str | os.PathLike) -> list[str]:
  """The titles of the columns, in lower case; see `rows`."""
  _, cells = next(_lines(text, path), (0, []))
  return [name.strip().lower() for name in cells]


def rows(
  text: str, path: str | os.PathLike
) -> Iterator[tuple[int, dict[str, str]]]:
  """Reads the rows below the heading, which has to have a title `video`.

  Cells are parted by commas, semicolons or tabs; empty rows are passed over.

  Args:
    text: Content of the file.
    path: The file, for messages.

  Yields:
    Number of a row, from 1 for the first line, and its cells by their titles.

  Raises:
    UserError: A row has another number of cells than the heading or names no
      video, or its quotation marks don't match.
  """
  titles = heading(text, path)
  for number, cells in itertools.islice(_lines(text, path), 1, None):
    if len(cells) != len(titles):
      raise UserError(
        f"{path}: row {number} has {len(cells)} columns, expected the"
        f" {len(titles)} of the heading ({','.join(titles)}); correct it"
      )
    row = dict(zip(titles, map(str.strip, cells), strict=True))
    if not row["video"]:
      raise UserError(
        f"{path}: row {number} names no video; expected a name, fill it in or"
        " remove the row"
      )
    yield number, row


def _lines(
  text: str, path: str | os.PathLike
) -> Iterator[tuple[int, Sequence[str]]]:
  """Numbers and cells of the lines that are not empty."""
  delimiter = None
  for number, line in enumerate(text.split("\n"), start=1):
    # What Excel may put before the heading.
    is_note = not delimiter and line.lower().startswith("sep=")
    if is_note or not line.strip():
      continue
    # Semicolons are written where the comma is for decimals.
    delimiter = delimiter or max(",;\t", key=line.count)
    try:
      # One by one: a quotation mark that is not closed ends with its line.
      [cells] = csv.reader(
        [line], delimiter=delimiter, skipinitialspace=True, strict=True
      )
    except csv.Error as error:
      raise UserError(
        f"{path}: row {number} can't be read ({error}); expected quotation"
        " marks in pairs around a cell, or none; correct it"
      ) from error
    if any(cell.strip() for cell in cells):
      yield number, cells
