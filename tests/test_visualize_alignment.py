import os
import pathlib
import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image

import embeddings
import visualize_alignment
from core.errors import UserError
from media import gif_writer, video_reader
from visualization import clips
from visualize_alignment import align, visualize

ROOT = pathlib.Path(__file__).parent.parent
TIMES = [
  np.linspace(0, 1, 12),
  np.linspace(0, 1, 20) ** 2,
  np.linspace(0, 1, 9) ** 0.5,
]


def curve(times):
  """A curve that doesn't meet itself: equal moments have equal embeddings."""
  return np.stack([times, np.sin(times), times**2], axis=1).astype(np.float32)


def write_embeddings(path, times=TIMES, shape=(48, 64), frames=None):
  """Videos whose frames are as bright as their time, 40 to 200."""
  if frames is None:
    frames = [
      np.broadcast_to(
        np.uint8(40 + 160 * t)[:, None, None, None], (len(t), *shape, 3)
      )
      for t in times
    ]
  embeddings.save(
    path,
    {
      "embs": [curve(t) for t in times],
      "steps": [np.arange(len(t)) for t in times],
      "names": [f"video_{i}" for i in range(len(times))],
      "seq_lens": [len(t) for t in times],
      "seq_labels": [-1] * len(times),
      "frames": frames,
    },
  )
  return path


@pytest.fixture
def embs_path(tmp_path):
  folder = tmp_path / "in"
  folder.mkdir()
  return write_embeddings(folder / "e.npy")


@pytest.fixture
def out(tmp_path):
  folder = tmp_path / "out"
  folder.mkdir()
  return folder


def pictures_of(path):
  return [frame.image.astype(float) for frame in video_reader.read_frames(path)]


def brightness(picture, tile, columns, size=(160, 213)):
  """Mean of the middle of a tile's image, in a picture of a 160-pixel grid."""
  row, column = divmod(tile, columns)
  # Gap, then border; tiles are as far apart as image, borders, caption, gap.
  top = 9 + row * (size[0] + 34) + 20
  left = 9 + column * (size[1] + 12) + 20
  return picture[top : top + 100, left : left + 100].mean()


# --- alignment ---------------------------------------------------------------


@pytest.mark.parametrize("use_dtw", [False, True])
def test_align_recovers_a_known_warp(use_dtw):
  slow = np.linspace(0, 1, 40)
  fast = np.linspace(0, 1, 60) ** 2
  match, cost = align(curve(slow), curve(fast), use_dtw)
  assert cost.shape == (40, 60) and match.shape == (40,)
  # Half of the largest step of the fast video is the best there is.
  error = np.abs(fast[match] - slow)
  assert error.max() < 1.5 * np.diff(fast).max()
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
  videos["embs"] = [
    np.stack([np.cos(a), np.sin(a)], 1) * rng.uniform(0.2, 5, (len(a), 1))
    for a in angles
  ]
  embeddings.save(embs_path, videos)
  worst = []
  for normalize in [True, False]:
    path = out / f"{normalize}.mp4"
    visualize(embs_path, path, normalize_embeddings=normalize)
    worst.append(
      max(
        abs(brightness(p, 1, 3) - (40 + 160 * t))
        for p, t in zip(pictures_of(path), TIMES[0], strict=True)
      )
    )
  assert worst[0] < 15 < worst[1]


# --- the files ---------------------------------------------------------------


@pytest.mark.parametrize("interval, fps", [(50, 20), (100, 10), (40, 25)])
def test_mp4_is_playable_anywhere(embs_path, out, interval, fps):
  count = visualize(embs_path, out / "a.mp4", interval=interval)
  assert count == 12
  with av.open(str(out / "a.mp4")) as container:
    stream = container.streams.video[0]
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert stream.average_rate == fps
    assert sum(1 for _ in container.decode(stream)) == count
    assert stream.width % 2 == stream.height % 2 == 0
    assert stream.width <= 1920
  assert os.listdir(out) == ["a.mp4"]


