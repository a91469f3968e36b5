"""Imports TensorFlow as scripts want it, quiet and modest; they do so first.

TensorFlow's libraries print several lines to stderr while they load, which no
setting turns off and which would bury our own one-line errors. What goes wrong
while importing still raises. TF_CPP_MIN_LOG_LEVEL=0 shows everything.

Of a GPU's memory it takes what it needs instead of all, so that the evaluator
runs beside the training; TF_FORCE_GPU_ALLOW_GROWTH=false takes all.
"""

import os

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
  os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
  stderr = os.dup(2)
  silence = os.open(os.devnull, os.O_WRONLY)
  os.dup2(silence, 2)
  try:
    import tensorflow  # noqa: F401
  finally:
    os.dup2(stderr, 2)
    os.close(silence)
    os.close(stderr)
