# Sourced by run.sh and test.sh: makes .venv with the pinned requirements of
# requirements.txt and of the files in $extra_requirements, if that is set.
# Afterwards `python` is that of .venv.

project="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$project"

# Those that the pinned TensorFlow has packages for.
versions="3.11 to 3.13"
is_supported() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
} 2>/dev/null

base_python=
for name in python3 python3.13 python3.12 python3.11; do
  if is_supported "$name"; then
    base_python=$name
    break
  fi
done
if [ -z "$base_python" ]; then
  if command -v python3 >/dev/null; then
    echo "error: $(command -v python3) is $(python3 --version); Python" \
      "$versions is needed, put one first in PATH" >&2
  else
    echo "error: python3 not found; install Python $versions" >&2
  fi
  exit 1
fi

# An interrupted or failed start leaves .venv without pip, and another Python
# may have made it.
if ! is_supported .venv/bin/python ||
  ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  if ! "$base_python" -m venv --clear .venv >/dev/null 2>&1; then
    echo "error: $base_python -m venv can't make $project/.venv; install" \
      "python3-venv (Debian, Ubuntu: apt install python3-venv) or make room" >&2
    exit 1
  fi
fi

# A complete environment holds a copy of the requirements it was made from.
for requirements in requirements.txt ${extra_requirements:-}; do
  cmp -s "$requirements" ".venv/$requirements" && continue
  echo "Installing the pinned $requirements into $project/.venv ..."
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    -r "$requirements"
  cp "$requirements" ".venv/$requirements"
done
export PATH="$project/.venv/bin:$PATH"