@pytest.mark.parametrize("interval, stored", [(50, 50), (33, 30), (1, 20)])
def test_gif_counts_and_times_its_frames(embs_path, out, interval, stored):
  count = visualize(embs_path, out / "A.GIF", interval=interval)
  with Image.open(out / "A.GIF") as image:
    assert image.info["loop"] == 0
    assert image.n_frames == count == 12
    for i in range(count):
      image.seek(i)
      assert image.info["duration"] == stored
    assert max(image.size) <= 960
  assert os.listdir(out) == ["A.GIF"]


def local_palettes(data):
  """Counts the frames of a GIF with a table of colors of their own."""
  at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
  count = 0
  while data[at] != 0x3B:
    if data[at] == 0x21:
      at += 2
    else:
      count += data[at + 9] >> 7
      at += 11
    while data[at]:
      at += data[at] + 1
    at += 1
  return count


def test_gif_has_one_palette_and_keeps_a_still_image_still(out):
  rng = np.random.default_rng(0)
  still = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
  moving = rng.integers(0, 256, (12, 40, 30, 3)).astype(np.uint8)
  gif_writer.write_gif(
    out / "a.gif", 12, lambda i: np.concatenate([still, moving[i]], 1), 50
  )
  data = (out / "a.gif").read_bytes()
  assert data[10] & 128 and local_palettes(data) == 0
  with Image.open(out / "a.gif") as image:
    assert image.n_frames == 12
    first = np.array(image.convert("RGB"))
    for i in range(12):
      image.seek(i)
      picture = np.array(image.convert("RGB"))
      np.testing.assert_array_equal(picture[:, :50], first[:, :50])
      assert abs(picture.mean() - moving[i].mean()) < 20
      assert (picture[:, 50:] != first[:, 50:]).any() or i == 0


def test_gif_stores_equal_frames_once_but_as_long(out):
  shades = [10, 10, 200, 200, 200]
  gif_writer.write_gif(
    out / "a.gif", 5, lambda i: np.full((8, 8, 3), shades[i], np.uint8), 50
  )
  with Image.open(out / "a.gif") as image:
    times = []
    for i in range(image.n_frames):
      image.seek(i)
      shade = np.array(image.convert("RGB")).mean()
      times.append((shade, image.info["duration"]))
    assert times == [(10, 100), (200, 150)]
  with pytest.raises(
    UserError, match="expected at least one frame, received none"
  ):
    gif_writer.write_gif(out / "b.gif", 0, lambda i: None, 50)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_brightness_stays_constant(out, name):
  """Moving texture of constant mean: no frame is rescaled by its own range."""
  rng = np.random.default_rng(0)
  frames = []
  for times in TIMES:
    stripes = rng.permuted(np.arange(60, 60 + 160).reshape(1, -1, 1))
    frames.append(
      np.stack(
        [
          np.broadcast_to(np.roll(stripes, 9 * i, 1), (160, 160, 3))
          for i in range(len(times))
        ]
      ).astype(np.uint8)
    )
    # One dazzling pixel in one frame would change that frame's range.
    frames[-1][3, 0, 0] = 255
  path = write_embeddings(out / "e.npy", frames=frames)
  visualize(path, out / name)
  read = {"a.mp4": pictures_of, "a.gif": gif_pictures}[name]
  pictures = read(out / name)
  means = [
    [p[9:169, 9 + 172 * k : 169 + 172 * k].mean() for p in pictures]
    for k in range(3)
  ]
  assert np.ptp(means, axis=1).max() < 2
  np.testing.assert_allclose(means, frames[0][0].mean(), atol=3)


def gif_pictures(path):
  pictures = []
  with Image.open(path) as image:
    for i in range(image.n_frames):
      image.seek(i)
      pictures.append(np.array(image.convert("RGB"), float))
  return pictures


# --- the modes ---------------------------------------------------------------


