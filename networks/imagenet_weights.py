"""ImageNet weights of ResNet50V2: in Keras's cache, or from its server.

Without a network this ends soon, whether connections are refused, names are not
found, or a proxy or server never answers.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import socket
import sys
import threading
import urllib.request

import keras
from absl import logging

from core.files import locked

_FILE = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
URL = (
  "https://storage.googleapis.com/tensorflow/keras-applications/resnet/" + _FILE
)
_MD5 = "fac2f116257151a9d068a22e544a4917"
# Longest waits: for the server's first answer, and for more of a file.
_ANSWER_SECONDS, _STALL_SECONDS = 5, 30


def fetch_weights() -> pathlib.Path:
  """Find the weights in Keras's cache, or have Keras download them.

  Returns:
    The file, in the place where Keras itself looks for it.

  Raises:
    Exception: They are not there and can't be downloaded; Keras and Python
      raise many types.
  """
  home = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
  if not os.access(home, os.W_OK):
    home = pathlib.Path("/tmp/.keras")  # As in Keras.
  path = home / "models" / _FILE
  # Another process may be downloading them.
  with locked(path):
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.md5(data, usedforsecurity=False).hexdigest() == _MD5:
      return path
    logging.info(
      "Downloading ImageNet weights (%.0f MB) from %s; they are kept in %s",
      *(_ask_size() / 1e6, URL, path),
    )
    if not sys.stdout.isatty():
      # In a file, Keras's bar would be hundreds of lines.
      keras.config.disable_interactive_logging()
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
      options = {"cache_subdir": "models", "cache_dir": str(home)}
      keras.utils.get_file(_FILE, URL, file_hash=_MD5, **options)
    finally:
      socket.setdefaulttimeout(timeout)
  return path


def _ask_size() -> int:
  """Ask the server for the size of the file in bytes."""
  answer: concurrent.futures.Future[int] = concurrent.futures.Future()

  def ask() -> None:
    request = urllib.request.Request(URL, method="HEAD")
    try:
      with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as reply:
        answer.set_result(int(reply.headers.get("Content-Length", 0)))
    except Exception as error:
      answer.set_exception(error)

  # No timeout reaches the search for the server's name: a thread that is left
  # behind does.
  threading.Thread(target=ask, daemon=True).start()
  try:
    return answer.result(_ANSWER_SECONDS)
  except TimeoutError as error:
    raise TimeoutError(f"no answer in {_ANSWER_SECONDS} seconds") from error
