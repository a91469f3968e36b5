import re

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.processes import run_python


@pytest.mark.slow
def test_example_aligns_sequences_that_are_not_video():
  source = (ROOT / "examples/align_sequences.py").read_text()
  assert len(source.splitlines()) <= 60
  printed = run_python("-m", "examples.align_sequences").stdout
  before, after = map(float, re.findall(r"\d\.\d+", printed))
  assert after < 0.4 * before
