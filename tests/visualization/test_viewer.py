import base64
import dataclasses
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import embeddings
from core.errors import UserError
from embeddings.types import EmbeddedSplit
from tests.helpers import coded_videos, warped_videos
from tests.helpers.processes import run_python
from visualization.label_transfer import predict_labels
from visualization.viewer import write_page, write_viewer


class Page:
  """What a page holds."""

  def __init__(self, path):
    self.text = path.read_text(encoding="utf-8")
    blocks = re.findall(
      r'<script id="(.+?)" type=".+?">(.*?)</script>', self.text
    )
    self.blocks = dict(blocks)
    self.data = json.loads(self.blocks["data"])
    self.videos = self.data["videos"]

  def sheets(self, video):
    names = [n for n in self.blocks if n.startswith(f"sheet-{video}-")]
    assert names == [f"sheet-{video}-{s}" for s in range(len(names))]
    content = [base64.b64decode(self.blocks[name]) for name in names]
    return [Image.open(io.BytesIO(sheet)).convert("RGB") for sheet in content]

  def pictures(self, video):
    """All places of all sheets of a video, in order."""
    width, height = (self.videos[video][key] for key in ("width", "height"))
    for sheet in self.sheets(video):
      for y in range(0, sheet.height, height):
        for x in range(0, sheet.width, width):
          yield np.asarray(sheet.crop((x, y, x + width, y + height)))


@pytest.fixture
def write(tmp_path):
  def write(videos=None, class_names=(), **options):
    path = tmp_path / "page.html"
    videos = coded_videos.make() if videos is None else videos
    size = write_viewer(path, EmbeddedSplit(videos, class_names), **options)
    assert size == path.stat().st_size
    return Page(path)

  return write


class LazyFrames:
  """Frames that are decoded when they are asked for."""

  def __init__(self, frames):
    self.frames = frames
    self.shape = frames.shape
    self.asked = []

  def __getitem__(self, index):
    self.asked.append(index)
    return self.frames[index]


@pytest.mark.parametrize("stride", [1, 3])
def test_sheets_hold_the_frames_in_order(write, stride):
  videos = coded_videos.make()
  lazy = [LazyFrames(video.frames) for video in videos]
  videos = [
    dataclasses.replace(video, frames=frames)
    for video, frames in zip(videos, lazy, strict=True)
  ]
  page = write(videos, stride=stride)
  assert page.data["layout"]["stride"] == stride
  for v, video in enumerate(videos):
    shown = list(range(0, len(video.embs), stride))
    pictures = list(page.pictures(v))[: len(shown)]
    assert [coded_videos.decode(p[24, 32]) for p in pictures] == shown
    assert lazy[v].asked == shown
    assert page.videos[v]["numSheets"] == len(page.sheets(v))


def test_frames_are_fitted_and_never_enlarged(write):
  videos = coded_videos.make(lengths=(5,) * 5, size=(90, 50))
  for width, expected in ((160, (50, 90)), (20, (20, 36))):
    page = write(videos, width=width)
    assert {(v["width"], v["height"]) for v in page.videos} == {expected}
    rows = page.sheets(0)[0].height // expected[1]
    assert (rows, page.sheets(0)[0].width) == (1, 6 * expected[0])


def test_embeddings_and_what_is_known_of_frames(write):
  videos = coded_videos.make()
  times = videos[1].steps / 30.0
  times[4] = np.nan
  videos[1] = dataclasses.replace(videos[1], times=times)
  page = write(videos, notes=["It can't be."], use_dtw=True, reference=3)
  for v, video in enumerate(videos):
    content = base64.b64decode(page.blocks[f"embeddings-{v}"])
    np.testing.assert_array_equal(
      np.frombuffer(content, "<f4"), video.embs.flat
    )
    assert page.videos[v]["dimensions"] == 3
    assert page.videos[v]["steps"] == video.steps.tolist()
  np.testing.assert_allclose(page.videos[0]["times"], videos[0].times)
  assert [v["times"] for v in page.videos[1:]] == [None] * 4
  assert page.data["notes"] == ["It can't be."]
  assert page.data["useDtw"] and page.data["reference"] == 3


def test_distances_to_other_videos_and_what_is_unusual(write):
  videos = coded_videos.make()
  page = write(videos)
  for v, video in enumerate(videos):
    others = np.concatenate([x.embs for x in videos if x is not video])
    gaps = video.embs[:, np.newaxis] - others
    expected = np.linalg.norm(gaps, axis=-1).min(axis=1)
    np.testing.assert_allclose(page.videos[v]["distances"], expected, rtol=1e-4)
  pooled = np.concatenate([v["distances"] for v in page.videos])
  middle = np.median(pooled)
  expected = middle + 5 * np.median(np.abs(pooled - middle))
  assert page.data["threshold"] == pytest.approx(expected, rel=1e-3)


