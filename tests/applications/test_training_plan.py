import dataclasses
import pathlib

import numpy as np
import pytest

import config as configuration
from applications import training_plan
from applications.folder_videos import ReadableVideo
from applications.training_plan import Cost, Plan
from core.errors import UserError
from tests.helpers import tiny

# About what two cores take.
COST = Cost(frame=0.007, step=0.5, num_bytes=100e3)


def folder(count, seconds=12.0, fps=30.0, read_seconds=0.002):
  path = pathlib.Path("clip.mp4")
  video = ReadableVideo(path, seconds, fps, read_seconds)
  return {f"clip{number}": video for number in range(count)}


def test_a_plan_fits_its_budget():
  for minutes in (5, 10, 30, 120):
    plan = training_plan.make_plan(folder(54), COST, minutes)
    assert plan.minutes <= minutes
    assert plan.steps >= 300


def test_more_time_is_used():
  plans = [
    training_plan.make_plan(folder(54), COST, minutes)
    for minutes in (2, 5, 10, 30, 120)
  ]
  costs = [plan.image_size**2 * plan.steps for plan in plans]
  assert costs == sorted(costs)
  assert len(set(costs)) == len(plans)


def test_frames_are_dropped_only_where_that_spares_time():
  plan = training_plan.make_plan(folder(6), COST, minutes=3)
  assert (plan.fps, plan.views, plan.image_size) == (10.0, 2, 112)
  assert 150 <= plan.steps < 300


def test_features_fit_on_the_disk():
  large = training_plan.make_plan(folder(54), COST, minutes=120)
  assert large.image_size == 224
  # 54 videos of 120 frames: 1.2 GB with one view at 112 pixels.
  small = training_plan.make_plan(folder(54), COST, 120, max_bytes=1.3e9)
  assert (small.image_size, small.views) == (112, 1)


def test_a_budget_that_is_too_small_is_exceeded_and_said():
  plan = training_plan.make_plan(folder(300, 60.0), COST, minutes=1)
  assert plan.minutes > 1
  assert (plan.steps, plan.views, plan.image_size) == (150, 1, 112)
  assert plan.fps == pytest.approx(0.5)


@pytest.mark.parametrize(
  ("count", "held_out"), [(2, 0), (9, 0), (10, 2), (54, 11)]
)
def test_videos_are_held_out_where_there_are_enough(count, held_out):
  plan = training_plan.make_plan(folder(count), COST, minutes=10)
  assert len(plan.held_out) == held_out
  assert sum(plan.splits.values(), []) != []
  assert sorted(sum(plan.splits.values(), [])) == sorted(plan.videos)
  assert list(plan.splits) == (["train", "val"] if held_out else ["train"])


def test_the_rate_is_one_that_all_videos_have():
  videos = folder(3, seconds=2.0)
  slow = videos["clip0"]._replace(fps=24.0)
  much_slower = videos["clip0"]._replace(fps=1.0)
  rate = training_plan.choose_fps([*videos.values(), slow], 120)
  assert rate == 24.0
  rate = training_plan.choose_fps([*videos.values(), slow, much_slower], 120)
  assert rate == 24.0
  assert training_plan.choose_fps(folder(3, seconds=40.0).values(), 120) == 3.0


def test_a_video_that_states_no_length_counts_as_the_others():
  videos = folder(4, seconds=6.0)
  unstated = {"clip0": videos["clip0"]._replace(seconds=0.0)}
  whole = training_plan.make_plan(videos, COST, minutes=10)
  assert training_plan.make_plan(videos | unstated, COST, 10) == whole
  none = {name: x._replace(seconds=0.0) for name, x in videos.items()}
  assert training_plan.make_plan(none, COST, 10).fps == 12.0


def test_a_plan_is_read_as_it_was_written(tmp_path):
  videos = {f"é\n{name}": x for name, x in folder(12).items()}
  plan = training_plan.make_plan(videos, COST, minutes=10)
  plan.save(tmp_path / "plan.yml")
  assert Plan.load(tmp_path / "plan.yml", videos) == plan
  with pytest.raises(UserError, match="'new' is new or gone"):
    Plan.load(tmp_path / "plan.yml", [*videos, "new"])
  (tmp_path / "plan.yml").write_text("videos: [a, b]")
  with pytest.raises(UserError, match=r"plan.yml: expected a plan"):
    Plan.load(tmp_path / "plan.yml", ["a", "b"])


def test_a_configuration_follows_the_plan(tmp_path):
  plan = training_plan.make_plan(folder(12), COST, minutes=10)
  plan = dataclasses.replace(plan, fps=9.0, image_size=168, views=2, steps=420)
  base = configuration.load([], ["TRAIN.BATCH_SIZE=3"])
  config = training_plan.build_config(base, plan, tmp_path)
  assert (config.IMAGE_SIZE, config.TRAIN.MAX_ITERS) == (168, 420)
  assert config.AUGMENTATION.CACHED_VIEWS == 2
  # Half a second, as at 30 frames a second in the paper.
  assert config.DATA.FRAME_STRIDE == 4
  assert config.TRAIN.BATCH_SIZE == 3
  assert base.IMAGE_SIZE == 224


@pytest.mark.parametrize("embedder", ["conv", "convgru"])
def test_cost_is_measured(embedder):
  config = tiny.config(f"MODEL.EMBEDDER_TYPE={embedder}", "DATA.NUM_STEPS=1")
  cost = training_plan.measure_cost(config)
  assert np.all(np.array(cost) > 0)
