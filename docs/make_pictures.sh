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

# A gif would have 15 MB; this has less than one.
python - "$demo/aligned.mp4" docs/aligned.webp <<'EOF'
import sys

import av
from PIL import Image

with av.open(sys.argv[1]) as container:
  rate = float(container.streams.video[0].average_rate)
  images = [frame.to_image() for frame in container.decode(video=0)][::2]
width = 720
size = width, round(width * images[0].height / images[0].width)
images = [image.resize(size, Image.Resampling.LANCZOS) for image in images]
options = {"duration": round(2000 / rate), "loop": 0, "quality": 50, "method": 6}
images[0].save(
  sys.argv[2], save_all=True, append_images=images[1:], **options
)
EOF
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
  page.locator("#summary", has_text="order of the reference").wait_for()
  page.screenshot(path=sys.argv[2])
EOF
python -m evaluation.plot "$demo/logs" --out "$work"
cp "$work/few_shot_pouring.png" docs/few_shot.png