def test_phases_of_videos_without_are_predicted(write):
  videos = coded_videos.make()
  unlabeled = np.full(len(videos[1].embs), -1)
  videos[1] = dataclasses.replace(videos[1], labels=unlabeled)
  page = write(videos, ["reach"])
  assert [v["isPredicted"] for v in page.videos] == [False, *[True] * 4]
  assert page.videos[0]["labels"] == videos[0].labels.tolist()
  for video, found in zip(videos[1:], page.videos[1:], strict=True):
    assert found["labels"] == predict_labels(video, videos[:1])[0].tolist()
  # Forward videos go through the phases in order.
  assert page.videos[4]["labels"][0] == 0 and page.videos[4]["labels"][-1] == 2
  names = [phase["name"] for phase in page.data["phases"]]
  assert names == ["reach", "phase 1", "phase 2"]
  assert len({phase["color"] for phase in page.data["phases"]}) == 3


def test_phases_have_the_names_that_the_file_has(tmp_path):
  names = ["reach", "pour", "put back", "none of these"]
  split = EmbeddedSplit(coded_videos.make(), names)
  embeddings.save(tmp_path / "e.npy", split)
  write_page(tmp_path / "e.npy", tmp_path / "page.html")
  phases = Page(tmp_path / "page.html").data["phases"]
  assert [phase["name"] for phase in phases] == names


def test_without_labels_there_are_no_phases(write):
  videos = coded_videos.make()[1:]
  page = write(videos, ["reach"])
  assert page.data["phases"] == []
  assert [v["labels"] for v in page.videos] == [None] * 4


def test_names_can_not_leave_their_block(write):
  names = ("</script><script>alert(1)</script>", "<!--", "\udce4.mp4", "", "é")
  page = write(coded_videos.make(names), notes=["<b>"])
  assert [video["name"] for video in page.videos] == [*names]
  assert "alert(1)</" not in page.text and "<b>" not in page.text


def test_only_the_scripts_of_the_page_may_run(write):
  page = write()
  (policy,) = re.findall(r'-Policy" content="(.+?)">', page.text)
  rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
  assert rules.pop("default-src") == "'none'"
  for tag in ("script", "style"):
    texts = re.findall(rf"<{tag}>(.+?)</{tag}>", page.text, re.S)
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    hashes = [f"'sha256-{base64.b64encode(x).decode()}'" for x in digests]
    assert rules.pop(f"{tag}-src").split() == hashes and hashes
  assert not rules
  markup = page.text.replace(page.blocks["data"], "")
  assert not re.search(r"https?:|\b(src|href|style|on\w+)=", markup)


def test_script_writes_the_page_alone_or_a_video_too(tmp_path):
  embs_path = warped_videos.write(tmp_path / "e.npy", shape=(90, 120))
  command = ["visualize_alignment.py", f"--embs_path={embs_path}"]
  command += ["--html_width=60", "--html_stride=2", "--reference_video=1"]
  command += ["--normalize_embeddings", "--use_dtw"]
  for name, more in (("a", []), ("b", [f"--video_path={tmp_path / 'b.mp4'}"])):
    path = tmp_path / f"{name}.html"
    done = run_python(*command, f"--html_path={path}", *more)
    assert done.returncode == 0, done.stderr
    assert f"{path}, {path.stat().st_size / 1e6:.1f} MB" in done.stderr
  assert {path.name for path in tmp_path.iterdir()} == {
    *("e.npy", "a.html", "b.html", "b.mp4")
  }
  page = Page(tmp_path / "a.html")
  assert page.videos[0]["width"] == 60 and page.data["layout"]["stride"] == 2
  assert page.data["useDtw"] and page.data["reference"] == 1
  content = base64.b64decode(page.blocks["embeddings-0"])
  rows = np.frombuffer(content, "<f4").reshape(-1, 3)[1:]
  np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_mistakes_leave_no_file(tmp_path):
  embs_path = warped_videos.write(tmp_path / "e.npy")
  path = tmp_path / "out" / "page.html"
  with pytest.raises(
    UserError, match="--reference_video: .* 0 to 2, received 3"
  ):
    write_page(embs_path, path, reference_video=3)
  videos = coded_videos.make()
  embeddings.save(tmp_path / "none.npy", EmbeddedSplit(videos[1:2]))
  with pytest.raises(UserError, match="two or more videos"):
    write_page(tmp_path / "none.npy", path)

  class Broken(LazyFrames):
    def __getitem__(self, index):
      raise UserError("clip.mp4: expected a frame, received none; convert it")

  frames = Broken(videos[4].frames)
  videos[4] = dataclasses.replace(videos[4], frames=frames)
  with pytest.raises(UserError, match=r"clip\.mp4"):
    write_viewer(path, EmbeddedSplit(videos))
  assert not list(path.parent.glob("*"))