@pytest.mark.parametrize("use_dtw", [False, True])
@pytest.mark.parametrize("reference", [0, 2])
def test_grid_shows_the_same_moment_everywhere(
  embs_path, out, use_dtw, reference
):
  visualize(
    embs_path, out / "a.mp4", use_dtw=use_dtw, reference_video=reference
  )
  pictures = pictures_of(out / "a.mp4")
  times = TIMES[reference]
  assert len(pictures) == len(times)
  for picture, time in zip(pictures, times, strict=True):
    # The reference is the first tile.
    assert brightness(picture, 0, 3) == pytest.approx(40 + 160 * time, abs=3)
    for tile in [1, 2]:
      # The other videos' frames are up to 0.35 of the whole apart.
      assert brightness(picture, tile, 3) == pytest.approx(
        40 + 160 * time, abs=160 * 0.2
      )
    np.testing.assert_allclose(
      picture[7, 30:200].mean(0), clips.REFERENCE, atol=40
    )
    np.testing.assert_allclose(
      picture[7, 260:420].mean(0), clips.BACKGROUND, atol=20
    )


def test_grid_of_one_candidate(embs_path, out):
  visualize(embs_path, out / "a.mp4", reference_video=1, candidate_video=2)
  pictures = pictures_of(out / "a.mp4")
  assert len(pictures) == 20
  assert pictures[0].shape[1] == pytest.approx(6 + 2 * (213 + 12), abs=2)


def test_grid_draws_stored_pixels():
  """A tile of the frame's own size is the frame, byte for byte."""
  frames = np.random.default_rng(0).integers(0, 256, (2, 4, 180, 170, 3))
  videos = {
    "frames": list(frames.astype(np.uint8)),
    "steps": [np.arange(4)] * 2,
    "seq_lens": [4, 4],
    "names": ["a", "b"],
  }
  matches = [np.arange(4), np.array([0, 2, 2, 3])]
  clip = clips.grid_clip(videos, 0, matches)
  assert clip.length == 4
  picture = clip.draw(1)
  np.testing.assert_array_equal(picture[9:189, 9:179], frames[0, 1])
  np.testing.assert_array_equal(picture[9:189, 191:361], frames[1, 2])


def test_pair_shows_both_and_the_map(embs_path, out):
  path = out / "a.mp4"
  count = visualize(embs_path, path, grid_mode=False, candidate_video=2)
  pictures = pictures_of(path)
  assert len(pictures) == count == 12
  for picture, time in zip(pictures, TIMES[0], strict=True):
    assert picture[100:200, 50:400].mean() == pytest.approx(
      40 + 160 * time, abs=3
    )
    assert picture[100:200, 600:900].mean() == pytest.approx(
      40 + 160 * time, abs=160 * 0.2
    )
  # The marker on the map has moved.
  change = np.abs(pictures[0] - pictures[-1])[9:369, 1000:1340]
  assert change.max() > 60


def test_pair_map_has_its_dots_on_the_alignment():
  match = np.arange(0, 20, 2)
  videos = {
    "frames": [np.zeros((n, 300, 300, 3), np.uint8) for n in (10, 20)],
    "steps": [np.arange(10), np.arange(20)],
    "seq_lens": [10, 20],
    "names": ["a", "b"],
  }
  clip = clips.pair_clip(videos, 0, 1, match, np.ones((10, 20)))
  chart = clip.draw(0)[9:369, 9 + 2 * 372 : 369 + 2 * 372]
  for i in range(1, 10):
    x, y = 36 * i + 18, 360 - 18 * (match[i] + 0.5)
    np.testing.assert_array_equal(chart[int(y), x], clips.TEXT)
    assert not np.array_equal(chart[int(y), 360 - x], clips.TEXT)


def test_pair_takes_the_first_other_video(embs_path, out):
  for reference, other in [(0, 1), (1, 0)]:
    visualize(
      embs_path, out / "a.mp4", grid_mode=False, reference_video=reference
    )
    visualize(
      embs_path,
      out / "b.mp4",
      grid_mode=False,
      reference_video=reference,
      candidate_video=other,
    )
    assert (out / "a.mp4").read_bytes() == (out / "b.mp4").read_bytes()


