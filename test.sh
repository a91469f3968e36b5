#!/usr/bin/env bash
# Environment, lint, tests. `--all` adds the tests marked slow; any other
# option goes to pytest.
set -euo pipefail
extra_requirements=requirements-beam.txt
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

selection=(-m "not slow")
options=()
for option in "$@"; do
  if [ "$option" = --all ]; then selection=(); else options+=("$option"); fi
done

ruff check .
ruff format --check .
exec python -m pytest "${selection[@]}" "${options[@]}"
