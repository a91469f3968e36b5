#!/usr/bin/env bash
# Makes the pictures of README and docs from what `bash run.sh` left in a folder.
# Needs Chromium (Debian, Ubuntu: apt install chromium).
#
# Usage: bash docs/make_pictures.sh [FOLDER]     FOLDER of run.sh, default: demo
set -euo pipefail
demo="$(realpath "${1:-"$(dirname "${BASH_SOURCE[0]}")/../demo"}")"
extra_requirements=requirements-browser.txt
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

for picture in docs/aligned.gif docs/aligned.png; do
  python visualize_alignment.py --embs_path "$demo/embeddings.npy" \
    --video_path "$picture" --use_dtw
done
python visualize_alignment.py --embs_path "$demo/embeddings.npy" \
  --html_path "$work/viewer.html"
python - "file://$work/viewer.html" docs/viewer.png <<'EOF'
import shutil
import sys

from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
  path = shutil.which("chromium")
  browser = playwright.chromium.launch(executable_path=path)
  page = browser.new_page(viewport={"width": 1280, "height": 900})
  page.goto(sys.argv[1])
  page.keyboard.press("5")  # The middle of the reference.
  page.wait_for_function(
    "!document.getElementById('summary').textContent.includes('Aligning')"
  )
  page.screenshot(path=sys.argv[2])
EOF
python -m evaluation.plot "$demo/logs" --out "$work"
cp "$work/few_shot_pouring.png" docs/few_shot.png
