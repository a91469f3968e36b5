"""Numbers of phases that a label file gives by number or by name."""

import difflib
import re

from core.errors import UserError
from dataset_preparation.labels.options import LabelOptions

# From 0 to 9999: far more phases than anybody names, but few enough to make up
# a name for each.
_NUMBER = re.compile("0*[0-9]{1,4}")


class Labeling:
  """How the videos of one label file are labeled, with numbers of phases.

  A file holds numbers or names, not both. -1 means no phase in either case.

  Attributes:
    options: The options. If they name phases, the file has to keep to these;
      otherwise names are numbered as they come.
  """

  def __init__(self, options: LabelOptions) -> None:
    self.options = options
    self._numbers = {name: i for i, name in enumerate(options.phases)}
    self._first: str | None = None

  def number(self, phase: object, where: str) -> int:
    """Return the number of a phase.

    Args:
      phase: A cell or JSON value.
      where: Its place in the file, for messages.

    Raises:
      UserError: It is neither a number from -1 nor a name, is a number among
        names or a name among numbers, or is none of the fixed names.
    """
    text = str(phase).strip() if isinstance(phase, str | int) else ""
    if isinstance(phase, bool) or not text:
      raise UserError(
        f"{where}: expected a phase by number or name, received {phase!r};"
        " correct it"
      )
    if text == "-1":
      return -1
    self._first = self._first or text
    if _is_number(text) != _is_number(self._first):
      raise UserError(
        f"{where}: expected phases by number in the whole file, or by name,"
        f" received {text!r} after {self._first!r}; correct it"
      )
    if _is_number(text):
      if not _NUMBER.fullmatch(text):
        raise UserError(
          f"{where}: expected a phase from 0 to 9999, received {text}; correct"
          " it"
        )
      return int(text)
    if self.options.phases and text not in self._numbers:
      near = difflib.get_close_matches(text, self._numbers, 1)
      hint = f"did you mean {near[0]!r}?" if near else "correct it, or --phases"
      raise UserError(
        f"{where}: expected a phase of {', '.join(self._numbers)}, received"
        f" {text!r}; {hint}"
      )
    return self._numbers.setdefault(text, len(self._numbers))

  def class_names(self) -> tuple[str, ...]:
    """Return the names by number; empty if the file has numbers."""
    named = self._first is not None and not _is_number(self._first)
    return tuple(self._numbers) if named else ()


def _is_number(text: str) -> bool:
  return bool(re.fullmatch("-?[0-9]+", text))
