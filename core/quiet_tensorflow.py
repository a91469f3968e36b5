"""Import TensorFlow quietly and in little time; scripts import this first.

The static initializers of TensorFlow's libraries log a few lines before they
read TF_CPP_MIN_LOG_LEVEL, and would bury our one-line errors. They write to C's
`stderr`, which is the null device meanwhile. File descriptor 2 stays as it is,
and with it what Python prints. TF_CPP_MIN_LOG_LEVEL=0 shows everything.

Keras imports what it finds of `_UNUSED`, for wrappers and plots that nothing
here uses, so they are hidden meanwhile. What TensorFlow loads stays to the end;
the garbage collector never looks at it. The two halve the time of `--help`.

Unless TF_FORCE_GPU_ALLOW_GROWTH=false says otherwise, TensorFlow takes memory
of a GPU as it needs it, so that the evaluator runs beside the training.
"""

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator

# The name of C's `stderr`; on Windows it is no variable.
_STDERR = {"linux": "stderr", "darwin": "__stderrp"}.get(sys.platform)
_UNUSED = {"cv2", "matplotlib", "sklearn"}

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


@contextlib.contextmanager
def _in_little_time() -> Iterator[None]:
  """Hide what Keras does without; what is imported stays for good."""
  hidden = _UNUSED - sys.modules.keys()
  sys.modules |= dict.fromkeys(hidden)
  gc.disable()
  try:
    yield
  finally:
    for name in hidden:
      del sys.modules[name]
    gc.enable()
    gc.freeze()


# Also what a parent process has set: its children are quiet, too.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and _STDERR:
  libc = ctypes.CDLL(None)
  libc.fopen.restype = ctypes.c_void_p
  stderr = ctypes.c_void_p.in_dll(libc, _STDERR)
  original = stderr.value
  # It stays open: a library may have kept it.
  stderr.value = libc.fopen(os.devnull.encode(), b"w") or original
  try:
    with _in_little_time():
      import tensorflow  # noqa: F401
  finally:
    stderr.value = original
else:
  with _in_little_time():
    import tensorflow  # noqa: F401
