import importlib
import math
import pathlib

import pytest

import config as configuration
from benchmarks import evaluation
from errors import UserError

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_finds_what_it_measures(name):
  """They run for minutes, so the tests only ask that their imports hold."""
  assert callable(importlib.import_module(f"benchmarks.{name}").main)


@pytest.fixture
def tiny():
  """Train, val and configuration for seconds."""
  settings = ["EVAL.FEW_SHOT_NUM_LABELED=[1,2]", "EVAL.FEW_SHOT_NUM_EPISODES=3"]
  splits = [
    evaluation.made_videos(count, 20, 3, seed)
    for seed, count in ((1, 4), (2, 3))
  ]
  return *splits, configuration.load(settings=settings)


PLAIN = {
  "few_shot_classification": evaluation.plain_few_shot,
  "kendalls_tau": evaluation.plain_taus,
}


@pytest.mark.parametrize("task", PLAIN)
def test_evaluation_agrees_with_the_plain_formulation(task, tiny, capsys):
  evaluation.compare(task, PLAIN[task], *tiny)
  assert capsys.readouterr().out.startswith(f"{task}: plain ")


@pytest.mark.parametrize("task", PLAIN)
@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("change", [1e-9, -1e-9, math.nan])
def test_no_difference_from_the_plain_formulation_passes(
  task, which, change, tiny
):
  def changed(*arguments):
    scalars = PLAIN[task](*arguments)
    scalars[list(scalars)[which]] += change
    return scalars

  told = f"{task}: differs from the plain formulation by"
  with pytest.raises(UserError, match=told):
    evaluation.compare(task, changed, *tiny)


def test_the_plain_formulation_has_accuracies_and_intervals(tiny):
  assert set(evaluation.plain_few_shot(*tiny)) == {
    f"few_shot_cxn/{split}_made_{k}_{value}"
    for split in ("train", "val")
    for k in (1, 2)
    for value in ("accuracy", "ci")
  }
