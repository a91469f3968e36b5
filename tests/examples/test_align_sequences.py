import re
import subprocess
import sys

from tests.helpers.paths import ROOT


def test_example_aligns_sequences_that_are_not_video():
  source = (ROOT / "examples/align_sequences.py").read_text()
  assert len(source.splitlines()) <= 60
  printed = subprocess.check_output(
    [sys.executable, "-m", "examples.align_sequences"], cwd=ROOT, text=True
  )
  before, after = map(float, re.findall(r"\d\.\d+", printed))
  assert after < 0.4 * before
