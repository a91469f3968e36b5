"""The metric: one number that a task found, and its tag."""

import dataclasses
import math
import re
from typing import Self

_NUMBER = r"\d[\d.]*(?:e-\d+)?"
_MEASURES = "accuracy|ci|score"
# Names of data sets hold anything, so a name is looked for at the end.
_NAME = rf"(?:phase_)?{_NUMBER}_(?:{_MEASURES})|majority_accuracy|[^_]+"
_LAYOUTS = (
  r"(?P<task>kendalls_tau)/(?P<dataset>.+)_(?P<split>train|val)_"
  r"(?P<name>align_tau)",
  r"(?P<task>[^/]+)/(?P<split>train|val)_(?:(?P<dataset>.+?)_)?"
  rf"(?P<name>{_NAME})",
  r"(?:(?P<task>[^/]*)/)?(?P<name>.*)",
)


@dataclasses.dataclass(frozen=True)
class Metric:
  """One number that a task found.

  Attributes:
    task: Name of the task, as tags have it.
    split: `train` or `val`; empty for a headline, which is of no single split.
    dataset: Name of the data set; empty where a number is of all.
    name: What is measured, such as `0.5_accuracy` or `ap@5`.
    value: The number, NaN where it is not defined.
    title: What a table says beside the tag, such as the name of a phase.
  """

  task: str
  split: str
  dataset: str
  name: str
  value: float = math.nan
  title: str = ""

  @classmethod
  def headline(cls, dataset: str, task: str, value: float) -> Self:
    """Make the headline of a task, `metrics/{dataset}_{task}`."""
    return cls("metrics", "", dataset, task, value)

  @classmethod
  def from_tag(cls, tag: str, value: float = math.nan, title: str = "") -> Self:
    """Read a tag back; what fits no task's layout is a name as a whole.

    Args:
      tag: As TensorBoard and `metrics.jsonl` have it.
      value: The number under the tag.
      title: What a table says beside the tag.

    Returns:
      A metric that has this tag.
    """
    parts = next(filter(None, (re.fullmatch(p, tag) for p in _LAYOUTS)))
    fields = {"split": "", "dataset": ""} | parts.groupdict("")
    return cls(**fields, value=value, title=title)

  @property
  def tag(self) -> str:
    """Key of the number in TensorBoard and `metrics.jsonl`."""
    place = [self.split, self.dataset]
    if self.task == "kendalls_tau":
      place.reverse()
    name = "_".join(filter(None, [*place, self.name]))
    return "/".join(filter(None, [self.task, name]))

  @property
  def measure(self) -> str:
    """The name with {} in place of its number: `{}_accuracy`, `ap@{}`."""
    return re.sub(_NUMBER, "{}", self.name)

  @property
  def number(self) -> float:
    """The number in the name, such as the fraction of labels; 0 if none."""
    found = re.search(_NUMBER, self.name)
    return float(found[0]) if found else 0.0

  @property
  def is_detail(self) -> bool:
    """True for what tables leave out: training videos, headlines, CIs."""
    hidden = self.split == "train" or self.task == "metrics"
    return hidden or self.name.endswith("_ci")
