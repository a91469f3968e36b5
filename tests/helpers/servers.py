"""Servers on this machine that answer, stall or say nothing."""

import contextlib
import http.server
import socket
import threading
from types import SimpleNamespace


@contextlib.contextmanager
def serve(content, stall_at=None):
  """Serves bytes; with `stall_at`, only as many and then nothing more."""
  ended = threading.Event()
  server = SimpleNamespace(methods=[])

  class Handler(http.server.BaseHTTPRequestHandler):
    def _start(self):
      server.methods.append(self.command)
      self.send_response(200)
      self.send_header("Content-Length", str(len(content)))
      self.end_headers()

    do_HEAD = _start  # noqa: N815

    def do_GET(self):  # noqa: N802
      self._start()
      self.wfile.write(content[:stall_at])
      if stall_at is not None:
        ended.wait()

    def log_message(self, *arguments):
      pass

  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
    server.url = f"http://127.0.0.1:{listener.server_port}/weights.h5"
    thread = threading.Thread(target=listener.serve_forever, args=[0.01])
    thread.start()
    yield server
    ended.set()
    listener.shutdown()
    thread.join()


@contextlib.contextmanager
def listen_silently():
  """Accepts connections and never answers; gives the address."""
  with socket.create_server(("127.0.0.1", 0)) as listener:
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
