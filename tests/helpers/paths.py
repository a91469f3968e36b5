"""Where tests find the checkout and the golden numbers."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN_DIR = ROOT / "tests" / "golden"
