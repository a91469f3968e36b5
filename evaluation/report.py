"""A table of runs, in the layout of the paper's.

Usage: python -m evaluation.report LOGDIR [LOGDIR ...]

One Markdown and one LaTeX table for each data set that the runs were evaluated
on, the best of each column in bold. Each run is shown at its last evaluated
checkpoint or, with --checkpoint=best, at the one whose *training* videos have
the highest Kendall's tau: a choice that looks neither at labels nor at the
validation videos that are reported. Evaluations with --max_embs do not count.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from absl import flags

from core import command_line
from core.errors import UserError
from evaluation import metrics
from evaluation.metric import Metric

FLAGS = flags.FLAGS


class _Column(NamedTuple):
  """A column, or one for each number that a metric has in its name."""

  title: str  # {} is the number
  task: str
  measure: str
  scale: float = 1  # of the number in the title
  shown: tuple[int, ...] | None = None  # of a run's sorted numbers; None = all


# Accuracies, R², tau and precision all are better when higher.
_COLUMNS = (
  _Column("cls. {} %", "classification", "{}_accuracy", 100),
  _Column("{}-shot", "few_shot_cxn", "{}_accuracy", shown=(0, -1)),
  _Column("progression {} %", "event_completion", "{}_score", 100, (-1,)),
  _Column("tau", "kendalls_tau", "align_tau"),
  _Column("AP@{}", "retrieval", "ap@{}"),
)
# As it is measured with the default settings.
_SHORT_TITLES = {"progression 100 %": "progression"}
_RULES = {
  "last": "at its last evaluated checkpoint",
  "best": (
    "at the checkpoint whose training videos have the highest Kendall's tau,"
    " or at its last if none has any"
  ),
}
_LATEX_NAMES = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum"}
_LATEX = str.maketrans(
  {c: rf"\{c}" for c in "%_&#${}"}
  | {c: rf"\text{name}{{}}" for c, name in _LATEX_NAMES.items()}
)
_MARKDOWN = str.maketrans({"|": r"\|"})

# Step -> tag -> value, as `metrics.read` gives it.
Steps = Mapping[int, Mapping[str, float]]
# Title of a run -> title of a column -> value; "step" is the checkpoint's.
Rows = Mapping[str, Mapping[str, float]]


def _find_metrics(column: _Column, steps: Steps) -> list[Metric]:
  """Find the metrics of a column that a run has, of all data sets."""
  tags = dict.fromkeys(tag for scalars in steps.values() for tag in scalars)
  wanted = (column.task, "val", column.measure)
  found = map(Metric.from_tag, tags)
  return [m for m in found if (m.task, m.split, m.measure) == wanted]


def list_datasets(steps: Steps) -> list[str]:
  """List the data sets that a run was evaluated on."""
  found = (m for column in _COLUMNS for m in _find_metrics(column, steps))
  return list(dict.fromkeys(metric.dataset for metric in found))


def list_columns(runs: Iterable[Steps], dataset: str) -> dict[str, str]:
  """List what there is to show of runs.

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
      metrics_of_run = _find_metrics(column, steps)
      found = {m.number: m.tag for m in metrics_of_run if m.dataset == dataset}
      numbers = sorted(found)
      shown = range(len(numbers)) if column.shown is None else column.shown
      tags |= {numbers[i]: found[numbers[i]] for i in shown if numbers}
    for number in sorted(tags):
      title = column.title.format(f"{column.scale * number:g}")
      columns[_SHORT_TITLES.get(title, title)] = tags[number]
  return columns


def summarize_run(
  steps: Steps,
  dataset: str,
  checkpoint: str = "last",
  columns: Mapping[str, str] | None = None,
) -> dict[str, float]:
  """Pick what the table says of one run.

  Args:
    steps: The run, as `metrics.read` gives it.
    dataset: Name of the data set.
    checkpoint: `first`, `last`, or `best`: that of the highest Kendall's tau of
      the training videos (the last one, if none has any).
    columns: As `list_columns` gives them; None = those of this run alone.

  Returns:
    Title of a column -> value, NaN for what the run lacks.
  """
  columns = columns or list_columns([steps], dataset)
  tau = Metric("kendalls_tau", "train", dataset, "align_tau").tag
  taus = {step: values.get(tau, math.nan) for step, values in steps.items()}
  defined = [step for step, value in taus.items() if math.isfinite(value)]
  step = {
    "first": min(steps),
    "last": max(steps),
    "best": max(defined, key=taus.get, default=max(steps)),
  }[checkpoint]
  values = {t: steps[step].get(tag, math.nan) for t, tag in columns.items()}
  return {"step": step, **values}


