"""CSV tables as spreadsheets write them."""

import csv
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from core.errors import UserError
from dataset_preparation import video_names

# Number of a row, from 1 for the first line, and its cells by column title.
Row = tuple[int, Mapping[str, str]]
_Line = tuple[int, Sequence[str]]


def read_text(path: str | os.PathLike, flag: str) -> str:
  """Read a text file in UTF-8, with or without a byte order mark.

  Args:
    path: The file.
    flag: Name of the flag that gives it, for messages.

  Returns:
    Its content.

  Raises:
    UserError: It is missing or not in UTF-8.
  """
  try:
    return pathlib.Path(path).read_text(encoding="utf-8-sig")
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, "strerror", None) or "no text in UTF-8"
    raise UserError(
      f"{path}: expected a text file, received one that can't be read"
      f" ({reason}); correct --{flag}"
    ) from error


def read_table(
  text: str, path: str | os.PathLike
) -> tuple[list[str], Iterator[Row]]:
  """Read a table; cells are separated by commas, semicolons or tabs.

  Args:
    text: Content of the file.
    path: The file, for messages.

  Returns:
    The titles of the columns in lower case; and an iterator over the rows below
    them, if `video` is one of the titles. Empty rows are skipped; names of
    videos are composed, see `video_names`.

  Raises:
    UserError: A row has another number of cells than the heading or names no
      video, or its quotation marks don't match.
  """
  lines = _split_lines(text, path)
  _, cells = next(lines, (0, []))
  titles = [name.strip().lower() for name in cells]
  return titles, _read_rows(lines, titles, path)


def _read_rows(
  lines: Iterator[_Line], titles: Sequence[str], path: str | os.PathLike
) -> Iterator[Row]:
  for number, cells in lines:
    if len(cells) != len(titles):
      raise UserError(
        f"{path}: row {number}: expected the {len(titles)} columns of the"
        f" heading ({','.join(titles)}), received {len(cells)}; correct it"
      )
    row = dict(zip(titles, map(str.strip, cells), strict=True))
    row["video"] = video_names.compose(row["video"])
    if not row["video"]:
      raise UserError(
        f"{path}: row {number}: expected the name of a video, received none;"
        " fill it in or remove the row"
      )
    yield number, row


def _split_lines(text: str, path: str | os.PathLike) -> Iterator[_Line]:
  """Yield number and cells of each line that isn't empty."""
  delimiter = None
  for number, line in enumerate(text.split("\n"), start=1):
    # Excel may put a line such as sep=; before the heading.
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
        f"{path}: row {number}: expected quotation marks in pairs around a"
        f" cell, or none, received others ({error}); correct it"
      ) from error
    if any(cell.strip() for cell in cells):
      yield number, cells
