#!/usr/bin/env bash
# Environment, lint, tests, on up to four cores. `--all` adds the tests marked
# slow; any other option goes to pytest.
set -euo pipefail
extra_requirements="requirements-beam.txt requirements-browser.txt"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

selection=(-m "not slow")
options=()
for option in "$@"; do
  if [ "$option" = --all ]; then selection=(); else options+=("$option"); fi
done

ruff check .
ruff format --check .
# Bash before 4.4 takes an empty array for an unset one.
exec python -m pytest --numprocesses auto --maxprocesses 4 \
  ${selection[@]+"${selection[@]}"} ${options[@]+"${options[@]}"}
