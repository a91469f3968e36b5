"""`metrics.jsonl`, every scalar of every evaluated checkpoint; its table.

Usage: python -m evaluation.metrics --logdir /tmp/my_run
"""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from absl import flags

from core import command_line, run_directory
from core.errors import UserError

# null is NaN.
_OF_VALUES = {float, int, type(None)}


class _Line(NamedTuple):
  """An evaluation of one checkpoint."""

  step: int
  values: dict[str, float | None]
  details: dict[str, Any]


def append(
  logdir: str | os.PathLike,
  step: int,
  scalars: dict[str, float],
  details: dict[str, Any] | None = None,
) -> None:
  """Adds one line for an evaluated checkpoint.

  Args:
    logdir: The log directory.
    step: Steps of training of the checkpoint.
    scalars: Value of each tag; NaN becomes null.
    details: What tasks tell besides; written under the key `details`. Of what
      ends in `_titles`, tag -> text, the table takes the text beside the tag;
      `max_embs` is the number of videos of a split if not all were used.

  Raises:
    UserError: The file can't be written.
  """
  values = {
    tag: value if math.isfinite(value) else None
    for tag, value in scalars.items()
  }
  path = run_directory.metrics_file(logdir)
  line = json.dumps({"step": step, **values, "details": details or {}}) + "\n"
  with _explained(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
      file.seek(0)
      found = file.read()
      whole = _whole_lines(found)
      file.truncate(min(len(whole), len(found)))
      file.write(whole[len(found) :] + line.encode())


def read(
  logdir: str | os.PathLike, max_embs: int = 0
) -> dict[int, dict[str, float]]:
  """Reads the scalars of each evaluated step; the last line of a step counts.

  A last line that an interruption cut short does not count.

  Args:
    logdir: The log directory.
    max_embs: Evaluations on so many videos of a split or more count as well; 0
      = only those on all videos.

  Returns:
    Step -> tag -> value, in order of steps; null becomes NaN. Empty if nothing
    was evaluated.

  Raises:
    UserError: The file can't be read, or a line is not what `append` writes.
  """
  return _of_steps(_read_lines(logdir), max_embs)


def _of_steps(
  lines: Iterable[_Line], max_embs: int
) -> dict[int, dict[str, float]]:
  """Step -> tag -> value, see `read`."""
  result = {}
  for step, values, details in lines:
    if not _is_partial(details) or 0 < max_embs <= details["max_embs"]:
      result[step] = {
        k: math.nan if v is None else v for k, v in values.items()
      }
  return dict(sorted(result.items()))


def _is_partial(details: dict[str, Any]) -> bool:
  """Whether not all videos were used."""
  return details.get("max_embs", 0) > 0


def _read_lines(logdir: str | os.PathLike) -> Iterator[_Line]:
  """Yields what each line holds."""
  path = run_directory.metrics_file(logdir)
  with _explained(path):
    found = path.read_bytes() if path.exists() else b""
  for number, text in enumerate(_whole_lines(found).splitlines(), start=1):
    line = _parsed(text)
    if not line:
      raise UserError(
        f"{path}: line {number} is no JSON object with a step, a number for"
        " each tag and `details`; remove it"
      )
    yield line


def _whole_lines(found: bytes) -> bytes:
  """Drops a last line that was cut short; ends one that only lacks its end."""
  start = found.rfind(b"\n") + 1
  return found + b"\n" if _parsed(found[start:]) else found[:start]


def _parsed(text: bytes) -> _Line | None:
  """What a line holds; None if `append` can't have written it."""
  try:
    values = json.loads(text.decode())
    step, details = values.pop("step"), values.pop("details", {})
    titles = [t for key, t in details.items() if key.endswith("_titles")]
    is_ours = (
      type(step) is int
      and {type(value) for value in values.values()} <= _OF_VALUES
      and type(details.get("max_embs", 0)) is int
      and all(isinstance(of_tags, dict) for of_tags in titles)
    )
  except (ValueError, KeyError, AttributeError, TypeError):
    return None
  return _Line(step, values, details) if is_ours else None


@contextlib.contextmanager
def _explained(path: pathlib.Path) -> Iterator[None]:
  """Turns what the system says of the file into a user's error."""
  try:
    yield
  except OSError as error:
    raise UserError(
      f"{path}: expected the file of metrics, or none, and it can't be opened"
      f" ({error.strerror or error}); move it away or change its permissions"
    ) from error


def table(logdir: str | os.PathLike) -> str:
  """The validation metrics of the first and the last evaluated step.

  Args:
    logdir: The log directory.

  Returns:
    Lines of text, one metric a line; a single line that says so if there is
    none.

  Raises:
    UserError: Nothing was evaluated, or the file is damaged.
  """
  found = list(_read_lines(logdir))
  steps = _of_steps(found, max_embs=1)
  if not steps:
    raise UserError(
      f"{logdir}: nothing was evaluated yet; run `python evaluate.py --logdir"
      f" {logdir}`"
    )
  shown = sorted({min(steps), max(steps)})
  tags = list(dict.fromkeys(tag for step in shown for tag in steps[step]))
  tags = [tag for tag in tags if not is_detail(tag)]
  if not tags:
    among = " and ".join(map(str, shown))
    return f"no metric of validation videos at step {among}"
  titles, partial = _titles(found), _partial_steps(found)
  width = max(len(titles.get(tag, tag)) for tag in tags)
  header = "".join(f"{f'step {step}':>14}" for step in shown)
  lines = [f"{'metric':<{width}}{header}", "-" * (width + 14 * len(shown))]
  for tag in tags:
    values = (steps[step].get(tag, math.nan) for step in shown)
    lines.append(
      f"{titles.get(tag, tag):<{width}}"
      + "".join(f"{value:>14.4f}" for value in values)
    )
  lines += [
    f"step {step}: of {partial[step]} videos of a split only (--max_embs)"
    for step in shown
    if step in partial
  ]
  return "\n".join(lines)


def _partial_steps(lines: Iterable[_Line]) -> dict[int, int]:
  """Step -> videos of a split, where the last evaluation did not use all."""
  last = {step: details for step, _, details in lines}
  return {s: d["max_embs"] for s, d in last.items() if _is_partial(d)}


def _titles(lines: Iterable[_Line]) -> dict[str, str]:
  """Tag -> the same with a name that says more, where a task gave one."""
  titles = {}
  for _, _, details in lines:
    for key, value in details.items():
      if key.endswith("_titles"):
        titles |= {tag: f"{tag} ({title})" for tag, title in value.items()}
  return titles


def is_detail(tag: str) -> bool:
  """Whether tables leave a tag out: training videos, headlines, CIs.

  Args:
    tag: As `read` gives it.

  Returns:
    Whether it is left to TensorBoard.
  """
  task, _, name = tag.partition("/")
  # Names of data sets hold anything, so the split is looked for in its place.
  if task == "kendalls_tau":
    return name.endswith("_train_align_tau")
  return name.startswith("train_") or name.endswith("_ci") or task == "metrics"


def main() -> None:
  """Prints the table."""
  print(table(flags.FLAGS.logdir))


if __name__ == "__main__":
  command_line.define_path(
    "logdir", "/tmp/alignment_logs", "Log directory of an evaluated run."
  )
  command_line.run(main)
