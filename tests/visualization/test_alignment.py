import re

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

import embeddings
from media.video_reader import VideoReader
from tests.helpers import warped_videos
from tests.helpers.errors import message_of
from tests.helpers.warped_videos import TIMES, curve
from visualization import clips
from visualization.alignment import visualize
from visualization.matching import align


@pytest.fixture
def embs_path(tmp_path):
  (tmp_path / "in").mkdir()
  return warped_videos.write(tmp_path / "in" / "e.npy")


@pytest.fixture
def out(tmp_path):
  (tmp_path / "out").mkdir()
  return tmp_path / "out"


def draw(embs_path, path, **options):
  """The pictures of a video, and how many were announced."""
  count = visualize(embs_path, path, **options)
  pictures = [f.image.astype(float) for f in VideoReader(path)]
  assert len(pictures) == count
  return pictures


def brightness(picture, tile):
  """Mean of the middle of a tile's image, in a row of 160-pixel tiles."""
  # Gap, then border; tiles are as far apart as image, borders and gap.
  left = 9 + tile * (213 + 12) + 20
  return picture[29:129, left : left + 100].mean()


@pytest.mark.parametrize("use_dtw", [False, True])
def test_align_recovers_a_known_warp(use_dtw):
  slow = np.linspace(0, 1, 40)
  fast = np.linspace(0, 1, 60) ** 2
  match, cost = align(curve(slow), curve(fast), use_dtw)
  assert cost.shape == (40, 60) and match.shape == (40,)
  # Half of the largest step of the fast video is the best there is.
  assert np.abs(fast[match] - slow).max() < 1.5 * np.diff(fast).max()
  assert (np.diff(match) >= 0).all()


def test_dtw_never_goes_back_where_neighbors_do():
  there_and_back = np.r_[np.linspace(0, 1, 15), np.linspace(1, 0, 15)]
  rng = np.random.default_rng(0)
  noisy = curve(there_and_back) + rng.normal(0, 0.02, (30, 3))
  neighbors, _ = align(curve(there_and_back), noisy, use_dtw=False)
  warped, _ = align(curve(there_and_back), noisy, use_dtw=True)
  assert (np.diff(neighbors) < 0).any()
  assert (np.diff(warped) >= 0).all()
  assert np.abs(warped - np.arange(30)).max() <= 3


def test_align_takes_the_middle_of_a_pause():
  reference = np.array([[0.0], [1.0], [2.0]])
  candidate = np.array([[0.0], [1.0], [1.0], [1.0], [2.0]])
  assert align(reference, candidate, use_dtw=True)[0].tolist() == [0, 2, 4]
  assert align(reference, candidate, use_dtw=False)[0].tolist() == [0, 1, 4]


def test_normalize_embeddings_ignores_lengths(embs_path, out):
  videos = embeddings.load(embs_path)
  rng = np.random.default_rng(0)
  angles = [t * 1.5 for t in TIMES]
  lengths = [rng.uniform(0.2, 5, (len(a), 1)) for a in angles]
  unit = [np.stack([np.cos(a), np.sin(a)], 1) for a in angles]
  videos["embs"] = [u * x for u, x in zip(unit, lengths, strict=True)]
  embeddings.save(embs_path, videos)
  worst = []
  for normalize in [True, False]:
    path = out / f"{normalize}.mp4"
    pictures = draw(embs_path, path, normalize_embeddings=normalize)
    shown = np.array([brightness(picture, 1) for picture in pictures])
    worst.append(np.abs(shown - (40 + 160 * TIMES[0])).max())
  assert worst[0] < 15 < worst[1]


@pytest.mark.parametrize("use_dtw", [False, True])
@pytest.mark.parametrize("reference", [0, 2])
def test_grid_shows_the_same_moment_everywhere(
  embs_path, out, use_dtw, reference
):
  options = {"use_dtw": use_dtw, "reference_video": reference}
  pictures = draw(embs_path, out / "a.mp4", **options)
  for picture, time in zip(pictures, TIMES[reference], strict=True):
    expected = 40 + 160 * time
    assert brightness(picture, 0) == pytest.approx(expected, abs=3)
    for tile in [1, 2]:
      # The other videos' frames are up to 0.35 of the whole apart.
      assert brightness(picture, tile) == pytest.approx(expected, abs=32)
    borders = picture[7, 30:200].mean(0), picture[7, 260:420].mean(0)
    np.testing.assert_allclose(borders[0], clips.REFERENCE, atol=40)
    np.testing.assert_allclose(borders[1], clips.BACKGROUND, atol=20)


