import hashlib
import socket
import threading
import urllib.error
import urllib.request

import pytest

from networks import imagenet_weights
from tests.helpers import servers

FILE = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
CONTENT = bytes(range(256)) * 8000
PROXIES = [f"{kind}_proxy" for kind in ("http", "https", "all")]


@pytest.fixture(autouse=True)
def cached(monkeypatch, tmp_path):
  """The place of the file in a cache that is empty; no proxy is set."""
  monkeypatch.setenv("KERAS_HOME", str(tmp_path))
  digest = hashlib.md5(CONTENT).hexdigest()
  monkeypatch.setattr(imagenet_weights, "_MD5", digest)
  for name in PROXIES:
    monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(name.upper(), raising=False)
  # The first request fixes the proxies of all.
  monkeypatch.setattr(urllib.request, "_opener", None)
  return tmp_path / "models" / FILE


def test_a_download_is_told_in_one_line_and_kept(
  cached, monkeypatch, caplog, capsys
):
  with servers.serve(CONTENT) as server:
    monkeypatch.setattr(imagenet_weights, "URL", server.url)
    with caplog.at_level("INFO"):
      assert imagenet_weights.fetch_weights() == cached
    assert cached.read_bytes() == CONTENT
    ours = [
      x for x in caplog.records if x.pathname == imagenet_weights.__file__
    ]
    assert [record.getMessage() for record in ours] == [
      f"Downloading ImageNet weights (2 MB) from {server.url}; they are kept in"
      f" {cached}"
    ]
    assert capsys.readouterr().out == ""
    # What was cut off is downloaded again, what is whole is not asked for.
    cached.write_bytes(CONTENT[:-1])
    for _ in range(2):
      assert imagenet_weights.fetch_weights().read_bytes() == CONTENT
    assert server.methods == ["HEAD", "GET"] * 2
  assert [path.name for path in cached.parent.iterdir()] == [FILE]


def test_a_connection_that_is_refused(monkeypatch, cached):
  with servers.listen_silently() as url:
    pass
  monkeypatch.setattr(imagenet_weights, "URL", url)
  with pytest.raises(urllib.error.URLError, match="refused"):
    imagenet_weights.fetch_weights()
  assert not cached.exists()


@pytest.mark.parametrize("silent", ["server", "proxy", "name server"])
def test_silence_ends(silent, monkeypatch, cached):
  monkeypatch.setattr(imagenet_weights, "_ANSWER_SECONDS", 0.2)
  ended = threading.Event()
  with servers.listen_silently() as url:
    if silent == "server":
      monkeypatch.setattr(imagenet_weights, "URL", url)
    elif silent == "proxy":
      monkeypatch.setenv("https_proxy", url)
    else:
      monkeypatch.setattr(socket, "getaddrinfo", lambda *_: ended.wait())
    # By the clock of either the answer or the connection.
    error = "no answer in 0.2 seconds|timed out"
    with pytest.raises(OSError, match=error):
      imagenet_weights.fetch_weights()
  ended.set()
  assert not cached.exists()


@pytest.mark.parametrize("fault", ["stalled", "other file"])
def test_a_download_that_fails(fault, monkeypatch, cached):
  monkeypatch.setattr(imagenet_weights, "_STALL_SECONDS", 0.2)
  stall_at, other = {"stalled": (1000, b""), "other file": (None, b"x")}[fault]
  with servers.serve(CONTENT + other, stall_at) as server:
    monkeypatch.setattr(imagenet_weights, "URL", server.url)
    error = {"stalled": "timed out", "other file": "corrupted file"}[fault]
    with pytest.raises((OSError, ValueError), match=error):
      imagenet_weights.fetch_weights()
  assert socket.getdefaulttimeout() is None
