"""CSV tables as spreadsheets write them."""

import codecs
import contextlib
import csv
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from core.errors import UserError
from core.files import atomic_write
from dataset_preparation import video_names

# Number of a row, from 1 for the first line, and its cells by column title.
Row = tuple[int, Mapping[str, str]]
# Number of a row and its cells.
Line = tuple[int, Sequence[str]]


def read_file(path: str | os.PathLike, flag: str) -> bytes:
  """Read a file.

  Args:
    path: The file.
    flag: Name of the flag that gives it, for messages.

  Returns:
    Its content.

  Raises:
    UserError: It is missing or can't be read.
  """
  try:
    return pathlib.Path(path).read_bytes()
  except OSError as error:
    raise _make_error(path, flag, error.strerror) from error


def read_text(path: str | os.PathLike, flag: str) -> str:
  """Read a text file; see `decode`.

  Raises:
    UserError: It is missing or no text.
  """
  return decode(read_file(path, flag), path, flag)


def decode(data: bytes, path: str | os.PathLike, flag: str) -> str:
  """Decode text as editors and spreadsheets write it.

  Args:
    data: Text in UTF-8, in UTF-16 with a byte order mark, or in the encoding
      of Windows, or of old Macs if lines end as there.
    path: The file, for messages.
    flag: Name of the flag that gives it, for messages.

  Returns:
    The text, its lines ending with a line feed.

  Raises:
    UserError: It is no text.
  """
  is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
  is_mac = b"\r" in data and b"\n" not in data
  encodings = ("utf-8-sig", "mac_roman" if is_mac else "cp1252")
  for encoding in ("utf-16",) if is_wide else encodings:
    with contextlib.suppress(UnicodeError):
      text = data.decode(encoding)
      if "\0" not in text:
        return text.replace("\r\n", "\n").replace("\r", "\n")
  raise _make_error(path, flag, "no text in UTF-8, UTF-16 or Windows-1252")


def _make_error(path: str | os.PathLike, flag: str, reason: str) -> UserError:
  return UserError(
    f"{path}: expected a text file, received one that can't be read ({reason});"
    f" correct --{flag}"
  )


def read_table(
  lines: Iterable[Line], path: str | os.PathLike
) -> tuple[list[str], Iterator[Row]]:
  """Read a table whose first line is its heading.

  Args:
    lines: From `split_lines`.
    path: The file, for messages.

  Returns:
    The titles of the columns in lower case, `label` as its synonym `phase`; and
    an iterator over the rows below them. Empty rows are skipped. Names in a
    column `video` are composed, see `video_names`.

  Raises:
    UserError: A row has another number of cells than the heading, names no
      video in that column, or its quotation marks don't match.
  """
  lines = iter(lines)
  _, cells = next(lines, (0, []))
  titles = [name.strip().lower() for name in cells]
  if "phase" not in titles:
    titles = ["phase" if title == "label" else title for title in titles]
  return titles, _read_rows(lines, titles, path)


def _read_rows(
  lines: Iterator[Line], titles: Sequence[str], path: str | os.PathLike
) -> Iterator[Row]:
  for number, cells in lines:
    if len(cells) != len(titles):
      raise UserError(
        f"{path}: row {number}: expected the {len(titles)} columns of the"
        f" heading ({','.join(titles)}), received {len(cells)}; correct it"
      )
    row = dict(zip(titles, map(str.strip, cells), strict=True))
    if "video" in row:
      row["video"] = video_names.compose(row["video"])
    if not row.get("video", "-"):
      raise UserError(
        f"{path}: row {number}: expected the name of a video, received none;"
        " fill it in or remove the row"
      )
    yield number, row


def write_table(
  path: str | os.PathLike, rows: Iterable[Sequence[object]]
) -> None:
  """Write a table, whole or not at all.

  Args:
    path: The file.
    rows: Cells of each row, the heading first.

  Raises:
    UserError: The file can't be written.
  """
  with atomic_write(path) as temporary:
    with temporary.open("w", encoding="utf-8", newline="") as file:
      csv.writer(file, lineterminator="\n").writerows(rows)


def split_lines(text: str, path: str | os.PathLike) -> Iterator[Line]:
  """Split a table into cells, at commas, semicolons or tabs.

  Args:
    text: Content of the file.
    path: The file, for messages.

  Yields:
    Number and cells of each line that isn't empty.

  Raises:
    UserError: Quotation marks don't match.
  """
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