def test_sheet_shows_moments_of_the_reference_and_their_matches(embs_path, out):
  path = out / "a.png"
  assert visualize(embs_path, path, reference_video=1) == 1
  picture = np.asarray(Image.open(path))
  rows = clips._SHEET_VIDEOS
  columns = clips._SHEET_MOMENTS
  count = min(rows, len(TIMES))
  height, width = picture.shape[0] / count, picture.shape[1] / columns
  order = [1, *(k for k in range(len(TIMES)) if k != 1)][:rows]
  last = len(TIMES[1]) - 1
  moments = np.linspace(0, last, columns).round().astype(int)
  for row, k in enumerate(order):
    match, _ = align(curve(TIMES[1]), curve(TIMES[k]), use_dtw=False)
    for column, i in enumerate(moments):
      y, x = int((row + 0.4) * height), int((column + 0.5) * width)
      found = picture[y - 8 : y + 8, x - 20 : x + 20].mean()
      assert found == pytest.approx(40 + 160 * TIMES[k][match[i]], abs=3)


@pytest.mark.parametrize("switch", [1, 5, 11])
def test_switch_jumps_to_the_matching_moment(embs_path, out, switch):
  path = out / "a.mp4"
  visualize(
    embs_path, path, grid_mode=False, candidate_video=1, switch_video=switch
  )
  match, _ = align(curve(TIMES[0]), curve(TIMES[1]), use_dtw=False)
  expected = np.r_[TIMES[0][:switch], TIMES[1][match[switch] :]]
  pictures = pictures_of(path)
  assert len(pictures) == len(expected)
  found = [picture[100:200, 50:400].mean() for picture in pictures]
  np.testing.assert_allclose(found, 40 + 160 * expected, atol=3)
  for i, picture in enumerate(pictures):
    color = clips.REFERENCE if i < switch else clips.CANDIDATE
    np.testing.assert_allclose(picture[7, 30:400].mean(0), color, atol=40)


def test_pattern_shows_the_videos_of_all_files(tmp_path, out):
  write_embeddings(tmp_path / "e_0.npy", TIMES[:2])
  # Frames of another size, and upright.
  write_embeddings(tmp_path / "e_1.npy", TIMES[2:], shape=(90, 50))
  assert visualize(tmp_path / "e_*.npy", out / "a.mp4", use_dtw=True) == 12
  picture = pictures_of(out / "a.mp4")[-1]
  # Centerd with its shape kept: 89 of 213 pixels wide.
  assert picture[60:100, 459 + 70 : 459 + 140].mean() == pytest.approx(
    200, abs=3
  )
  assert picture[60:100, 459 + 10 : 459 + 50].mean() < 30


@pytest.mark.parametrize("count", [*range(1, 40), 90, 399])
def test_grid_shape_holds_all_and_is_near_square(count):
  rows, columns = clips.grid_shape(count)
  assert rows * columns >= count > (rows - 1) * columns
  assert 0 <= columns - rows <= 3
  if count in (4, 9, 16):
    assert rows == columns


@pytest.mark.parametrize("shape", [(16, 16), (700, 40), (40, 900), (720, 1280)])
@pytest.mark.parametrize("count", [2, 90])
def test_any_frame_size_fits(shape, count):
  videos = {
    "frames": [np.zeros((2, *shape, 3), np.uint8)] * count,
    "steps": [np.arange(2)] * count,
    "seq_lens": [2] * count,
    "names": ["a rather long name of a video, " * 3] * count,
  }
  match = np.arange(2)
  films = [
    clips.grid_clip(videos, 0, [match] * count),
    clips.pair_clip(videos, 0, 1, match, np.ones((2, 2))),
    clips.switch_clip(videos, 0, 1, 1, match),
  ]
  for clip in films:
    height, width, _ = clip.draw(1).shape
    assert max(height, width) <= 1920
    assert height % 2 == width % 2 == 0


# --- mistakes ----------------------------------------------------------------


