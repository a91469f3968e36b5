"""The content of one label file, as the readers of formats look at it."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence
from xml.etree import ElementTree

from core.errors import UserError
from dataset_preparation import video_names
from dataset_preparation.labels import csv_tables
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.types import RawSegment, VideoLabels

# For each video, what reads its labels, given its place in the file for
# messages. The name is "" if the file names none.
Parsers = dict[str, Callable[[str, Labeling], VideoLabels]]
# What annotation tools export: for each segment the video, likewise, before it.
Export = Iterable[tuple[str, RawSegment]]


@dataclasses.dataclass
class Content:
  """A label file.

  Attributes:
    path: The file.
    data: Its bytes.
    notes: What a reader leaves out, for the user.
  """

  path: pathlib.Path
  data: bytes
  notes: list[str] = dataclasses.field(default_factory=list)

  @functools.cached_property
  def text(self) -> str:
    """The text; a UserError if it is none."""
    return csv_tables.decode(self.data, self.path, "label_file")

  @functools.cached_property
  def json(self) -> object:
    """The JSON value; None if it is no JSON, a UserError if damaged."""
    if self.text.lstrip()[:1] not in ("{", "["):
      return None
    try:
      return json.loads(self.text, object_pairs_hook=self._make_object)
    # Thousands of nested brackets raise a RecursionError.
    except (ValueError, RecursionError) as error:
      raise self._make_error("JSON or CSV", error) from error

  @functools.cached_property
  def xml(self) -> ElementTree.Element | None:
    """The root; None if it is no XML, a UserError if damaged."""
    if not self.text.lstrip().startswith("<"):
      return None
    try:
      return ElementTree.fromstring(self.text.lstrip())
    except ElementTree.ParseError as error:
      raise self._make_error("XML", error) from error

  def at(self, place: str) -> str:
    """Return file and place, for messages."""
    return f"{self.path}: {place}"

  def _make_object(
    self, pairs: Sequence[tuple[str, object]]
  ) -> dict[str, object]:
    """Make a JSON object; `json` would keep the last of equal keys."""
    found = {}
    for key, value in pairs:
      name = video_names.compose(key)
      if name in found:
        raise UserError(
          f"{self.path}: expected each name once, received {name!r} twice;"
          " remove one"
        )
      found[name] = value
    return found

  def _make_error(self, kinds: str, error: Exception) -> UserError:
    return UserError(
      f"{self.path}: expected a label file in {kinds}, received something else"
      f" ({error}); correct it"
    )
