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
    notes: What a reader leaves out, for the user.
  """

  path: pathlib.Path
  notes: list[str] = dataclasses.field(default_factory=list)

  @functools.cached_property
  def data(self) -> bytes:
    """The bytes; a UserError if the file can't be read."""
    return csv_tables.read_file(self.path, "label_file")

  @functools.cached_property
  def text(self) -> str:
    """The text; a UserError if it is none."""
    return csv_tables.decode(self.data, self.path, "label_file")

  @functools.cached_property
  def json(self) -> object:
    """The JSON value; None if it is no JSON, another error if damaged."""
    if not self.text.lstrip().startswith(("{", "[")):
      return None
    return json.loads(self.text, object_pairs_hook=self._make_object)

  @functools.cached_property
  def xml(self) -> ElementTree.Element:
    """The root; one without tag if it is no XML, another error if damaged."""
    text = self.text.lstrip()
    return ElementTree.fromstring(text if text.startswith("<") else "<none/>")

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
