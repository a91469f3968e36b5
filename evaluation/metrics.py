"""`metrics.jsonl`, every scalar of every evaluated checkpoint; its table.

Usage: python -m evaluation.metrics --logdir /tmp/my_run
"""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from absl import flags

from core import run_directory
from core.command_line import define_path, run
from core.errors import UserError
from evaluation.metric import Metric


class _Evaluation(NamedTuple):
  """A line of the file."""

  step: int
  scalars: dict[str, float]
  titles: dict[str, str]
  max_embs: int  # Videos of a split that were used; 0 = all.
  details: dict[str, Any]


def append(
  logdir: str | os.PathLike,
  step: int,
  scalars: dict[str, float],
  details: dict[str, Any] | None = None,
) -> None:
  """Add one line for an evaluated checkpoint, in place of one cut short.

  Args:
    logdir: The log directory.
    step: Steps of training of the checkpoint.
    scalars: Value of each tag; NaN becomes null.
    details: What tasks tell besides, under the key `details`; of these the
      table reads `titles`, tag -> text, and `max_embs`, the number of videos
      of a split if not all were used.

  Raises:
    UserError: The file can't be written.
  """
  values = {t: x if math.isfinite(x) else None for t, x in scalars.items()}
  line = json.dumps({"step": step, **values, "details": details or {}}) + "\n"
  path = run_directory.metrics_file(logdir)
  with _errors_explained(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
      file.seek(0)
      found = file.read()
      whole = _drop_cut_line(found)
      file.truncate(min(len(whole), len(found)))
      file.write(whole[len(found) :] + line.encode())


def read(
  logdir: str | os.PathLike, max_embs: int = 0
) -> dict[int, dict[str, float]]:
  """Read the scalars of each evaluated step; the last line of a step counts.

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
  evaluations = _read_evaluations(logdir, max_embs)
  return {step: evaluation.scalars for step, evaluation in evaluations.items()}


def read_details(logdir: str | os.PathLike) -> dict[int, dict[str, Any]]:
  """Read what `append` was told besides; see `read`.

  Args:
    logdir: The log directory.

  Returns:
    Step -> details, of evaluations on all videos.

  Raises:
    UserError: The file can't be read, or a line is not what `append` writes.
  """
  evaluations = _read_evaluations(logdir, max_embs=0)
  return {step: evaluation.details for step, evaluation in evaluations.items()}


def table(logdir: str | os.PathLike) -> str:
  """Show the validation metrics of the first and the last evaluated step.

  Args:
    logdir: The log directory.

  Returns:
    Lines of text, one metric a line; a single line that says so if there is
    none.

  Raises:
    UserError: Nothing was evaluated, or the file is damaged.
  """
  evaluations = _read_evaluations(logdir, max_embs=1)
  if not evaluations:
    raise UserError(
      f"{logdir}: expected an evaluated run, received one without metrics; run"
      f" `python evaluate.py --logdir {logdir}`"
    )
  shown = [evaluations[s] for s in sorted({min(evaluations), max(evaluations)})]
  titles = shown[0].titles | shown[-1].titles
  labels = {
    tag: f"{tag} ({titles[tag]})" if tag in titles else tag
    for tag in shown[0].scalars | shown[-1].scalars
    if not Metric.from_tag(tag).is_detail
  }
  if not labels:
    steps = " and ".join(str(evaluation.step) for evaluation in shown)
    return f"no metric of validation videos at step {steps}"
  width = max(map(len, labels.values()))
  steps = [f"step {evaluation.step}" for evaluation in shown]
  heading = "metric".ljust(width) + "".join(f"{step:>14}" for step in steps)
  lines = [heading, "-" * len(heading)]
  for tag, label in labels.items():
    values = (e.scalars.get(tag, math.nan) for e in shown)
    lines.append(label.ljust(width) + "".join(f"{x:>14.4f}" for x in values))
  for step, evaluation in zip(steps, shown, strict=True):
    if number := evaluation.max_embs:
      lines.append(f"{step}: of {number} videos of a split only (--max_embs)")
  return "\n".join(lines)


def _read_evaluations(
  logdir: str | os.PathLike, max_embs: int
) -> dict[int, _Evaluation]:
  """Read the last evaluation of each step that counts, see `read`."""
  path = run_directory.metrics_file(logdir)
  with _errors_explained(path):
    found = path.read_bytes() if path.exists() else b""
  evaluations = {}
  for number, line in enumerate(_drop_cut_line(found).splitlines(), start=1):
    evaluation = _parse_line(line)
    if evaluation is None:
      raise UserError(
        f"{path}: line {number}: expected a JSON object with a step, a number"
        " for each tag and `details`, received something else; remove the line"
      )
    if not evaluation.max_embs or 0 < max_embs <= evaluation.max_embs:
      evaluations[evaluation.step] = evaluation
  return dict(sorted(evaluations.items()))


def _drop_cut_line(found: bytes) -> bytes:
  """Drop a last line that was cut short; end one that only lacks its end."""
  start = found.rfind(b"\n") + 1
  return found + b"\n" if _parse_line(found[start:]) else found[:start]


def _parse_line(line: bytes) -> _Evaluation | None:
  """Read a line; return None if `append` can't have written it."""
  try:
    scalars = json.loads(line)
    step, details = scalars.pop("step"), scalars.pop("details", {})
    max_embs = details.get("max_embs", 0)
    titles = {}
    for key, value in details.items():
      if key.endswith("titles"):  # Each task had its own `..._titles` once.
        titles |= value
  except (ValueError, KeyError, AttributeError, TypeError):
    return None
  kinds = {type(value) for value in scalars.values()}
  if {type(step), type(max_embs)} != {int} or kinds - {float, int, type(None)}:
    return None
  scalars = {tag: math.nan if x is None else x for tag, x in scalars.items()}
  return _Evaluation(step, scalars, titles, max_embs, details)


@contextlib.contextmanager
def _errors_explained(path: pathlib.Path) -> Iterator[None]:
  """Turn what the system says of the file into a user's error."""
  try:
    yield
  except OSError as error:
    raise UserError(
      f"{path}: expected a file of metrics or none, received an error"
      f" ({error.strerror or error}); move it away or change its permissions"
    ) from error


def main() -> None:
  """Print the table."""
  print(table(flags.FLAGS.logdir))


if __name__ == "__main__":
  define_path("logdir", "/tmp/alignment_logs", "Log directory of the run.")
  run(main)
