"""A real browser, where one is installed."""

import contextlib
import os
import shutil

import pytest

# Set where the browser was installed for the tests.
REQUIRED = "TESTS_REQUIRE_BROWSER"


def _miss(what):
  give_up = pytest.fail if os.environ.get(REQUIRED) else pytest.skip
  give_up(f"expected a browser for this test; do {what}")


@contextlib.contextmanager
def open_browser():
  """Yields a headless Chromium; skips the test where there is none.

  Fails it instead if the environment says that there has to be one.
  """
  chromium = shutil.which("chromium")
  if not chromium:
    _miss("`apt-get install chromium` as root")
  try:
    from playwright.sync_api import sync_playwright
  except ImportError:
    _miss("`pip install -r requirements-browser.txt`")
  with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium)
    yield browser
    browser.close()
