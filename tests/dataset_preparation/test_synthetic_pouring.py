import itertools
import json

import cv2
import numpy as np
import pytest

from core.errors import UserError
from dataset_preparation.synthetic_pouring import __main__ as script
from dataset_preparation.synthetic_pouring import generation, motion, scene
from evaluation.kendalls_tau import pairwise_taus
from media import video_reader
from tests.helpers.processes import run_python
from tests.helpers.record_files import contents


@pytest.fixture(scope="module")
def small(tmp_path_factory):
  """A folder with a video for training and one for validation."""
  folder = tmp_path_factory.mktemp("small")
  generation.generate_dataset(folder, 1, 1, seed=5)
  return folder


@pytest.mark.parametrize("name", ["num_train", "num_val", "seed"])
def test_wrong_numbers_and_folders_are_refused(tmp_path, name):
  arguments = {"num_train": 0, "num_val": 0, "seed": 0, name: -2}
  with pytest.raises(UserError, match=f"--{name}: expected 0 or more, .* -2"):
    generation.generate_dataset(tmp_path / "out", **arguments)
  assert not (tmp_path / "out").exists()
  (tmp_path / "file").touch()
  with pytest.raises(UserError, match="file: expected a folder to write"):
    generation.generate_dataset(tmp_path / "file", 1, 0, seed=0)


@pytest.mark.slow
def test_a_larger_set_starts_with_the_smaller_one(small, tmp_path, monkeypatch):
  """Whether made at once, by one process, or by the script."""
  before = contents(small)
  train = [f"train/pouring_train_000{index}.mp4" for index in range(2)]
  val = "val/pouring_val_0000.mp4"
  assert set(before) == {"labels.json", train[0], val}
  labels = json.loads(before["labels.json"])
  assert set(labels) == {path.stem for path in small.glob("*/*.mp4")}
  flags = ("--num_train=0", "--num_val=1", "--seed=5", "--output_dir=out")
  done = run_python(script.__file__, *flags, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  made = contents(tmp_path / "out")
  assert set(made) == {"labels.json", val} and made[val] == before[val]
  # Files of others stay.
  (tmp_path / "out" / train[0]).write_text("old")
  (tmp_path / "out" / "train" / "mine.txt").write_text("mine")
  monkeypatch.setattr("os.cpu_count", lambda: 1)
  larger = generation.generate_dataset(tmp_path / "out", 2, 0, seed=5)
  made = contents(tmp_path / "out")
  assert set(made) == {"labels.json", "train/mine.txt", *train, val}
  assert made["train/mine.txt"] == b"mine"
  assert made[train[0]] == before[train[0]]
  name = "pouring_train_0000"
  assert len(larger) == 2 and larger[name] == labels[name]
  # Each of another seed, split or number is another.
  generation.generate_dataset(tmp_path / "other", 1, 0, seed=6)
  clips = {*contents(small).values(), *contents(tmp_path / "other").values()}
  assert len(clips) == 5  # Three videos and two files of labels.


def test_labels_are_five_phases_that_fill_the_video(small):
  labels = json.loads((small / "labels.json").read_text())
  for path in small.glob("*/*.mp4"):
    frames = list(video_reader.VideoReader(path))
    assert 58 <= len(frames) <= 142
    assert frames[0].image.shape == (144, 192, 3)
    assert frames[1].time == pytest.approx(1 / motion.FPS, abs=1e-3)
    (phases,) = labels[path.stem].values()
    assert list(phases) == ["0", "1", "2", "3", "4"]
    assert phases["0"][0] == 0
    for before, after in itertools.pairwise(phases.values()):
      assert before[0] < before[1] == after[0]
    end = len(frames) / motion.FPS * 1e6
    assert phases["4"][1] == pytest.approx(end, abs=1)
    # No frame is nearer than a third of a frame's time to a key event.
    times = np.array([frame.time for frame in frames]) * 1e6
    events = np.array([phases[str(k)][0] for k in range(1, 5)])
    assert np.abs(times[:, None] - events).min() > 1e6 / motion.FPS / 3


def test_what_happens_in_the_script():
  for seed in range(20):
    script = motion.draw_script(np.random.default_rng(seed))
    times = np.arange(sum(script.frames)) / motion.FPS
    states = [motion.compute_state(script, time) for time in times]
    phase = np.repeat(np.arange(5), script.frames)
    tilt = np.array([state.tilt for state in states])
    cup = np.array([state.cup_fill for state in states])
    flows = np.array([state.stream[1] > state.stream[0] for state in states])
    height = np.array([state.ground - state.bottle[1] for state in states])
    np.testing.assert_array_equal(flows, phase == 2)
    assert np.all(np.diff(cup) >= 0) and cup[0] == 0
    assert cup[-1] == pytest.approx(script.cup_fill)
    standing = (phase == 0) | (phase == 4)
    np.testing.assert_allclose(tilt[standing], 0)
    np.testing.assert_allclose(height[standing], 0, atol=1e-9)
    assert tilt[phase == 2].min() > np.radians(30)
    # Back and front of the table: what tells before from after in a mirror.
    assert states[-1].bottle[1] - states[0].bottle[1] > 0.12
    # Nothing jumps: less than a tenth of the picture from frame to frame.
    hand = np.array([state.hand for state in states])
    assert np.abs(np.diff(hand, axis=0)).max() < 0.15


def test_a_quarter_of_the_videos_is_mirrored(monkeypatch):
  # What takes long to draw.
  monkeypatch.setattr(scene.background, "draw_background", lambda *_: None)
  styles = map(scene.draw_style, map(np.random.default_rng, range(400)))
  assert 70 < sum(style.mirrored for style in styles) < 130


@pytest.mark.slow
def test_raw_pixels_do_not_align_the_videos():
  films = []
  for seed in range(12):
    rng = np.random.default_rng(seed)
    script = motion.draw_script(rng)
    style = scene.draw_style(rng)
    small = []
    for time in np.arange(0, sum(script.frames), 5) / motion.FPS:
      state = motion.compute_state(script, time)
      picture = scene.draw_scene(script, style, state)
      small.append(cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA))
    films.append(np.reshape(small, [len(small), -1]).astype(float))
  # Without what a video shows all along, its background, as well.
  moving = [pixels - pixels.mean(axis=0) for pixels in films]
  assert np.nanmean(pairwise_taus(films, "sqeuclidean")) < 0.2
  assert np.nanmean(pairwise_taus(moving, "sqeuclidean")) < 0.2