def format_markdown(rows: Rows) -> str:
  """Format runs as a Markdown table, the best of each column in bold."""
  return join_markdown(_table_cells(rows, "**{}**", _MARKDOWN))


def join_markdown(lines: Sequence[Sequence[str]]) -> str:
  """Join equally many cells a line, the heading first, to a Markdown table."""
  rule = ["---", *["---:"] * (len(lines[0]) - 1)]
  table = (lines[0], rule, *lines[1:])
  return "\n".join(f"| {' | '.join(line)} |" for line in table)


def format_number(value: float) -> str:
  """Format a number as tables have it, NaN as a dash."""
  return "-" if math.isnan(value) else f"{value:.3f}"


def format_latex(rows: Rows) -> str:
  """Format runs as a LaTeX table for the booktabs package."""
  cells = _table_cells(rows, r"\textbf{{{}}}", _LATEX)
  heading, *lines = [" & ".join(line) + r" \\" for line in cells]
  start = rf"\begin{{tabular}}{{l{'r' * (len(cells[0]) - 1)}}}"
  end = [r"\bottomrule", r"\end{tabular}"]
  return "\n".join([start, r"\toprule", heading, r"\midrule", *lines, *end])


def _table_cells(
  rows: Rows, bold: str, escapes: Mapping[int, str]
) -> list[list[str]]:
  """Make the cells of a table of runs.

  Args:
    rows: Title of a run -> what `summarize_run` returned for it.
    bold: Format of the highest value of a column; equals share it.
    escapes: For `str.translate`, what special characters are written as.

  Returns:
    Lines of equally many cells, the heading first. Columns that no run has are
    left out, a value that one run lacks is a dash.
  """
  titles = dict.fromkeys(title for values in rows.values() for title in values)
  columns = [
    ["run", *(name.translate(escapes) for name in rows)],
    ["step", *(f"{run['step']}" for run in rows.values())],
  ]
  for title in titles:
    values = [round(run.get(title, math.nan), 3) for run in rows.values()]
    if title == "step" or all(map(math.isnan, values)):
      continue
    best = max(filter(math.isfinite, values), default=None)
    formats = (bold if value == best else "{}" for value in values)
    cells = map(str.format, formats, map(format_number, values))
    columns.append([title.translate(escapes), *cells])
  return [list(line) for line in zip(*columns, strict=True)]


def report(logdirs: Sequence[str], checkpoint: str = "last") -> str:
  """Format the tables of several runs.

  Args:
    logdirs: Their log directories.
    checkpoint: `last` or `best`, see `summarize_run`.

  Returns:
    A line that says which checkpoints are shown; for each data set its name, a
    Markdown and a LaTeX table.

  Raises:
    UserError: A log directory holds no metrics that the table shows.
  """
  datasets: dict[str, dict[str, Steps]] = {}
  for logdir in (name.rstrip("/") for name in logdirs):
    steps = metrics.read(logdir)
    if not (found := list_datasets(steps)):
      raise _nothing_to_show(logdir, steps)
    for dataset in found:
      datasets.setdefault(dataset, {})[logdir] = steps
  parts = [
    f"Each run {_RULES[checkpoint]}; fractions, not per cent; the best of each"
    " column in bold."
  ]
  for dataset, by_logdir in datasets.items():
    columns = list_columns(by_logdir.values(), dataset)
    rows = {
      logdir: summarize_run(steps, dataset, checkpoint, columns)
      for logdir, steps in by_logdir.items()
    }
    parts += [dataset, format_markdown(rows), format_latex(rows)]
  return "\n\n".join(parts)


def _nothing_to_show(logdir: str, steps: Steps) -> UserError:
  command = f"`python evaluate.py --logdir {logdir}`"
  if steps:
    what = (
      "metrics of phases, progression, tau or retrieval, received others;"
      " evaluate with such tasks in EVAL.TASKS"
    )
  elif metrics.read(logdir, max_embs=1):
    what = (
      "an evaluation of all videos, received one of a part of the videos only"
      f" (--max_embs), which does not compare; run {command} without it"
    )
  else:
    what = f"metrics of a data set, received none; run {command} first"
  return UserError(f"{logdir}: expected {what}")


def main(logdirs: list[str]) -> None:
  """Print the tables."""
  if not logdirs:
    raise UserError(
      "LOGDIR: expected the log directories of evaluated runs, received none;"
      " run python -m evaluation.report LOGDIR [LOGDIR ...]"
    )
  print(report(logdirs, FLAGS.checkpoint))


if __name__ == "__main__":
  flags.DEFINE_enum(
    "checkpoint",
    "last",
    ["last", "best"],
    "The last evaluated checkpoint, or that of the training videos' best tau.",
  )
  command_line.run(main, takes_arguments=True)
