"""What may import what: the rooms of docs/architecture.md."""

import ast
import graphlib
import sys

from tests.helpers.paths import ROOT

DOORS = {
  **{"visualize_alignment": "visualization", "evaluate": "evaluation"},
  **{"extract_embeddings": "embeddings", "train": "training"},
  **{"models": "networks", "datasets": "data", "config": "core"},
}
# From top to bottom. A module imports from its own floor and those below.
FLOORS = (
  *("applications", "visualize_alignment", "visualization"),
  *("evaluate", "evaluation", "extract_embeddings", "embeddings"),
  *("train", "training", "algos", "models", "networks", "datasets", "data"),
  *("media", "config", "core"),
)
# Training names an unknown task before it starts, not days later.
EXCEPTIONS = {("train", "evaluation")}
# Beside the floors: the only top-level names of ours that each imports.
BESIDE = {
  "tcc": set(),
  "dataset_preparation": {"data", "media", "config", "core"},
  "benchmarks": {*FLOORS, "tcc", "dataset_preparation"},
  "examples": {*FLOORS, "tcc", "dataset_preparation"},
}
PREPARATION_USERS = {"applications", "benchmarks", "examples"}


def list_modules():
  """Path of every module that is no test, by its full name."""
  paths = [*ROOT.glob("*.py")]
  for folder in {path.parent for path in ROOT.glob("[!.]*/*.py")}:
    paths += folder.rglob("*.py")
  names = [path.relative_to(ROOT).with_suffix("").parts for path in paths]
  return {
    ".".join(parts).removesuffix(".__init__"): path
    for parts, path in zip(names, paths, strict=True)
    if parts[0] != "tests"
  }


def find_imports(path):
  """Full names of the modules a file imports, wherever in the file."""
  for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      names = [f"{node.module}.{alias.name}" for alias in node.names]
      yield from (n if n in MODULES else node.module for n in names)


MODULES = list_modules()
IMPORTS = {name: set(find_imports(path)) for name, path in MODULES.items()}
ARROWS = {
  (name.split(".")[0], other.split(".")[0])
  for name, others in IMPORTS.items()
  for other in others
}


def is_allowed(user, used):
  if used == "dataset_preparation":
    return user in PREPARATION_USERS
  if user in BESIDE:
    return used in BESIDE[user]
  down = used in FLOORS and FLOORS.index(user) < FLOORS.index(used)
  return down or used == "tcc" or (user, used) in EXCEPTIONS


def test_every_module_has_its_place():
  assert {path.stem for path in ROOT.glob("*.py")} == set(DOORS)
  assert set(DOORS.values()) <= {user for user, _ in ARROWS}
  assert {user for user, _ in ARROWS} <= {*FLOORS, *BESIDE}


def test_imports_go_one_way():
  ours = {*FLOORS, *BESIDE, "tests"}
  arrows = {(a, b) for a, b in ARROWS if b in ours and a != b}
  assert [arrow for arrow in arrows if not is_allowed(*arrow)] == []


def test_imports_make_no_circle():
  # A CycleError names the modules of the circle.
  graphlib.TopologicalSorter(
    {name: others & MODULES.keys() for name, others in IMPORTS.items()}
  ).prepare()


def test_the_library_needs_tensorflow_and_numpy_only():
  needed = {used for user, used in ARROWS if user == "tcc"}
  assert needed <= {"tcc", "tensorflow", "numpy", *sys.stdlib_module_names}
