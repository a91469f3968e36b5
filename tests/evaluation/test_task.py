"""All tasks through their public contract: golden numbers and hard data."""

import itertools
import json
import math

import numpy as np
import pytest

import config as configuration
from embeddings.types import EmbeddedSplit
from evaluation import TASKS
from evaluation.task import BatchTask, EmbeddingTask
from tests.helpers import naive_tasks
from tests.helpers.embedded_videos import evaluate, listen, made_videos
from tests.helpers.paths import GOLDEN_DIR

GOLDEN = json.loads((GOLDEN_DIR / "evaluation.json").read_text())
CLASSIFIERS = ["classification", "few_shot_classification"]
LABEL_TASKS = [*CLASSIFIERS, "event_completion"]
ORDER_TASKS = ["kendalls_tau", "cycle_consistency"]
EMBEDDING_TASKS = [*LABEL_TASKS, *ORDER_TASKS, "retrieval"]
every_task = pytest.mark.parametrize("task", EMBEDDING_TASKS)


def golden_split(split, count):
  with np.load(GOLDEN_DIR / "evaluation_inputs.npz") as arrays:
    return {
      key: [arrays[f"{split}_{key}_{i}"] for i in range(count)]
      for key in ("embs", "labels")
    }


def check_naive_headline(task, config, train, val):
  """The headline is that of the plain formulation; returns the warnings."""
  result, messages = listen(task, config, train, val)
  expected = naive_tasks.headline(task, config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9, nan_ok=True)
  return result, messages


def test_every_task_is_of_one_kind(config):
  kinds = {EmbeddingTask: EMBEDDING_TASKS, BatchTask: ["algo_loss"]}
  for name, task in TASKS.items():
    for kind, names in kinds.items():
      assert isinstance(task(config), kind) == (name in names)


@pytest.mark.parametrize("task", [*LABEL_TASKS, "kendalls_tau"])
def test_golden_numbers(task):
  train, val = golden_split("train", 12), golden_split("val", 6)
  task_of_defaults = TASKS[task](configuration.load())
  result = task_of_defaults.evaluate_embeddings("pouring", train, val)
  prefix = {"few_shot_classification": "few_shot_cxn"}.get(task, task) + "/"
  for tag, value in GOLDEN["scalars"].items():
    if tag.startswith(prefix):
      assert result.scalars[tag] == pytest.approx(value, abs=1e-6, rel=0)
  assert result.value == pytest.approx(GOLDEN["headline"][task], abs=1e-6)
  assert all(type(value) is float for value in result.scalars.values())


@every_task
def test_ordinary_data_give_numbers_without_warnings(task, config, train, val):
  result, messages = listen(task, config, train, val)
  assert not messages
  assert result.scalars
  assert all(0 <= value <= 1 for value in result.scalars.values())
  assert result.value > 0.7
  # The input belongs to the evaluator, which hands it to the next task.
  assert all(map(np.array_equal, train["embs"], made_videos(5, seed=0)["embs"]))
  # Tasks take what the house holds, and what users load, alike.
  splits = map(EmbeddedSplit.from_lists, (train, val))
  assert evaluate(task, config, *splits) == result


# Retrieval does not look at the training videos.
LABELS_NEEDED = [*itertools.product(LABEL_TASKS, ["train", "val"])]
LABELS_NEEDED += [("retrieval", "val")]


@pytest.mark.parametrize(("task", "split"), LABELS_NEEDED)
@pytest.mark.parametrize("kind", ["absent", "empty", "all -1"])
def test_no_labels_skips_with_one_warning(
  task, split, kind, config, train, val
):
  videos = {"train": train, "val": val}[split]
  of_no_use = [np.full(len(labels), -1) for labels in videos.pop("labels")]
  if kind != "absent":
    videos["labels"] = [] if kind == "empty" else of_no_use
  result, [message] = listen(task, config, train, val)
  assert math.isnan(result.value)
  assert result.scalars == {}
  assert f"toy: no usable frame labels in {split};" in message


def drop_phase_of_first_video(videos):
  keep = videos["labels"][0] != 1
  for key in videos:
    videos[key][0] = videos[key][0][keep]


def relabel(function):
  def change(videos):
    videos["labels"] = list(map(function, videos["labels"]))

  return change


@pytest.mark.parametrize("task", [*LABEL_TASKS, "retrieval"])
@pytest.mark.parametrize(
  ("change", "warns"),
  [
    (drop_phase_of_first_video, False),
    (relabel(lambda labels: np.where(labels == 1, 2, labels)), False),
    (relabel(lambda labels: np.maximum(labels, 1)), True),
    (relabel(lambda labels: np.r_[-1, labels[1:-2], -1, labels[-1]]), False),
  ],
  ids=["a video lacks a phase", "all lack it", "phases from 1", "no label"],
)
def test_phases_with_gaps(task, change, warns, config, val):
  train = made_videos(4, seed=0)
  change(train)
  change(val)
  result, messages = check_naive_headline(task, config, train, val)
  assert result.value > 0.7
  assert all(math.isfinite(value) for value in result.scalars.values())
  assert messages == (warns and task == "event_completion") * [
    "toy: event_completion finds no frame of phase 0, whose end it takes as an"
    " event before each video; labels should count from 0"
  ]


