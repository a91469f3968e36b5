import csv
import dataclasses
import io
import json
import urllib.parse
import urllib.request

import numpy as np
import pytest
from PIL import Image
from tensorboard import program

from embeddings.types import EmbeddedSplit
from evaluation import projector
from tests.helpers import warped_videos

TIMES = warped_videos.TIMES


def make_split(shape=(48, 64)):
  """Three videos of known brightness; the first has times and labels."""
  bright, curve = warped_videos.bright_frames, warped_videos.curve
  videos = [
    warped_videos.make(f"video\t{k}", bright(times, shape), curve(times))
    for k, times in enumerate(TIMES)
  ]
  labels = np.minimum(np.arange(12) // 4, 1) - 1
  videos[0] = dataclasses.replace(videos[0], times=TIMES[0], labels=labels)
  videos[1].embs[3] = np.nan
  return EmbeddedSplit(videos, ("reach",))


def read_table(text):
  return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


def test_tensorboard_serves_what_was_written(tmp_path):
  split = make_split()
  projector.write_projector(tmp_path, "toy_val", split)
  board = program.TensorBoard()
  options = (f"--logdir={tmp_path}", "--port=0", "--load_fast=false")
  board.configure((None, *options))
  url = f"{board.launch()}data/plugin/projector/"

  def fetch(route, **query):
    address = f"{url}{route}?{urllib.parse.urlencode({'run': '.'} | query)}"
    with urllib.request.urlopen(address, timeout=60) as answer:
      return answer.read()

  assert json.loads(fetch("runs")) == ["."]
  [info] = json.loads(fetch("info"))["embeddings"]
  assert info["tensorName"] == "toy_val" and info["tensorShape"] == [40, 3]
  embs = np.concatenate([v.embs[v.finite] for v in split.videos])
  served = np.frombuffer(fetch("tensor", name="toy_val"), np.float32)
  np.testing.assert_allclose(served.reshape(-1, 3), embs, rtol=1e-5)
  rows = read_table(fetch("metadata", name="toy_val").decode())
  assert len(rows) == 40
  first = {"video": "video 0", "frame": "0", "time": "0.000", "share": "0.000"}
  assert rows[0] == first | {"phase": "none"}
  assert rows[11]["time"] == "1.000" and rows[11]["phase"] == "0 reach"
  assert rows[12] == first | {"video": "video 1", "time": "unknown"} | {
    "phase": "none"
  }
  sprite = Image.open(io.BytesIO(fetch("sprite_image", name="toy_val")))
  width, height = info["sprite"]["singleImageDim"]
  assert (width, height) == (64, 48) and sprite.size == (7 * 64, 6 * 48)
  shades = np.concatenate(
    [40 + 160 * t[v.finite] for t, v in zip(TIMES, split.videos, strict=True)]
  )
  pixels = np.asarray(sprite.convert("L"))
  for number, shade in enumerate(shades):
    y, x = number // 7 * 48 + 24, number % 7 * 64 + 32
    assert pixels[y, x] == pytest.approx(shade, abs=3)


def test_a_name_replaces_itself_and_leaves_others(tmp_path):
  split = make_split()
  bare = [dataclasses.replace(v, frames=None) for v in split.videos[2:]]
  projector.write_projector(tmp_path, "a_val", split)
  projector.write_projector(tmp_path, "b_val", split)
  projector.write_projector(tmp_path, "a_val", EmbeddedSplit(bare))
  text = (tmp_path / "projector_config.pbtxt").read_text()
  assert text.count("tensor_name") == 2 and text.count("image_path") == 1
  tensors = np.loadtxt(tmp_path / "projector" / "a_val_tensors.tsv")
  assert tensors.shape == (9, 3)


@pytest.mark.parametrize("count, shown", [(5000, 5000), (5001, 2501)])
def test_points_are_limited(tmp_path, caplog, count, shown):
  caplog.set_level("INFO")
  embs = np.arange(2.0 * count).reshape(count, 2)
  video = warped_videos.make("long", embs, embs)
  split = EmbeddedSplit([dataclasses.replace(video, frames=None)])
  projector.write_projector(tmp_path, "toy", split)
  lines = (tmp_path / "projector" / "toy_metadata.tsv").read_text().splitlines()
  assert len(lines) == 1 + shown
  assert f"toy: {shown} of {count} frames go to the projector, without" in (
    caplog.text
  )


def test_a_sprite_of_all_points_is_one_that_browsers_take():
  side = int(np.ceil(np.sqrt(projector._MAX_POINTS))) * projector._THUMBNAIL
  assert side <= 8192


@pytest.mark.parametrize(
  "shape, size",
  [((48, 64), (64, 48)), ((224, 224), (64, 64)), ((900, 20), (8, 64))],
)
def test_thumbnails_keep_the_aspect_in_whole_blocks(shape, size):
  video = warped_videos.make("a", np.zeros((1, *shape, 3), np.uint8))
  assert projector._thumbnail_size(video) == size
