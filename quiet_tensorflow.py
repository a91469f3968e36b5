"""Imports TensorFlow without its notes on start-up; scripts import it first.

TensorFlow's libraries print several lines to stderr while they load, which no
setting turns off and which would bury our own one-line errors. What goes wrong
while importing still raises. TF_CPP_MIN_LOG_LEVEL=0 shows everything.
"""

import os

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