@pytest.mark.parametrize(
  ("task", "measure"),
  [("classification", "accuracy"), ("event_completion", "score")],
)
def test_a_phase_that_a_fraction_lacks(task, measure, config, val):
  train = made_videos(10, seed=0)
  train["labels"][0] = np.minimum(train["labels"][0], 2)
  result, messages = check_naive_headline(task, config, train, val)
  assert not messages
  assert all(math.isfinite(value) for value in result.scalars.values())
  first = {key: entries[:1] for key, entries in train.items()}
  expected = naive_tasks.headline(task, config, first, val)
  of_first = result.scalars[f"{task}/val_toy_0.1_{measure}"]
  assert of_first == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_unlabeled_videos_and_frames_do_not_count(task, config, train, val):
  expected = evaluate(task, config, train, val)
  for videos in (train, val):
    # First, so that it would be the first fraction's only video.
    videos["embs"].insert(0, 100 * np.ones((7, 3), np.float32))
    videos["labels"].insert(0, np.full(7, -1))
    if task in CLASSIFIERS:  # Progression counts the frames of a video.
      videos["embs"] = [np.pad(x, [(3, 3), (0, 0)]) for x in videos["embs"]]
      padded = [np.pad(x, 3, constant_values=-1) for x in videos["labels"]]
      videos["labels"] = padded
  scalars = evaluate(task, config, train, val).scalars
  assert scalars == pytest.approx(expected.scalars, abs=1e-9)


@every_task
def test_frames_with_nan_embeddings_are_dropped_and_counted(
  task, config, train
):
  val = made_videos(4, seed=1)
  total = sum(map(len, val["embs"]))
  val["embs"][0][3:8, 0] = math.nan
  val["embs"][2][:, 1] = math.inf
  dropped = 5 + len(val["embs"][2])
  result, messages = listen(task, config, train, val)
  assert messages == [
    f"toy: {dropped} of {total} val frames have NaN or infinite embeddings and"
    " are left out"
  ]
  assert result.value > 0.7


@every_task
def test_embeddings_that_are_all_nan_never_give_a_number(
  task, config, train, val
):
  for embs in val["embs"]:
    embs[:] = math.nan
  result, messages = listen(task, config, train, val)
  assert math.isnan(result.value)
  assert len(messages) == 2  # what was dropped, and what follows from it


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_one_validation_video_is_enough_for_label_tasks(task, config, train):
  val = made_videos(1, seed=1)
  result, messages = check_naive_headline(task, config, train, val)
  assert not messages
  assert result.value > 0.7


@every_task
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 5])
def test_videos_of_one_to_five_frames(task, length, stride, config):
  config.EVAL.KENDALLS_TAU_STRIDE = stride
  lengths = (length, length + 1)
  train = made_videos(6, seed=0, lengths=lengths)
  val = made_videos(4, seed=1, lengths=lengths)
  result, messages = check_naive_headline(task, config, train, val)
  undefined = length == 1 and task == "event_completion"
  undefined |= length <= stride and task in ORDER_TASKS
  assert bool(messages) == math.isnan(result.value) == undefined


@every_task
def test_an_empty_video_among_others(task, config, train, val):
  for videos in (train, val):
    videos["embs"].append(np.empty((0, 3), np.float32))
    videos["labels"].append(np.empty(0, np.int64))
  result, messages = listen(task, config, train, val)
  assert not messages
  assert result.value > 0.7


@every_task
def test_no_videos_at_all(task, config):
  nothing = {"embs": [], "labels": []}
  with pytest.warns(UserWarning, match="toy: "):
    result = evaluate(task, config, nothing, nothing)
  assert math.isnan(result.value)


@pytest.mark.parametrize("task", CLASSIFIERS)
def test_the_names_of_phases_do_not_matter(task, config, train, val):
  expected = evaluate(task, config, train, val)
  # The order is kept: it decides between phases with equally many votes.
  names = np.array([3, 10, 11, 40])
  for videos in (train, val):
    videos["labels"] = [names[x] for x in videos["labels"]]
  renamed = evaluate(task, config, train, val)
  assert list(renamed.scalars.values()) == list(expected.scalars.values())
  # On this curve no phases get equally many votes, so that all may change.
  permuted = np.array([2, 0, 3, 1])
  for videos in (train, val):
    places = [np.searchsorted(names, x) for x in videos["labels"]]
    videos["labels"] = [permuted[x] for x in places]
  result = evaluate(task, config, train, val)
  tag = "classification/val_toy_phase_{}_accuracy"
  tags = {tag.format(i): tag.format(k) for i, k in enumerate(permuted)}
  assert result.scalars == {
    tags.get(tag, tag): value for tag, value in expected.scalars.items()
  }
  assert 0.5 < result.value < 1


@every_task
def test_scale_and_offset_of_embeddings_do_not_matter(task, config, train, val):
  expected = evaluate(task, config, train, val)
  for videos in (train, val):
    videos["embs"] = [64 * x.astype(np.float64) + 2**20 for x in videos["embs"]]
  result = evaluate(task, config, train, val)
  assert result.value == pytest.approx(expected.value, abs=1e-6)


@every_task
def test_images_are_what_tensorboard_takes(task, config, train, val):
  images = evaluate(task, config, train, val).images
  expected = {
    "classification": ["val_toy_confusion", "toy_accuracy"],
    "few_shot_classification": ["toy_accuracy"],
    "kendalls_tau": ["toy_val_similarity", "toy_val_similarity_worst"],
  }
  assert [tag.partition("/")[2] for tag in images] == expected.get(task, [])
  for image in images.values():
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert image.min() < 100 and image.max() == 255
