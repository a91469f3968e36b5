"""Import TensorFlow without its start-up messages; scripts import this first.

The static initializers of TensorFlow's libraries log a few lines before they
read TF_CPP_MIN_LOG_LEVEL, and would bury our one-line errors. They write to C's
`stderr`, which is the null device meanwhile. File descriptor 2 stays as it is,
and with it what Python prints. TF_CPP_MIN_LOG_LEVEL=0 shows everything.

Unless TF_FORCE_GPU_ALLOW_GROWTH=false says otherwise, TensorFlow takes memory
of a GPU as it needs it, so that the evaluator runs beside the training.
"""

import ctypes
import os
import sys

# The name of C's `stderr`; on Windows it is no variable.
_STDERR = {"linux": "stderr", "darwin": "__stderrp"}.get(sys.platform)

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# Also what a parent process has set: its children are quiet, too.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and _STDERR:
  libc = ctypes.CDLL(None)
  libc.fopen.restype = ctypes.c_void_p
  stderr = ctypes.c_void_p.in_dll(libc, _STDERR)
  original = stderr.value
  # It stays open: a library may have kept it.
  stderr.value = libc.fopen(os.devnull.encode(), b"w") or original
  try:
    import tensorflow  # noqa: F401
  finally:
    stderr.value = original
