# Sourced by run.sh and test.sh: makes .venv with the pinned requirements of
# requirements.txt and of the file $extra_requirements, if that is set.
# Afterwards `python` is that of .venv.

project="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$project"

if ! command -v python3 >/dev/null; then
  echo "error: python3 not found; install Python 3.11 or newer" >&2
  exit 1
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: $(command -v python3) is $(python3 --version); Python 3.11 or" \
    "newer is needed, put one first in PATH" >&2
  exit 1
fi

# A complete environment holds a copy of the requirements it was made from.
for requirements in requirements.txt ${extra_requirements:-}; do
  cmp -s "$requirements" ".venv/$requirements" && continue
  echo "Installing the pinned $requirements into $project/.venv ..."
  [ -x .venv/bin/python ] || python3 -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    -r "$requirements"
  cp "$requirements" ".venv/$requirements"
done
export PATH="$project/.venv/bin:$PATH"
