"""A table of runs, in the layout of the paper's.

Usage: python -m evaluation.report LOGDIR [LOGDIR ...]

One Markdown and one LaTeX table for each data set that the runs were evaluated
on, the best of each column in bold. Each run is shown at its last evaluated
checkpoint or, with --checkpoint=best, at the one whose *training* videos have
the highest Kendall's tau: a choice that looks neither at labels nor at the
validation videos that are reported. Evaluations with --max_embs do not count.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from absl import flags

from core import command_line
from core.errors import UserError
from evaluation import metrics

FLAGS = flags.FLAGS


class _Column(NamedTuple):
  """A column, or one for each of the numbers that tags have."""

  title: str  # {} is the number
  tag: str  # {dataset} and {number}
  numbers: str = ""  # a regular expression of what tasks write
  scale: float = 1  # of the number in the title
  shown: tuple[int, ...] | None = None  # of a run's sorted numbers; None = all


_FRACTION = r"\d\.\d+|\d[\d.]*e-\d+"
# Accuracies, R², tau and precision all are better when higher.
_COLUMNS = (
  _Column(
    "cls. {} %",
    "classification/val_{dataset}_{number}_accuracy",
    _FRACTION,
    scale=100,
  ),
  _Column(
    "{}-shot",
    "few_shot_cxn/val_{dataset}_{number}_accuracy",
    r"\d+",
    shown=(0, -1),
  ),
  _Column(
    "progression {} %",
    "event_completion/val_{dataset}_{number}_score",
    _FRACTION,
    scale=100,
    shown=(-1,),
  ),
  _Column("tau", "kendalls_tau/{dataset}_val_align_tau"),
  _Column("AP@{}", "retrieval/val_{dataset}_ap@{number}", r"\d+"),
)
# As it is measured with the default settings.
_SHORT_TITLES = {"progression 100 %": "progression"}
_TRAIN_TAU = "kendalls_tau/{}_train_align_tau"
_RULES = {
  "last": "at its last evaluated checkpoint",
  "best": (
    "at the checkpoint whose training videos have the highest Kendall's tau,"
    " or at its last if none has any"
  ),
}
_NONE = "-"
_LATEX = str.maketrans(
  {c: rf"\{c}" for c in "%_&#${}"}
  | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
  }
)
_MARKDOWN = str.maketrans({"|": r"\|"})

# Step -> tag -> value, as `metrics.read` gives it.
Steps = Mapping[int, Mapping[str, float]]
# Title of a row -> title of a column -> value; "step" is the checkpoint's.
Rows = Mapping[str, Mapping[str, float]]


def _found(
  column: _Column, steps: Steps, dataset: str = ".+"
) -> Iterator[re.Match]:
  """Tags of a column that a run has; `dataset` is a regular expression."""
  # What else tags of columns are made of stands for itself.
  pattern = column.tag.format(
    dataset=f"(?P<dataset>{dataset})", number=f"(?P<number>{column.numbers})"
  )
  tags = dict.fromkeys(tag for scalars in steps.values() for tag in scalars)
  return filter(None, (re.fullmatch(pattern, tag) for tag in tags))


def datasets_of(steps: Steps) -> list[str]:
  """Names of the data sets that a run was evaluated on."""
  matches = (match for column in _COLUMNS for match in _found(column, steps))
  return list(dict.fromkeys(match["dataset"] for match in matches))


def columns_of(runs: Iterable[Steps], dataset: str) -> dict[str, str]:
  """What there is to show of runs.

  Of few-shot classification these are the fewest and the most labeled videos
  of each run, of progression its largest fraction.

  Args:
    runs: Each as `metrics.read` gives it.
    dataset: Name of the data set.

  Returns:
    Title of a column -> tag, in the order of the table.
  """
  runs, columns = list(runs), {}
  for column in _COLUMNS:
    tags = {}
    for steps in runs:
      found = {
        float(match.groupdict().get("number") or 0): match[0]
        for match in _found(column, steps, re.escape(dataset))
      }
      numbers = sorted(found)
      shown = range(len(numbers)) if column.shown is None else column.shown
      tags |= {numbers[i]: found[numbers[i]] for i in shown if numbers}
    for number in sorted(tags):
      title = column.title.format(f"{column.scale * number:g}")
      columns[_SHORT_TITLES.get(title, title)] = tags[number]
  return columns


def row(
  steps: Steps,
  dataset: str,
  checkpoint: str = "last",
  columns: Mapping[str, str] | None = None,
) -> dict[str, float]:
  """What the table says of one run.

  Args:
    steps: The run, as `metrics.read` gives it.
    dataset: Name of the data set.
    checkpoint: `first`, `last`, or `best`: that of the highest Kendall's tau of
      the training videos (the last one, if none has any).
    columns: As `columns_of` gives them; None = those of this run alone.

  Returns:
    Title of a column -> value, NaN for what the run lacks.
  """
  if columns is None:
    columns = columns_of([steps], dataset)
  tau = _TRAIN_TAU.format(dataset)
  defined = {
    s: v[tau] for s, v in steps.items() if math.isfinite(v.get(tau, math.nan))
  }
  step = {
    "first": min(steps),
    "last": max(steps),
    "best": max(defined, key=defined.get, default=max(steps)),
  }[checkpoint]
  values = {t: steps[step].get(tag, math.nan) for t, tag in columns.items()}
  return {"step": step, **values}


def markdown(rows: Rows) -> str:
  """A Markdown table; see `table_cells`."""
  return markdown_of(table_cells(rows, "**{}**", _MARKDOWN))


def markdown_of(lines: Sequence[Sequence[str]]) -> str:
  """A Markdown table of equally many cells a line, the heading first."""
  rule = ["---", *["---:"] * (len(lines[0]) - 1)]
  return "\n".join(
    f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])
  )


def formatted(value: float) -> str:
  """A number as tables have it, a dash for NaN."""
  return _NONE if math.isnan(value) else f"{value:.3f}"


def latex(rows: Rows) -> str:
  """A LaTeX table for the booktabs package; see `table_cells`."""
  cells = table_cells(rows, r"\textbf{{{}}}", _LATEX)
  lines = [" & ".join(line) + r" \\" for line in cells]
  columns = "l" + "r" * (len(cells[0]) - 1)
  return "\n".join(
    [
      rf"\begin{{tabular}}{{{columns}}}",
      r"\toprule",
      lines[0],
      r"\midrule",
      *lines[1:],
      r"\bottomrule",
      r"\end{tabular}",
    ]
  )


def table_cells(
  rows: Rows, bold: str, escapes: Mapping[int, str]
) -> list[list[str]]:
  """The cells of a table of runs.

  Args:
    rows: Title of a run -> what `row` returned for it.
    bold: Format of the highest value of a column; equals share it.
    escapes: For `str.translate`, what special characters are written as.

  Returns:
    Lines of equally many cells, the heading first. Columns that no run has are
    left out, a value that one run lacks is a dash.
  """
  columns = dict.fromkeys(title for values in rows.values() for title in values)
  found = {
    title: [values.get(title, math.nan) for values in rows.values()]
    for title in columns
    if title != "step"
  }
  best = {
    title: max((round(v, 3) for v in of_runs if math.isfinite(v)), default=None)
    for title, of_runs in found.items()
    if not all(map(math.isnan, of_runs))
  }

  def cell(value: float, title: str) -> str:
    text = formatted(value)
    return bold.format(text) if round(value, 3) == best[title] else text

  return [
    ["run", "step", *(title.translate(escapes) for title in best)],
    *(
      [
        name.translate(escapes),
        f"{values['step']}",
        *(cell(values.get(title, math.nan), title) for title in best),
      ]
      for name, values in rows.items()
    ),
  ]


def report(logdirs: Sequence[str], checkpoint: str = "last") -> str:
  """Makes the tables of several runs.

  Args:
    logdirs: Their log directories.
    checkpoint: `last` or `best`, see `row`.

  Returns:
    A line that says which checkpoints are shown; for each data set its name, a
    Markdown and a LaTeX table.

  Raises:
    UserError: A log directory holds no metrics that the table shows.
  """
  runs = {logdir.rstrip("/"): metrics.read(logdir) for logdir in logdirs}
  datasets: dict[str, dict[str, Steps]] = {}
  for logdir, steps in runs.items():
    if not datasets_of(steps):
      raise UserError(f"{logdir}: {_nothing_to_show(logdir, steps)}")
    for dataset in datasets_of(steps):
      datasets.setdefault(dataset, {})[logdir] = steps
  parts = [
    f"Each run {_RULES[checkpoint]}; fractions, not per cent; the best of each"
    " column in bold."
  ]
  for dataset, of_logdirs in datasets.items():
    columns = columns_of(of_logdirs.values(), dataset)
    rows = {
      logdir: row(steps, dataset, checkpoint, columns)
      for logdir, steps in of_logdirs.items()
    }
    parts += [dataset, markdown(rows), latex(rows)]
  return "\n\n".join(parts)


def _nothing_to_show(logdir: str, steps: Steps) -> str:
  command = f"`python evaluate.py --logdir {logdir}`"
  if steps:
    return (
      "its metrics are none of those in the table (phases, progression, tau,"
      " retrieval); evaluate with such tasks in EVAL.TASKS"
    )
  if metrics.read(logdir, max_embs=1):
    return (
      "was evaluated on a part of the videos only (--max_embs), which does not"
      f" compare; run {command} without it"
    )
  return f"holds no metrics of a data set; run {command} first"


def main(logdirs: list[str]) -> None:
  """Prints the tables."""
  if not logdirs:
    raise UserError(
      "expected the log directories of evaluated runs: python -m"
      " evaluation.report LOGDIR [LOGDIR ...]"
    )
  print(report(logdirs, FLAGS.checkpoint))


if __name__ == "__main__":
  flags.DEFINE_enum(
    "checkpoint",
    "last",
    ["last", "best"],
    "The last evaluated checkpoint of a run, or that whose training videos have"
    " the highest Kendall's tau.",
  )
  command_line.run(main, takes_arguments=True)
