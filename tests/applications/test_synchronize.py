import dataclasses

import numpy as np
import pytest

from applications.synchronize import (
  choose_frames,
  match_times,
  synchronize,
)
from embeddings.types import EmbeddedVideo
from media.frames import Frame
from media.video_reader import VideoReader
from tests.helpers import video_files
from tests.helpers.embedded_videos import timed_videos, write
from tests.helpers.errors import message_of
from tests.helpers.image_files import make as make_images
from tests.helpers.warped_videos import curve
from visualization.matching import find_medoid

# Frames, frames per second, and the power that warps the time of each video.
KINDS = [(90, 30, 1.0), (60, 15, 1.6), (150, 25, 0.7)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
  """Films that brighten as their action goes on, and their embeddings."""
  folder = tmp_path_factory.mktemp("clips")
  rng = np.random.default_rng(0)
  videos = []
  for number, (count, rate, power) in enumerate(KINDS):
    progress = np.linspace(0, 1, count) ** power
    path = folder / "films" / f"clip{number}.mp4"
    path.parent.mkdir(exist_ok=True)
    grays = np.uint8(40 + 160 * progress).tolist()
    video_files.write_gray(path, "libx264", grays, rate=rate)
    # Every other frame is embedded.
    steps = np.arange(0, count, 2)
    embs = curve(progress[steps]) + rng.normal(0, 0.03, (len(steps), 3))
    facts = {"times": steps / rate, "source": f"films/{path.name}"}
    video = EmbeddedVideo(embs, steps, f"clip{number}", count, **facts)
    videos.append(video)
  return folder, videos


def read(path):
  """Times and brightness of the frames of a film."""
  reader = VideoReader(path)
  frames = [(frame.time, frame.image.mean()) for frame in reader]
  return (*np.array(frames).T, reader.facts)


@pytest.mark.parametrize("use_dtw", [True, False])
def test_all_play_in_step_with_the_reference(clips, use_dtw, tmp_path):
  folder, videos = clips
  path = write(tmp_path / "e.npy", videos)
  paths = synchronize(path, tmp_path, str(folder), "clip1", use_dtw=use_dtw)
  assert paths == [tmp_path / f"clip{number}.mp4" for number in range(3)]
  expected, bright, facts = read(folder / "films" / "clip1.mp4")
  events = np.quantile(bright, [0.2, 0.4, 0.6, 0.8])
  distances = []
  for number, copy in enumerate(paths):
    times, values, copied = read(copy)
    np.testing.assert_allclose(times, expected, atol=1e-4)
    assert copied.seconds == pytest.approx(facts.seconds, abs=1e-4)
    # Compression changes grays a little.
    assert np.diff(values).min() > -2
    if number == 1:
      np.testing.assert_allclose(values, bright, atol=2)
    reached = [times[np.argmax(values >= event - 1)] for event in events]
    original = [times[np.argmax(bright >= event - 1)] for event in events]
    distances += np.abs(np.subtract(reached, original)).tolist()
  assert np.median(distances) < 0.2 and max(distances) < 0.4


def test_the_medoid_sets_the_pace_by_default(clips, tmp_path):
  folder, videos = clips
  medoid = find_medoid([video.embs for video in videos])
  path = write(tmp_path / "e.npy", videos)
  paths = synchronize(path, tmp_path, str(folder))
  expected = VideoReader(folder / videos[medoid].source)
  times = [frame.time for frame in expected]
  for copy in paths:
    found = [frame.time for frame in VideoReader(copy)]
    np.testing.assert_allclose(found, times, atol=1e-4)


def test_one_video_is_written_beside_the_reference(clips, tmp_path):
  folder, videos = clips
  path = write(tmp_path / "e.npy", videos)
  everything = synchronize(path, tmp_path / "all", str(folder), "clip1")
  some = synchronize(path, tmp_path / "some", str(folder), "clip1", ["2"])
  assert [x.name for x in some] == ["clip1.mp4", "clip2.mp4"]
  assert sorted((tmp_path / "some").iterdir()) == some
  for copy, same in zip(some, everything[1:], strict=True):
    assert copy.read_bytes() == same.read_bytes()


def test_matched_times_are_smooth_and_keep_to_the_ends():
  reference, video = timed_videos(2, seed=0, lengths=(50, 80))
  warp = match_times(reference, video)
  assert warp.shape == reference.times.shape
  assert (np.diff(warp) >= 0).all()
  assert warp[[0, -1]].tolist() == pytest.approx([0, video.times[-1]])
  same = match_times(reference, reference)
  np.testing.assert_allclose(same, reference.times, atol=1e-9)
  one = reference.select(np.arange(1))
  assert match_times(one, video).shape == (1,)


def test_the_nearest_frames_are_chosen_in_one_pass():
  read = []

  def source():
    for index, time in enumerate((0.0, 1.0, 2.0, 10.0)):
      read.append(index)
      yield Frame(index, time, lambda: None)

  chosen = choose_frames(source(), [0, 0.5, 0.6, 5.9, 6.1, 99])
  found = []
  for frame in chosen:
    found.append(frame.index)
    # One frame ahead tells which is nearer.
    assert len(read) <= frame.index + 2
  assert found == [0, 0, 1, 2, 3, 3]
  assert [x.index for x in choose_frames(source(), [3, 3])] == [2, 2]


def test_folders_of_images_have_the_rate_of_their_embeddings(tmp_path):
  videos = timed_videos(2, seed=0, fps=5)
  for number, video in enumerate(videos):
    folder = make_images(tmp_path / f"take{number}", count=len(video.embs))
    videos[number] = dataclasses.replace(video, source=str(folder))
  path = write(tmp_path / "e.npy", videos)
  paths = synchronize(path, tmp_path / "out")
  times, _, _ = read(paths[1])
  np.testing.assert_allclose(times, videos[0].times, atol=1e-4)


def test_films_that_are_missing_or_would_be_replaced(clips, tmp_path):
  folder, videos = clips

  def told(videos, output_dir, video_dir):
    path = write(tmp_path / "e.npy", videos)
    return message_of(synchronize, path, output_dir, video_dir)

  assert told(videos, tmp_path, tmp_path) == (
    f"{tmp_path}/films/clip0.mp4: expected the file of clip0, received"
    " none; give the folder of the videos with --video_dir"
  )
  films = folder / "films"
  assert "where clip0.mp4 would be replaced;" in told(videos, films, folder)
  for changes, message in (
    ({"source": ""}, "received none for clip0;"),
    ({"times": None}, "received none for clip0;"),
  ):
    changed = [dataclasses.replace(videos[0], **changes), *videos[1:]]
    assert message in told(changed, tmp_path, folder)
  assert not list(tmp_path.glob("*.mp4"))


def test_copies_lie_in_the_folder_and_moved_films_are_found(clips, tmp_path):
  folder, videos = clips
  moved = [
    dataclasses.replace(
      video, name=f"../{video.name}", source=f"/elsewhere/{video.source}"
    )
    for video in videos[:2]
  ]
  path = write(tmp_path / "e.npy", moved)
  # With the folder that they are in, or without.
  for moved_to in (folder, folder / "films"):
    copies = synchronize(path, tmp_path / "out", moved_to)
  assert [x.name for x in copies] == [".._clip0.mp4", ".._clip1.mp4"]
  assert sorted((tmp_path / "out").iterdir()) == copies