def test_grid_of_one_candidate(embs_path, out):
  options = {"reference_video": 1, "candidate_video": 2}
  pictures = draw(embs_path, out / "a.mp4", **options)
  assert len(pictures) == 20
  assert pictures[0].shape[1] == pytest.approx(6 + 2 * (213 + 12), abs=2)


def test_pair_shows_both_and_the_map(embs_path, out):
  options = {"grid_mode": False, "candidate_video": 2}
  pictures = draw(embs_path, out / "a.mp4", **options)
  for picture, time in zip(pictures, TIMES[0], strict=True):
    expected = 40 + 160 * time
    shown = picture[100:200, 50:400].mean(), picture[100:200, 600:900].mean()
    assert shown[0] == pytest.approx(expected, abs=3)
    assert shown[1] == pytest.approx(expected, abs=32)
  # The marker on the map has moved.
  assert np.abs(pictures[0] - pictures[-1])[9:369, 1000:1340].max() > 60


@pytest.mark.parametrize("reference, other", [(0, 1), (1, 0)])
def test_pair_takes_the_first_other_video(embs_path, out, reference, other):
  options = {"grid_mode": False, "reference_video": reference}
  visualize(embs_path, out / "a.mp4", **options)
  visualize(embs_path, out / "b.mp4", candidate_video=other, **options)
  assert (out / "a.mp4").read_bytes() == (out / "b.mp4").read_bytes()


def test_sheet_shows_moments_of_the_reference_and_their_matches(embs_path, out):
  path = out / "a.png"
  assert visualize(embs_path, path, reference_video=1) == 1
  picture = np.asarray(Image.open(path))
  height, width = picture.shape[0] / 3, picture.shape[1] / 7
  moments = np.linspace(0, len(TIMES[1]) - 1, 7).round().astype(int)
  for row, k in enumerate([1, 0, 2]):
    match, _ = align(curve(TIMES[1]), curve(TIMES[k]), use_dtw=False)
    for column, i in enumerate(moments):
      y, x = int((row + 0.4) * height), int((column + 0.5) * width)
      found = picture[y - 8 : y + 8, x - 20 : x + 20].mean()
      assert found == pytest.approx(40 + 160 * TIMES[k][match[i]], abs=3)


@pytest.mark.parametrize("switch", [1, 5, 11])
def test_switch_jumps_to_the_matching_moment(embs_path, out, switch):
  options = {"grid_mode": False, "candidate_video": 1, "switch_video": switch}
  pictures = draw(embs_path, out / "a.mp4", **options)
  match, _ = align(curve(TIMES[0]), curve(TIMES[1]), use_dtw=False)
  expected = np.r_[TIMES[0][:switch], TIMES[1][match[switch] :]]
  found = [picture[100:200, 50:400].mean() for picture in pictures]
  np.testing.assert_allclose(found, 40 + 160 * expected, atol=3)
  for i, picture in enumerate(pictures):
    color = clips.REFERENCE if i < switch else clips.CANDIDATE
    np.testing.assert_allclose(picture[7, 30:400].mean(0), color, atol=40)


def test_pattern_shows_the_videos_of_all_files(tmp_path, out):
  warped_videos.write(tmp_path / "e_0.npy", TIMES[:2])
  # Frames of another size, and upright.
  warped_videos.write(tmp_path / "e_1.npy", TIMES[2:], shape=(90, 50))
  pictures = draw(tmp_path / "e_*.npy", out / "a.mp4", use_dtw=True)
  assert len(pictures) == 12
  # Centered with its shape kept: 89 of 213 pixels wide.
  third = pictures[-1][60:100, 459:]
  assert third[:, 70:140].mean() == pytest.approx(200, abs=3)
  assert third[:, 10:50].mean() < 30


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_brightness_stays_constant(out, name):
  """Moving texture of constant mean: no frame is rescaled by its own range."""
  rng = np.random.default_rng(0)
  frames = []
  for times in TIMES:
    stripes = rng.permuted(np.arange(60, 60 + 160).reshape(1, -1, 1))
    rolled = [np.roll(stripes, 9 * i, 1) for i in range(len(times))]
    images = [np.broadcast_to(x, (160, 160, 3)) for x in rolled]
    frames.append(np.stack(images).astype(np.uint8))
    # One dazzling pixel in one frame would change that frame's range.
    frames[-1][3, 0, 0] = 255
  visualize(warped_videos.write(out / "e.npy", frames=frames), out / name)
  if name == "a.mp4":
    pictures = [frame.image for frame in VideoReader(out / name)]
  else:
    with Image.open(out / name) as image:
      frames_of_gif = ImageSequence.Iterator(image)
      pictures = [np.array(frame.convert("RGB")) for frame in frames_of_gif]
  tiles = [np.array(pictures)[:, 9:169, x : x + 160] for x in (9, 181, 353)]
  means = [tile.mean((1, 2, 3)) for tile in tiles]
  assert np.ptp(means, axis=1).max() < 2
  np.testing.assert_allclose(means, frames[0][0].mean(), atol=3)


