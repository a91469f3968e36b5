"""`metrics.jsonl`, every scalar of every evaluated checkpoint; its table.

Usage: python -m metrics --logdir /tmp/my_run
"""

import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from absl import flags

import errors
from errors import UserError

_FILE = pathlib.Path("eval_logs") / "metrics.jsonl"


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
      ends in `_titles`, tag -> text, the table takes the text beside the tag.
  """
  values = {
    tag: value if math.isfinite(value) else None
    for tag, value in scalars.items()
  }
  path = pathlib.Path(logdir) / _FILE
  path.parent.mkdir(parents=True, exist_ok=True)
  line = json.dumps({"step": step, **values, "details": details or {}}) + "\n"
  with path.open("a+b") as file:
    # A line that an interruption cut short is none.
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)
    file.write(line.encode())


def read(logdir: str | os.PathLike) -> dict[int, dict[str, float]]:
  """Reads the scalars of each evaluated step; the last line of a step counts.

  A last line without an end, which an interruption cut short, does not count.

  Args:
    logdir: The log directory.

  Returns:
    Step -> tag -> value, in order of steps; null becomes NaN. Empty if nothing
    was evaluated.

  Raises:
    UserError: A line is not what `append` writes.
  """
  result = {}
  for step, values, _ in _read_lines(logdir):
    result[step] = {k: math.nan if v is None else v for k, v in values.items()}
  return dict(sorted(result.items()))


def _read_lines(
  logdir: str | os.PathLike,
) -> Iterator[tuple[int, dict[str, float | None], dict[str, Any]]]:
  """Yields step, scalars and details of each line."""
  path = pathlib.Path(logdir) / _FILE
  text = path.read_text() if path.exists() else ""
  lines = text[: text.rfind("\n") + 1].splitlines()
  for number, line in enumerate(lines, start=1):
    try:
      values = json.loads(line)
      step, details = values.pop("step"), values.pop("details", {})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
      raise UserError(
        f"{path}: line {number} is no JSON object with a step; remove it"
      ) from error
    yield step, values, details


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
  steps = read(logdir)
  if not steps:
    raise UserError(
      f"{logdir}: nothing was evaluated yet; run `python evaluate.py --logdir"
      f" {logdir}`"
    )
  shown = sorted({min(steps), max(steps)})
  tags = list(dict.fromkeys(tag for step in shown for tag in steps[step]))
  tags = [tag for tag in tags if not _is_detail(tag)]
  if not tags:
    among = " and ".join(map(str, shown))
    return f"no metric of validation videos at step {among}"
  titles = _titles(logdir)
  width = max(len(titles.get(tag, tag)) for tag in tags)
  header = "".join(f"{f'step {step}':>14}" for step in shown)
  lines = [f"{'metric':<{width}}{header}", "-" * (width + 14 * len(shown))]
  for tag in tags:
    values = (steps[step].get(tag, math.nan) for step in shown)
    lines.append(
      f"{titles.get(tag, tag):<{width}}"
      + "".join(f"{value:>14.4f}" for value in values)
    )
  return "\n".join(lines)


def _titles(logdir: str | os.PathLike) -> dict[str, str]:
  """Tag -> the same with a name that says more, where a task gave one."""
  titles = {}
  for _, _, details in _read_lines(logdir):
    for key, value in details.items():
      if key.endswith("_titles"):
        titles |= {tag: f"{tag} ({title})" for tag, title in value.items()}
  return titles


def _is_detail(tag: str) -> bool:
  """Whether a tag is left to TensorBoard: training videos, headlines, CIs."""
  task, _, name = tag.partition("/")
  # Names of data sets hold anything, so the split is looked for in its place.
  if task == "kendalls_tau":
    return name.endswith("_train_align_tau")
  return name.startswith("train_") or name.endswith("_ci") or task == "metrics"


def main() -> None:
  """Prints the table."""
  print(table(flags.FLAGS.logdir))


if __name__ == "__main__":
  flags.DEFINE_string(
    "logdir", "/tmp/alignment_logs", "Log directory of an evaluated run."
  )
  errors.run(main)
