"""Times and numbers of frames as people write them."""

import re

from core.errors import UserError

# Hours, minutes and seconds; minutes and seconds below 60.
_CLOCK = re.compile(
  r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d(?:\.\d*)?)", re.ASCII
)


def parse_seconds(text: str, key: str, where: str) -> float:
  """Read a time: seconds (`62.5`) or a clock's (`1:02.5`, `0:01:02,5`).

  Args:
    text: The cell.
    key: Title of its column, for messages.
    where: Its place in the file, for messages.

  Returns:
    Seconds from 0.

  Raises:
    UserError: It is no time.
  """
  text = text.strip().replace(",", ".")
  if clock := _CLOCK.fullmatch(text):
    hours, minutes, seconds = (float(part or 0) for part in clock.groups())
    return 3600 * hours + 60 * minutes + seconds
  try:
    seconds = float(text)
  except ValueError:
    seconds = -1.0
  if not 0 <= seconds < float("inf"):
    raise UserError(
      f"{where}: expected seconds from 0 as {key}, received {text!r}; correct"
      " it, to 62.5 or 0:01:02.5 for instance"
    )
  return seconds


def parse_frame(text: str, key: str, where: str) -> int:
  """Read the number of a frame; see `parse_seconds`."""
  # Spreadsheets and pandas may write 3.0.
  if not re.fullmatch(r"\d{1,7}(\.0*)?", text, re.ASCII):
    raise UserError(
      f"{where}: expected the number of a frame from 0 as {key}, received"
      f" {text!r}; correct it"
    )
  return int(float(text))