NO_VIDEO = "expected the name of a video or its index, 0 to 2, received"


@pytest.mark.parametrize(
  "options, message",
  [
    ({"video_path": "a.avi"}, "--video_path: expected a name that ends in .mp"),
    ({"video_path": "a"}, "--video_path: expected a name that ends in .mp4, "),
    ({"interval": 0}, "--interval: expected 1 to 60000 milliseconds"),
    ({"interval": float("nan")}, "--interval: expected 1 to 60000"),
    ({"reference_video": 3}, f"--reference_video: {NO_VIDEO} 3"),
    ({"reference_video": -1}, f"--reference_video: {NO_VIDEO} -1"),
    ({"candidate_video": 7}, f"--candidate_video: {NO_VIDEO} 7"),
    (
      {"candidate_video": 0},
      "another video than --ref.*received video_0 for both",
    ),
    (
      {"video_path": "a.png", "grid_mode": False},
      "--video_path: expected .mp4 or .gif with --nogrid_mode, received .png;",
    ),
    ({"switch_video": 3}, "--switch_video: expected --nogrid_mode with it, "),
    (
      {"switch_video": 12, "grid_mode": False},
      "--switch_video: expected 1 to 11, .* has 12 frames, received 12",
    ),
    ({"switch_video": 0, "grid_mode": False}, "--switch_video: expected 1 to"),
    ({"embs_path": "none.npy"}, "none.npy: expected an embeddings file"),
  ],
)
def test_mistakes_are_told_and_leave_nothing(embs_path, out, options, message):
  options = {"embs_path": embs_path, "video_path": "a.mp4"} | options
  options["video_path"] = out / options["video_path"]
  assert re.search(message, message_of(visualize, **options))
  assert not list(out.iterdir())


@pytest.mark.parametrize(
  "fault, message",
  [
    ("no frames", "expected embeddings with frames .*--keep_data"),
    ("NaN", "expected finite .*, received NaN .* in video_1"),
    ("empty", "expected finite .*, received no frames in video_1"),
    ("one video", "expected two or more videos, received one"),
  ],
)
def test_videos_that_cannot_be_aligned(embs_path, out, fault, message):
  videos = embeddings.load(embs_path)
  if fault == "no frames":
    del videos["frames"]
  elif fault == "NaN":
    videos["embs"][1][3, 0] = np.nan
  elif fault == "empty":
    for key in ("embs", "steps", "frames"):
      videos[key][1] = videos[key][1][:0]
  else:
    videos = {key: entries[:1] for key, entries in videos.items()}
  embeddings.save(embs_path, videos)
  text = message_of(visualize, embs_path, out / "a.mp4")
  assert re.search(message, text) and str(embs_path) in text
  assert not list(out.iterdir())


def test_any_number_of_videos_makes_a_grid(tmp_path, out, caplog):
  caplog.set_level("INFO")
  path = warped_videos.write(tmp_path / "e.npy", [TIMES[2]] * 300, shape=(4, 4))
  assert visualize(path, out / "a.gif") == 2 * 9
  assert (
    "300 videos, each 61 x 61, too small for captions, on 2 pages, one after"
    " another" in caplog.messages
  )


@pytest.mark.parametrize(
  "options, rate",
  [({}, 5), ({"reference_video": 1}, 20), ({"interval": 40}, 25)],
)
def test_pictures_come_at_the_rate_of_the_reference(
  embs_path, out, options, rate
):
  videos = embeddings.load(embs_path)
  unknown = [np.full(len(steps), np.nan) for steps in videos["steps"][1:]]
  # As rounded as files have them.
  times = np.round(videos["steps"][0] / 5, 3)
  embeddings.save(embs_path, videos | {"times": [times, *unknown]})
  visualize(embs_path, out / "a.mp4", **options)
  with av.open(str(out / "a.mp4")) as container:
    assert container.streams.video[0].average_rate == rate
