import os
import re
import subprocess
import sys

import pytest
import tqdm.std

from core.progress import progress
from tests.helpers.paths import ROOT

reason = "Windows has no pseudo-terminals"
pty = pytest.importorskip("pty", reason=reason)
termios = pytest.importorskip("termios", reason=reason)

SCRIPT = """
import time
from core.progress import progress
for _ in progress(range(4), "drawing"):
  time.sleep(0.15)
"""


def run(stderr):
  command = [sys.executable, "-c", SCRIPT]
  return subprocess.run(command, cwd=ROOT, stderr=stderr, check=True)


def test_a_terminal_shows_what_is_done_and_the_time_left():
  leader, follower = pty.openpty()
  termios.tcsetwinsize(follower, (24, 80))
  os.set_blocking(leader, False)
  run(follower)
  shown = os.read(leader, 1 << 16).decode()
  os.close(leader)
  os.close(follower)
  assert "drawing" in shown and "/4 [" in shown and "frame" in shown
  assert "50%" in shown and re.search(r"\d:\d\d<\d\d:\d\d", shown)


def test_a_file_gets_nothing_of_short_work(tmp_path):
  with (tmp_path / "log").open("wb") as file:
    run(file)
  assert (tmp_path / "log").read_bytes() == b""


def test_a_file_gets_a_line_a_minute_of_long_work(monkeypatch, capsys):
  now = [0.0]
  monkeypatch.setattr(tqdm.std, "time", lambda: now[0])
  for _ in progress(range(8), "training"):
    now[0] += 25
  shown = capsys.readouterr().err.replace("\r", "").splitlines()
  lines = [line.strip() for line in shown if line.strip()]
  assert [line.partition(", ")[0] for line in lines] == [
    f"training: {number}/8" for number in (3, 6, 8)
  ]
  assert lines[0] == "training: 3/8, 02:05 left"


def test_all_items_come_through():
  assert list(progress(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
