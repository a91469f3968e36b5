"""The viewer as people use it, in a real browser."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from embeddings.types import EmbeddedSplit
from evaluation.kendalls_tau import tau_b
from media.colors import phase_colors
from tests.helpers import coded_videos, warped_videos
from tests.helpers.browser import open_browser
from visualization import dtw
from visualization.alignment import visualize
from visualization.label_transfer import predict_labels
from visualization.matching import align
from visualization.viewer import write_viewer

# A copy is read, as Chromium complains of canvases that are read often.
PIXELS = """(canvas, [x, y]) => {
  const { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(width * x, height * y, 8, 1).data];
}"""
PLAY = """() => new Promise((resolve, reject) => {
  const video = document.querySelector("video");
  video.onended = () =>
    resolve([video.currentTime, video.duration, video.videoWidth]);
  video.onerror = () => reject(video.error);
  video.muted = true;
  video.play();
})"""
VIDEOS = coded_videos.make()


@pytest.fixture(scope="module")
def browser():
  with open_browser() as browser:
    yield browser


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
  path = tmp_path_factory.mktemp("viewer") / "page.html"
  note = "This should not be believed: it is <made up>."
  names = ["reach", "pour", "put back"]
  write_viewer(path, EmbeddedSplit(VIDEOS, names), notes=[note])
  return path


class Viewer:
  """A page and how to use it."""

  def __init__(self, page):
    from playwright.sync_api import expect

    self.page = page
    self.expect = expect
    self.stage = page.locator("#timeline")

  def tile(self, video):
    return self.page.locator(".tile").nth(video)

  def timeline(self, video):
    return self.tile(video).get_by_role("slider")

  def go(self, timeline, frame, length):
    """Clicks where a frame is on a timeline."""
    box = timeline.bounding_box()
    x = (frame + 0.5) / length * box["width"]
    timeline.click(position={"x": x, "y": box["height"] / 2})

  def expect_frames(self, frames):
    """Frames that the tiles show, by what they say and by their pixels."""
    for video, frame in frames.items():
      canvas = self.tile(video).locator(".picture canvas")
      canvas.scroll_into_view_if_needed()
      self.expect(canvas).to_have_attribute("data-frame", str(frame))
      assert coded_videos.decode(canvas.evaluate(PIXELS, [0.5, 0.5])) == frame
      now = self.timeline(video).get_attribute("aria-valuenow")
      assert int(now) == frame

  def expect_reference(self, frame):
    self.expect(self.stage).to_have_attribute("aria-valuenow", str(frame))


@pytest.fixture
def show(browser):
  """Opens pages in the browser, where nothing may go wrong."""
  contexts, wrong, requests = [], [], []

  def show(path, **options):
    contexts.append(browser.new_context(**options))
    page = contexts[-1].new_page()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    return Viewer(page)

  yield show
  for context in contexts:
    context.close()
  assert wrong == []
  assert len(requests) == len(contexts)


def matches(reference, frame, use_dtw):
  """The frame that each video should show."""
  query = VIDEOS[reference].embs
  found = [align(query, v.embs, use_dtw)[0][frame] for v in VIDEOS]
  found[reference] = frame
  return dict(enumerate(map(int, found)))


def test_videos_follow_the_reference_as_the_alignment_says(show, page_path):
  viewer = show(page_path)
  method = viewer.page.get_by_label("Match by")
  for reference in (0, 2):
    if reference:
      viewer.tile(reference).get_by_role("button", name="Make").click()
    length = len(VIDEOS[reference].embs)
    for frame in (3, 17, length - 1):
      viewer.go(viewer.stage, frame, length)
      viewer.expect_frames(matches(reference, frame, use_dtw=False))
      method.select_option("warped")
      viewer.expect_frames(matches(reference, frame, use_dtw=True))
      method.select_option("nearest")


def test_a_new_reference_stays_at_its_moment(show, page_path):
  viewer = show(page_path)
  viewer.go(viewer.stage, 21, 40)
  shown = matches(0, 21, use_dtw=False)[1]
  viewer.expect_frames({1: shown})
  viewer.tile(1).get_by_role("button", name="Make").click()
  viewer.expect_reference(shown)
  viewer.expect_frames(matches(1, shown, use_dtw=False))
  viewer.expect(viewer.page.locator("#name")).to_have_text(VIDEOS[1].name)


@pytest.mark.parametrize("use_dtw", [False, True])
def test_dragging_another_video_moves_the_reference(show, page_path, use_dtw):
  viewer = show(page_path)
  if use_dtw:
    viewer.page.keyboard.press("d")
  _, cost = align(VIDEOS[0].embs, VIDEOS[4].embs, use_dtw)
  backward = cost.argmin(axis=0)
  if use_dtw:
    backward = dtw.aligned_frames(dtw.dtw_path(cost)[1][:, ::-1])
  timeline = viewer.timeline(4)
  viewer.go(timeline, 2, 26)
  box = timeline.bounding_box()
  viewer.page.mouse.move(box["x"] + 2.5 / 26 * box["width"], box["y"] + 10)
  viewer.page.mouse.down()
  for frame in (5, 9, 14):
    x = box["x"] + (frame + 0.5) / 26 * box["width"]
    # Away from the timeline it is still held.
    viewer.page.mouse.move(x, box["y"] + 60)
    viewer.expect_reference(int(backward[frame]))
    others = matches(0, int(backward[frame]), use_dtw)
    viewer.expect_frames(others | {4: frame})
  viewer.page.mouse.up()


def test_a_click_in_the_matrix_goes_there(show, page_path):
  viewer = show(page_path)
  viewer.tile(2).get_by_role("button", name="Compare").click()
  matrix = viewer.page.locator("#matrix")
  canvas = matrix.locator("canvas")
  viewer.expect(canvas).to_have_attribute("data-pair", "0-2")
  tau = tau_b(align(VIDEOS[0].embs, VIDEOS[2].embs, False)[0][:, np.newaxis])[0]
  order = viewer.page.locator("#pair-order")
  viewer.expect(order).to_have_text(f"Kendall's tau: {tau:.2f}.")
  box = matrix.bounding_box()
  x = (30 + 0.5) / 40 * box["width"]
  y = (1 - (8 + 0.5) / 31) * box["height"]
  matrix.click(position={"x": x, "y": y})
  viewer.expect_reference(30)
  viewer.expect_frames({2: 8})


def test_keys(show, page_path):
  viewer = show(page_path)
  press = viewer.page.keyboard.press
  keys = {"End": 39, "ArrowLeft": 38, "Shift+ArrowLeft": 28, "5": 20}
  keys |= {"Shift+ArrowRight": 30, "ArrowRight": 31, "Home": 0}
  for key, frame in keys.items():
    press(key)
    viewer.expect_reference(frame)
  press("ArrowLeft")
  viewer.expect_reference(0)
  # On the timeline of another video they move that one, frame by frame.
  viewer.timeline(1).focus()
  backward, _ = align(VIDEOS[1].embs, VIDEOS[0].embs, False)
  press("Home")
  for frame in (1, 2, 3):
    press("ArrowUp")
    viewer.expect_frames({1: frame})
    viewer.expect_reference(int(backward[frame]))
  press("d")
  method = viewer.page.get_by_label("Match by")
  viewer.expect(method).to_have_value("warped")
  viewer.page.get_by_role("button", name="Make plain the reference").focus()
  press("Space")
  viewer.expect(viewer.page.locator("#name")).to_have_text("plain")


def test_playing_keeps_the_times_of_the_reference(show, page_path):
  viewer = show(page_path)
  play = viewer.page.get_by_role("button", name="Play", exact=True)
  viewer.expect(viewer.page.locator("#summary")).to_contain_text("1 of 4")
  viewer.page.clock.install()
  viewer.page.clock.pause_at("2100-01-01")
  viewer.page.keyboard.press("Space")
  # Frames are 0.1 s apart, but for a second between 2 and 3.
  for milliseconds, frame in ((250, 2), (800, 2), (300, 3), (200, 5)):
    viewer.page.clock.run_for(milliseconds)
    assert viewer.stage.get_attribute("aria-valuenow") == str(frame)
  viewer.page.clock.run_for(20_000)
  viewer.expect_reference(39)
  viewer.expect(play).to_be_visible()  # It does not say "Pause" any more.


def test_alignment_equals_that_of_python(show, page_path):
  """Small whole numbers: most cells have several ways that cost the same."""
  page = show(page_path).page
  random = np.random.default_rng(0)
  for _ in range(60):
    m, n = random.integers(1, 10, 2)
    query, candidate = (random.integers(0, 3, (k, 2)) for k in (m, n))
    make = """([query, candidate]) => {
      const video = (rows) => ({
        values: Float32Array.from(rows.flat()),
        length: rows.length,
        dimensions: 2,
      });
      const steps = alignVideos(video(query), video(candidate));
      let step;
      do step = steps.next(); while (!step.done);
      const { path, nearest, warped, tau } = step.value;
      const all = [path.rows, path.columns, nearest.forward, nearest.backward];
      all.push(warped.forward, warped.backward);
      return [...all.map((frames) => [...frames]), [tau]];
    }"""
    found = page.evaluate(make, [query.tolist(), candidate.tolist()])
    cost = dtw.squared_distances(query, candidate)
    _, path = dtw.dtw_path(cost)
    nearest = cost.argmin(axis=1)
    expected = [*path.T, nearest, cost.argmin(axis=0)]
    expected += [dtw.aligned_frames(path), dtw.aligned_frames(path[:, ::-1])]
    assert found[:-1] == [frames.tolist() for frames in expected]
    np.testing.assert_allclose(found[-1], tau_b(nearest[:, np.newaxis]))


def test_texts_stay_texts(show, page_path):
  viewer = show(page_path)
  names = viewer.page.locator(".tile .name")
  assert names.all_text_contents() == [*coded_videos.NAMES]
  assert viewer.page.locator("#name").text_content() == coded_videos.NAMES[0]
  (note,) = viewer.page.locator("#notes li").all_text_contents()
  assert note.endswith("<made up>.")
  assert viewer.page.locator("img").count() == 0
  for video, name in enumerate(coded_videos.NAMES):
    label = viewer.timeline(video).get_attribute("aria-label")
    assert label == f"Time of {name}"


def test_a_poor_order_is_told(show, page_path):
  viewer = show(page_path)
  badges = viewer.page.locator(".tile .badge")
  summary = viewer.page.locator("#summary")
  viewer.expect(summary).to_contain_text("1 of 4 not in the order")
  expected = ["reference", "", "", "⚠ runs backwards", ""]
  assert badges.all_text_contents() == expected
  viewer.tile(3).get_by_role("button", name="Make").click()
  viewer.expect(summary).to_contain_text("4 of 4 not in the order")
  assert badges.all_text_contents()[3:] == ["reference", "⚠ runs backwards"]


def test_phases_and_unusual_frames_are_drawn_and_told(show, tmp_path):
  videos = coded_videos.make()
  foreign = videos[4].embs.copy()
  foreign[10:14] += 5
  videos[4] = dataclasses.replace(videos[4], embs=foreign)
  names = ["reach", "pour", "put back"]
  predicted = [predict_labels(video, videos[:1])[0] for video in videos]
  path = tmp_path / "page.html"
  write_viewer(path, EmbeddedSplit(videos, names))
  viewer = show(path)
  legend = viewer.page.locator("#legend li").all_text_contents()
  assert legend[:3] == names and len(legend) == 5
  viewer.go(viewer.stage, 20, 40)
  told = "aria-valuetext"
  viewer.expect(viewer.stage).to_have_attribute(told, "3.00 s, pour")
  timeline = viewer.timeline(4)
  viewer.go(timeline, 12, 26)
  label = names[predicted[4][12]]
  text = f"frame 24, {label}, unusual"
  viewer.expect(timeline).to_have_attribute(told, text)
  # The second color; predicted, it has stripes.
  color = np.round(255 * np.array(phase_colors(3)[1]))
  for video, is_striped in ((0, False), (1, True)):
    labels = videos[0].labels if video == 0 else predicted[1]
    share = np.flatnonzero(labels == 1).mean() / len(labels)
    canvas = viewer.timeline(video).locator("canvas")
    pixels = np.reshape(canvas.evaluate(PIXELS, [share, 0.95]), (-1, 4))[:, :3]
    same = (pixels == color).all(axis=1)
    assert same.any() and same.all() != is_striped


def test_many_videos_open_and_only_those_in_view_are_decoded(show, tmp_path):
  names = [f"video {v}" for v in range(100)]
  videos = coded_videos.make(names, [12] * 100, (24, 32))
  path = tmp_path / "page.html"
  write_viewer(path, EmbeddedSplit(videos))
  viewer = show(path, viewport={"width": 900, "height": 600})
  summary = viewer.page.locator("#summary")
  viewer.expect(summary).to_have_text(
    "100 videos. 99 of 99 others in the order of the reference."
  )
  last = viewer.tile(99).locator(".picture canvas")
  assert last.get_attribute("data-frame") is None
  last.scroll_into_view_if_needed()
  viewer.expect(last).to_have_attribute("data-frame", "0")


def is_bright(viewer, path):
  """Keeps a picture of the page, and looks at its background."""
  viewer.page.screenshot(path=path)
  return np.asarray(Image.open(path).convert("L"))[-1, 0] > 128


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_page_fits_and_follows_the_color_scheme(
  show, page_path, tmp_path, scheme
):
  phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
  phone |= {"is_mobile": True, "has_touch": True}
  for name, options in (("desktop", {}), ("phone", phone)):
    viewer = show(page_path, color_scheme=scheme, **options)
    viewer.go(viewer.stage, 20, 40)
    viewer.expect_frames(matches(0, 20, use_dtw=False))
    width = viewer.page.evaluate("document.documentElement.scrollWidth")
    assert width == viewer.page.viewport_size["width"]
    path = tmp_path / f"{name}-{scheme}.png"
    assert is_bright(viewer, path) == (scheme == "light")


def test_the_theme_can_be_switched(show, page_path, tmp_path):
  viewer = show(page_path)
  theme = viewer.page.get_by_label("Theme")
  for name, expected in (("dark", False), ("light", True)):
    theme.select_option(name)
    assert is_bright(viewer, tmp_path / "page.png") == expected


def test_an_aligned_video_plays_to_its_end(browser, tmp_path):
  embs = warped_videos.write(tmp_path / "embs.npy")
  visualize(embs, tmp_path / "aligned.mp4")
  page = browser.new_page()
  page.goto((tmp_path / "aligned.mp4").as_uri())
  time, duration, width = page.evaluate(PLAY)
  assert time == duration == pytest.approx(12 * 0.05, abs=0.05)
  assert width > 0