@pytest.mark.parametrize(
  "options, message",
  [
    (
      {"video_path": "a.avi"},
      "--video_path: expected a name that ends in .mp4",
    ),
    ({"video_path": "a"}, "--video_path: expected a name that ends in .mp4"),
    ({"interval": 0}, "--interval: expected 1 to 60000 milliseconds"),
    ({"interval": float("nan")}, "--interval: expected 1 to 60000"),
    ({"reference_video": 3}, "--reference_video: expected 0 to 2.* got 3"),
    ({"reference_video": -1}, "--reference_video: expected 0 to 2.* got -1"),
    ({"candidate_video": 7}, "--candidate_video: expected 0 to 2.* got 7"),
    ({"candidate_video": 0}, "another video than --reference_video, got 0"),
    (
      {"video_path": "a.png", "grid_mode": False},
      "--video_path: a .png needs the grid mode",
    ),
    ({"switch_video": 3}, "--switch_video: works with --nogrid_mode only"),
    (
      {"switch_video": 12, "grid_mode": False},
      "--switch_video: expected 1 to 11, .* has 12 frames, got 12",
    ),
    ({"switch_video": 0, "grid_mode": False}, "--switch_video: expected 1 to"),
    ({"embs_path": "none.npy"}, "none.npy: no such embeddings file"),
  ],
)
def test_mistakes_are_told_and_leave_nothing(embs_path, out, options, message):
  options = {"embs_path": embs_path, "video_path": "a.mp4"} | options
  options["video_path"] = out / options["video_path"]
  with pytest.raises(UserError, match=message) as caught:
    visualize(**options)
  assert "\n" not in str(caught.value)
  assert not list(out.iterdir())


def change_videos(path, change):
  videos = embeddings.load(path)
  change(videos)
  embeddings.save(path, videos)


def drop_frames(videos):
  del videos["frames"]


def add_nan(videos):
  videos["embs"][1][3, 0] = np.nan


def empty_a_video(videos):
  for key in ("embs", "steps", "frames"):
    videos[key][1] = videos[key][1][:0]


def keep_one(videos):
  for key in videos:
    videos[key] = videos[key][:1]


@pytest.mark.parametrize(
  "change, message",
  [
    (drop_frames, "expected embeddings with frames .*--keep_data"),
    (add_nan, "expected finite embeddings, got NaN or infinity in video_1"),
    (empty_a_video, "expected frames in every video, got none in video_1"),
    (keep_one, "expected two or more videos to align, got one"),
  ],
)
def test_videos_that_cannot_be_aligned(embs_path, out, change, message):
  change_videos(embs_path, change)
  with pytest.raises(UserError, match=message) as caught:
    visualize(embs_path, out / "a.mp4")
  assert str(embs_path) in str(caught.value) and "\n" not in str(caught.value)
  assert not list(out.iterdir())


def test_too_many_videos_for_a_grid(tmp_path, out):
  path = write_embeddings(tmp_path / "e.npy", [TIMES[2]] * 101, shape=(4, 4))
  with pytest.raises(UserError, match="at most 100 videos in a grid of 960"):
    visualize(path, out / "a.gif")
  assert not list(out.iterdir())


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_error_while_drawing_leaves_nothing(out, name):
  def draw(i):
    if i == 3:
      raise RuntimeError("no more")
    return np.zeros((16, 16, 3), np.uint8)

  clip = clips.Clip(5, draw)
  with pytest.raises(RuntimeError, match="no more"):
    visualize_alignment._write(out / name, clip, 50)
  assert not list(out.iterdir())


# --- the script --------------------------------------------------------------


def run_script(*arguments):
  return subprocess.run(
    [sys.executable, ROOT / "visualize_alignment.py", *map(str, arguments)],
    capture_output=True,
    text=True,
    cwd=ROOT,
  )


def test_script_writes_what_the_function_writes(embs_path, out):
  done = run_script(
    f"--embs_path={embs_path}",
    f"--video_path={out / 'a.mp4'}",
    "--use_dtw",
    "--nogrid_mode",
    "--normalize_embeddings",
    "--reference_video=1",
    "--candidate_video=2",
    "--switch_video=4",
    "--interval=40",
  )
  assert done.returncode == 0, done.stderr
  visualize(
    embs_path,
    out / "b.mp4",
    use_dtw=True,
    grid_mode=False,
    normalize_embeddings=True,
    reference_video=1,
    candidate_video=2,
    switch_video=4,
    interval=40,
  )
  assert (out / "a.mp4").read_bytes() == (out / "b.mp4").read_bytes()


def test_script_tells_a_mistake_in_one_line(tmp_path):
  done = run_script(f"--embs_path={tmp_path / 'none.npy'}")
  assert done.returncode == 1
  assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
  done = run_script()
  assert done.returncode == 1
  assert "embs_path" in done.stderr and done.stderr.count("\n") == 1
