"""A table of runs, in the layout of the paper's.

Usage: python -m evaluation.report LOGDIR [LOGDIR ...]

One Markdown and one LaTeX table for each data set that the runs were evaluated
on, the best of each column in bold. Each run is shown at its last evaluated
checkpoint or, with --checkpoint=best, at the one whose *training* videos have
the highest Kendall's tau: a choice that looks neither at labels nor at the
validation videos that are reported.
"""

import math
import re
from collections.abc import Mapping, Sequence

from absl import flags

import errors
import metrics
from errors import UserError

FLAGS = flags.FLAGS

# Title and tag; accuracies, R², tau and precision all are better when higher.
COLUMNS = {
  "cls. 10 %": "classification/val_{}_0.1_accuracy",
  "cls. 50 %": "classification/val_{}_0.5_accuracy",
  "cls. 100 %": "classification/val_{}_1.0_accuracy",
  "1-shot": "few_shot_cxn/val_{}_1_accuracy",
  "10-shot": "few_shot_cxn/val_{}_10_accuracy",
  "progression": "event_completion/val_{}_1.0_score",
  "tau": "kendalls_tau/{}_val_align_tau",
  "AP@5": "retrieval/val_{}_ap@5",
  "AP@10": "retrieval/val_{}_ap@10",
  "AP@15": "retrieval/val_{}_ap@15",
}
_TRAIN_TAU = "kendalls_tau/{}_train_align_tau"
_NONE = "-"

# Title of a row -> title of a column -> value; "step" is the checkpoint's.
Rows = Mapping[str, Mapping[str, float]]


def datasets_of(steps: Mapping[int, Mapping[str, float]]) -> list[str]:
  """Names of the data sets that a run was evaluated on."""
  patterns = [
    re.compile(re.escape(tag).replace(r"\{\}", "(.+)"))
    for tag in COLUMNS.values()
  ]
  tags = [tag for scalars in steps.values() for tag in scalars]
  found = (p.fullmatch(tag) for tag in tags for p in patterns)
  return list(dict.fromkeys(match[1] for match in found if match))


def row(
  steps: Mapping[int, Mapping[str, float]],
  dataset: str,
  checkpoint: str = "last",
) -> dict[str, float]:
  """What the table says of one run.

  Args:
    steps: Step -> tag -> value, as `metrics.read` gives it.
    dataset: Name of the data set.
    checkpoint: `first`, `last`, or `best`: that of the highest Kendall's tau of
      the training videos (the last one, if none has any).

  Returns:
    Title of a column -> value; what the run lacks is left out.
  """
  tau = _TRAIN_TAU.format(dataset)
  defined = {
    s: v[tau] for s, v in steps.items() if not math.isnan(v.get(tau, math.nan))
  }
  step = {
    "first": min(steps),
    "last": max(steps),
    "best": max(defined, key=defined.get, default=max(steps)),
  }[checkpoint]
  values = {
    title: steps[step].get(tag.format(dataset), math.nan)
    for title, tag in COLUMNS.items()
  }
  known = {title: v for title, v in values.items() if not math.isnan(v)}
  return {"step": step, **known}


def markdown(rows: Rows) -> str:
  """A Markdown table; see `table_cells`."""
  lines = table_cells(rows, "**{}**")
  lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex(rows: Rows) -> str:
  """A LaTeX table for the booktabs package; see `table_cells`."""
  lines = [
    " & ".join(re.sub(r"([%_&#])", r"\\\1", cell) for cell in line) + r" \\"
    for line in table_cells(rows, r"\textbf{{{}}}")
  ]
  columns = "l" + "r" * (len(table_cells(rows, "{}")[0]) - 1)
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


def table_cells(rows: Rows, bold: str) -> list[list[str]]:
  """The cells of a table of runs.

  Args:
    rows: Title of a run -> what `row` returned for it.
    bold: Format of the highest value of a column; equals share it.

  Returns:
    Lines of equally many cells, the heading first. Columns that no run has are
    left out, a value that one run lacks is a dash.
  """
  titles = [t for t in COLUMNS if any(t in values for values in rows.values())]
  best = {
    title: max(round(v[title], 3) for v in rows.values() if title in v)
    for title in titles
  }

  def cell(values: Mapping[str, float], title: str) -> str:
    if title not in values:
      return _NONE
    text = f"{values[title]:.3f}"
    is_best = round(values[title], 3) == best[title]
    return bold.format(text) if is_best else text

  return [
    ["run", "step", *titles],
    *(
      [name, f"{values['step']}", *(cell(values, title) for title in titles)]
      for name, values in rows.items()
    ),
  ]


def report(logdirs: Sequence[str], checkpoint: str = "last") -> str:
  """Makes the tables of several runs.

  Args:
    logdirs: Their log directories.
    checkpoint: `last` or `best`, see `row`.

  Returns:
    For each data set its name, a Markdown and a LaTeX table.

  Raises:
    UserError: A log directory holds no metrics.
  """
  runs = {logdir.rstrip("/"): metrics.read(logdir) for logdir in logdirs}
  for logdir, steps in runs.items():
    if not datasets_of(steps):
      raise UserError(
        f"{logdir}: holds no metrics of a data set; run `python evaluate.py"
        f" --logdir {logdir}` first"
      )
  datasets = {d: None for steps in runs.values() for d in datasets_of(steps)}
  parts = []
  for dataset in datasets:
    rows = {
      logdir: row(steps, dataset, checkpoint)
      for logdir, steps in runs.items()
      if dataset in datasets_of(steps)
    }
    parts += [dataset, markdown(rows), latex(rows)]
  return "\n\n".join(parts)


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
  errors.run(main, takes_arguments=True)
