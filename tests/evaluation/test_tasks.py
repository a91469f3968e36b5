"""The tasks through their public contract: golden numbers and hard data."""

import itertools
import json
import math
import warnings

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist

import config as configuration
from core.errors import UserError
from evaluation import TASKS, cycle_consistency
from evaluation.kendalls_tau import pairwise_taus
from tests.helpers import naive_tasks, tiny
from tests.helpers.paths import GOLDEN_DIR

GOLDEN = json.loads((GOLDEN_DIR / "evaluation.json").read_text())
LABEL_TASKS = [
  "classification",
  "event_completion",
  "few_shot_classification",
]
GOLDEN_TASKS = [*LABEL_TASKS, "kendalls_tau"]
EMBEDDING_TASKS = [*GOLDEN_TASKS, "retrieval", "cycle_consistency"]


@pytest.fixture
def config():
  small = ["FEW_SHOT_NUM_LABELED=[1,3]", "FEW_SHOT_NUM_EPISODES=4"]
  small += ["RETRIEVAL_K=[1,3]"]
  return configuration.load(settings=[f"EVAL.{setting}" for setting in small])


def golden_split(split, count):
  with np.load(GOLDEN_DIR / "evaluation_inputs.npz") as arrays:
    return {
      key: [arrays[f"{split}_{key}_{i}"] for i in range(count)]
      for key in ("embs", "labels")
    }


def made_videos(num_videos, seed, lengths=(25, 40), num_phases=4):
  """Videos that run along one curve, at different speeds, with some noise."""
  random = np.random.default_rng(seed)
  videos = {"embs": [], "labels": []}
  for _ in range(num_videos):
    times = np.linspace(0, 1, random.integers(*lengths)) ** random.uniform(
      0.7, 1.4
    )
    curve = np.stack([np.cos(3 * times), np.sin(3 * times), times], axis=1)
    embs = curve + 0.05 * random.normal(size=curve.shape)
    videos["embs"].append(embs.astype(np.float32))
    phases = np.minimum(times * num_phases, num_phases - 1)
    videos["labels"].append(phases.astype(np.int64))
  return videos


def evaluate(task, config, train, val):
  return TASKS[task](config).evaluate_embeddings("toy", train, val)


def messages_of(task, config, train, val):
  """The result and the texts of all warnings."""
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    result = evaluate(task, config, train, val)
  return result, [str(warning.message) for warning in caught]


def same_scalars(a, b):
  return a.scalars.keys() == b.scalars.keys() and all(
    a.scalars[tag] == pytest.approx(b.scalars[tag], abs=1e-9)
    for tag in a.scalars
  )


@pytest.mark.parametrize("task", GOLDEN_TASKS)
def test_golden_numbers(task):
  train, val = golden_split("train", 12), golden_split("val", 6)
  task_of_defaults = TASKS[task](configuration.load())
  result = task_of_defaults.evaluate_embeddings("pouring", train, val)
  prefix = {"few_shot_classification": "few_shot_cxn"}.get(task, task) + "/"
  expected = {
    tag: value
    for tag, value in GOLDEN["scalars"].items()
    if tag.startswith(prefix)
  }
  scalars = {tag: result.scalars[tag] for tag in expected}
  assert scalars == pytest.approx(expected, abs=1e-6, rel=0)
  assert result.value == pytest.approx(GOLDEN["headline"][task], abs=1e-6)
  assert all(type(value) is float for value in result.scalars.values())


@pytest.mark.parametrize("task", EMBEDDING_TASKS)
def test_ordinary_data_gives_numbers_without_warnings(task, config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
  result, messages = messages_of(task, config, train, val)
  assert not messages
  assert result.scalars
  assert all(0 <= value <= 1 for value in result.scalars.values())
  assert result.value > 0.7
  # The input belongs to the evaluator, which hands it to the next task.
  again = made_videos(5, seed=0)
  assert all(map(np.array_equal, train["embs"], again["embs"]))


@pytest.mark.parametrize(
  ("task", "split"),
  [
    *itertools.product(LABEL_TASKS, ["train", "val"]),
    ("retrieval", "val"),  # which does not look at the training videos
  ],
)
@pytest.mark.parametrize("without", ["absent", "empty", "all -1"])
def test_no_labels_skips_with_one_warning(task, without, split, config):
  splits = {"train": made_videos(4, seed=0), "val": made_videos(3, seed=1)}
  videos = splits[split]
  if without == "absent":
    del videos["labels"]
  elif without == "empty":
    videos["labels"] = []
  else:
    videos["labels"] = [np.full_like(x, -1) for x in videos["labels"]]
  result, messages = messages_of(task, config, **splits)
  assert math.isnan(result.value)
  assert result.scalars == {}
  assert len(messages) == 1
  assert f"toy: no usable frame labels in {split};" in messages[0]


def test_kendalls_tau_needs_no_labels(config):
  train, val = made_videos(3, seed=0), made_videos(3, seed=1)
  with_labels = evaluate("kendalls_tau", config, train, val)
  del train["labels"], val["labels"]
  assert evaluate("kendalls_tau", config, train, val) == with_labels


@pytest.mark.parametrize("task", [*LABEL_TASKS, "retrieval"])
def test_a_video_without_some_phase_is_used(task, config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  for videos in (train, val):
    keep = videos["labels"][0] != 1
    videos["embs"][0] = videos["embs"][0][keep]
    videos["labels"][0] = videos["labels"][0][keep]
  result, messages = messages_of(task, config, train, val)
  assert not messages
  assert result.value > 0.7
  expected = naive_tasks.headline(task, config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("task", [*LABEL_TASKS, "retrieval"])
def test_a_phase_that_no_video_has(task, config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  for videos in (train, val):
    videos["labels"] = [np.where(x == 1, 2, x) for x in videos["labels"]]
  result, messages = messages_of(task, config, train, val)
  assert not messages
  assert all(math.isfinite(value) for value in result.scalars.values())
  expected = naive_tasks.headline(task, config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("task", [*LABEL_TASKS, "retrieval"])
def test_labels_that_count_from_1(task, config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  for videos in (train, val):
    videos["labels"] = [np.maximum(x, 1) for x in videos["labels"]]
  result, messages = messages_of(task, config, train, val)
  expected = naive_tasks.headline(task, config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9)
  assert messages == (task == "event_completion") * [
    "toy: event_completion finds no frame of phase 0, whose end it takes as an"
    " event before each video; labels should count from 0"
  ]


def test_a_fraction_with_one_phase_predicts_it(config):
  train, val = made_videos(10, seed=0), made_videos(3, seed=1)
  train["labels"][0][:] = 2
  result = evaluate("classification", config, train, val)
  labels = np.concatenate(val["labels"])
  scalars = result.scalars
  assert scalars["classification/train_toy_0.1_accuracy"] == 1
  share = (labels == 2).mean()
  assert scalars["classification/val_toy_0.1_accuracy"] == share
  assert scalars["classification/val_toy_1.0_accuracy"] > share


@pytest.mark.parametrize("task", ["classification", "event_completion"])
def test_a_phase_that_a_fraction_lacks(task, config):
  train, val = made_videos(10, seed=0), made_videos(3, seed=1)
  train["labels"][0] = np.minimum(train["labels"][0], 2)
  result, messages = messages_of(task, config, train, val)
  assert not messages
  assert all(math.isfinite(value) for value in result.scalars.values())
  expected = naive_tasks.headline(task, config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9)
  first = {key: entries[:1] for key, entries in train.items()}
  expected = naive_tasks.headline(task, config, first, val)
  measure = {"classification": "accuracy", "event_completion": "score"}[task]
  of_first = result.scalars[f"{task}/val_toy_0.1_{measure}"]
  assert of_first == pytest.approx(expected, abs=1e-9)


def test_event_completion_is_skipped_when_there_is_one_phase(config):
  train, val = made_videos(4, 0, num_phases=1), made_videos(3, 1, num_phases=1)
  result, messages = messages_of("event_completion", config, train, val)
  assert result.scalars == {}
  assert len(messages) == 1
  assert "an event lies between two phases" in messages[0]
  assert evaluate("classification", config, train, val).value == 1


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_unlabeled_videos_and_frames_do_not_count(task, config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
  expected = evaluate(task, config, train, val)
  for videos in (train, val):
    # First, so that it would be the first fraction's only video.
    videos["embs"].insert(0, 100 * np.ones((7, 3), np.float32))
    videos["labels"].insert(0, np.full(7, -1))
  assert same_scalars(evaluate(task, config, train, val), expected)


@pytest.mark.parametrize("task", ["classification", "few_shot_classification"])
def test_unlabeled_frames_are_ignored_by_classifiers(task, config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
  expected = evaluate(task, config, train, val)
  for videos in (train, val):
    for i, (embs, labels) in enumerate(zip(*videos.values(), strict=True)):
      junk = 100 * np.ones((6, 3), np.float32)
      videos["embs"][i] = np.concatenate([junk[:3], embs, junk[3:]])
      videos["labels"][i] = np.pad(labels, 3, constant_values=-1)
  assert same_scalars(evaluate(task, config, train, val), expected)


@pytest.mark.parametrize("task", EMBEDDING_TASKS)
def test_frames_with_nan_embeddings_are_dropped_and_counted(task, config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
  total = sum(map(len, val["embs"]))
  val["embs"].append(made_videos(1, seed=2)["embs"][0])
  val["labels"].append(made_videos(1, seed=2)["labels"][0])
  total += len(val["embs"][3])
  val["embs"][0][3:8, 0] = math.nan
  val["embs"][2][:, 1] = math.inf
  dropped = 5 + len(val["embs"][2])
  result, messages = messages_of(task, config, train, val)
  assert messages == [
    f"toy: {dropped} of {total} val frames have NaN or infinite embeddings and"
    " are left out"
  ]
  assert result.value > 0.7


@pytest.mark.parametrize("task", EMBEDDING_TASKS)
def test_embeddings_that_are_all_nan_never_give_a_number(task, config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  for embs in val["embs"]:
    embs[:] = math.nan
  result, messages = messages_of(task, config, train, val)
  assert math.isnan(result.value)
  assert len(messages) == 2  # what was dropped, and what follows from it


def test_one_validation_video_has_no_tau(config):
  train, val = made_videos(4, seed=0), made_videos(1, seed=1)
  result, messages = messages_of("kendalls_tau", config, train, val)
  assert math.isnan(result.value)
  assert math.isnan(result.scalars["kendalls_tau/toy_val_align_tau"])
  assert result.scalars["kendalls_tau/toy_train_align_tau"] > 0.8
  assert len(messages) == 1
  assert "Kendall's tau of val is NaN" in messages[0]
  assert messages[0].endswith("at EVAL.KENDALLS_TAU_STRIDE=5")


def test_collapsed_embeddings_have_no_tau(config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  val["embs"] = [np.full_like(x, 0.1) for x in val["embs"]]
  result, messages = messages_of("kendalls_tau", config, train, val)
  assert math.isnan(result.value)
  assert len(messages) == 1


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_one_validation_video_is_enough_for_label_tasks(task, config):
  train, val = made_videos(4, seed=0), made_videos(1, seed=1)
  result, messages = messages_of(task, config, train, val)
  assert not messages
  assert result.value > 0.7


@pytest.mark.parametrize("task", EMBEDDING_TASKS)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 5])
def test_videos_of_one_to_five_frames(task, length, stride, config):
  config.EVAL.KENDALLS_TAU_STRIDE = stride
  lengths = (length, length + 1)
  train = made_videos(6, seed=0, lengths=lengths)
  val = made_videos(4, seed=1, lengths=lengths)
  result, messages = messages_of(task, config, train, val)
  expected = naive_tasks.headline(task, config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9, nan_ok=True)
  without_order = ("kendalls_tau", "cycle_consistency")
  undefined = (length == 1 and task == "event_completion") or (
    length <= stride and task in without_order
  )
  assert bool(messages) == math.isnan(expected) == undefined


def test_videos_of_a_single_frame_are_no_part_of_cycles(config):
  val = made_videos(4, seed=0)
  expected = evaluate("cycle_consistency", config, None, val)
  short = made_videos(2, seed=1, lengths=(3, 5))
  with_short = {key: short[key][:1] + val[key] + short[key][1:] for key in val}
  result, messages = messages_of("cycle_consistency", config, {}, with_short)
  assert result == expected
  assert messages == [
    "toy: cycle_consistency leaves out 2 of 6 val videos, which have a single"
    " frame at EVAL.KENDALLS_TAU_STRIDE=5"
  ]
  result, messages = messages_of("cycle_consistency", config, {}, short)
  assert len(result.scalars) == 3
  assert all(map(math.isnan, result.scalars.values()))
  assert "leaves out 2 of 2 val videos" in messages[0]
  assert "there are 0 with finite embeddings of two frames" in messages[1]


def test_a_mixture_of_lengths_with_an_empty_video(config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  for videos in (train, val):
    videos["embs"].append(np.empty((0, 3), np.float32))
    videos["labels"].append(np.empty(0, np.int64))
  for task in EMBEDDING_TASKS:
    result, messages = messages_of(task, config, train, val)
    assert not messages
    assert result.value > 0.7


def test_no_videos_at_all(config):
  nothing = {"embs": [], "labels": []}
  for task in EMBEDDING_TASKS:
    with pytest.warns(UserWarning, match="toy: "):
      result = evaluate(task, config, nothing, nothing)
    assert math.isnan(result.value)


def test_single_frame_has_no_event_completion_score(config):
  train, val = made_videos(4, seed=0), made_videos(1, 1, lengths=(1, 2))
  result, messages = messages_of("event_completion", config, train, val)
  assert math.isnan(result.value)
  assert len(messages) == 1
  assert "R² needs at least two frames" in messages[0]
  assert result.scalars["event_completion/train_toy_1.0_score"] > 0.7


def test_events_whose_time_does_not_vary_do_not_count(config):
  config.EVAL.CLASSIFICATION_FRACTIONS = [1.0]
  train, val = made_videos(6, seed=0), made_videos(4, 1, lengths=(1, 2))
  val["labels"] = [np.array([label]) for label in (0, 1, 0, 1)]
  result, messages = messages_of("event_completion", config, train, val)
  expected = naive_tasks.headline("event_completion", config, train, val)
  assert result.value == pytest.approx(expected, abs=1e-9)
  assert messages == [
    "toy: the time since an event is the same for all frames, and it does not"
    " count: the end of phase 1, 2 in event_completion/val_toy_1.0_score"
  ]
  val["labels"] = 4 * [np.array([3])]
  result, messages = messages_of("event_completion", config, train, val)
  assert math.isnan(result.value)
  assert len(messages) == 1
  assert "event_completion/val_toy_1.0_score is NaN, R² needs" in messages[0]


def test_more_labeled_videos_than_there_are_are_left_out(config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  config.EVAL.FEW_SHOT_NUM_LABELED = [1, 4]
  expected = evaluate("few_shot_classification", config, train, val)
  config.EVAL.FEW_SHOT_NUM_LABELED = [1, 4, 5, 9]
  result, messages = messages_of("few_shot_classification", config, train, val)
  assert result == expected
  assert len(messages) == 1
  assert "with 5, 9 labeled videos is left out" in messages[0]
  config.EVAL.FEW_SHOT_NUM_LABELED = [9]
  result, messages = messages_of("few_shot_classification", config, train, val)
  assert math.isnan(result.value)
  assert result.scalars == {}


def test_one_episode_has_no_interval(config):
  config.EVAL.FEW_SHOT_NUM_EPISODES = 1
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  result, messages = messages_of("few_shot_classification", config, train, val)
  assert not messages
  assert math.isnan(result.scalars["few_shot_cxn/val_toy_1_ci"])
  assert result.scalars["few_shot_cxn/val_toy_1_accuracy"] > 0.5


def test_every_video_as_label_leaves_nothing_to_chance(config):
  train, val = made_videos(4, seed=0), made_videos(3, seed=1)
  config.EVAL.FEW_SHOT_NUM_LABELED = [4]
  few_shot = evaluate("few_shot_classification", config, train, val)
  all_labels = evaluate("classification", config, train, val)
  assert few_shot.value == pytest.approx(all_labels.value, abs=0.01)
  assert few_shot.scalars["few_shot_cxn/val_toy_4_ci"] < 0.01


@pytest.mark.parametrize("task", ["classification", "few_shot_classification"])
def test_the_names_of_phases_do_not_matter(task, config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
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
    videos["labels"] = [
      permuted[np.searchsorted(names, x)] for x in videos["labels"]
    ]
  result = evaluate(task, config, train, val)
  tag = "classification/val_toy_phase_{}_accuracy"
  tags = {tag.format(i): tag.format(k) for i, k in enumerate(permuted)}
  assert result.scalars == {
    tags.get(tag, tag): value for tag, value in expected.scalars.items()
  }
  assert 0.5 < result.value < 1


@pytest.mark.parametrize("task", EMBEDDING_TASKS)
def test_scale_and_offset_of_embeddings_do_not_matter(task, config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
  expected = evaluate(task, config, train, val)
  for videos in (train, val):
    videos["embs"] = [64 * x.astype(np.float64) + 2**20 for x in videos["embs"]]
  result = evaluate(task, config, train, val)
  assert result.value == pytest.approx(expected.value, abs=1e-6)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_tau_of_warped_and_reversed_videos(distance, config):
  config.EVAL.KENDALLS_TAU_STRIDE = 1
  config.EVAL.KENDALLS_TAU_DISTANCE = distance
  angles = np.linspace(0, 1.5, 30)

  def video(times):
    return np.stack([np.cos(times), np.sin(times)], 1).astype(np.float32)

  warped = {"embs": [video(angles), video(angles**2 / 1.5)]}
  reversed_ = {"embs": [video(angles), video(angles[::-1])]}
  result = evaluate("kendalls_tau", config, reversed_, warped)
  tau = result.scalars["kendalls_tau/toy_train_align_tau"]
  assert tau == pytest.approx(-1, abs=1e-12)
  # Some frames of the slow part share a neighbor, and tau-b knows ties.
  assert 0.95 < result.value <= 1
  # Where each frame has a neighbor of its own, tau is 1.
  dense = video(np.linspace(0, 1.5, 3000) ** 2 / 1.5)
  assert pairwise_taus([video(angles), dense], distance)[0, 1] == (
    pytest.approx(1, abs=1e-12)
  )
  mild = video(angles + 0.4 * angles[1] * np.sin(3 * angles))
  mildly_warped = {"embs": [video(angles), mild]}
  result = evaluate("kendalls_tau", config, mildly_warped, mildly_warped)
  assert list(result.scalars.values()) == pytest.approx([1, 1], abs=1e-12)
  same = {"embs": [video(angles), 3 * video(angles)]}
  if distance == "cosine":
    result = evaluate("kendalls_tau", config, same, same)
    assert result.value == pytest.approx(1, abs=1e-12)


def copies(video, count):
  return {key: count * video[key] for key in ("embs", "labels")}


def test_retrieval_of_a_copied_set_is_1(config):
  config.EVAL.RETRIEVAL_K = [1, 4]
  val = copies(made_videos(1, seed=0), 5)
  result = evaluate("retrieval", config, None, val)
  assert result.scalars == {
    "retrieval/val_toy_ap@1": 1,
    "retrieval/val_toy_ap@4": 1,
  }
  assert result.value == 1


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_retrieval_against_a_loop(distance, config):
  config.EVAL.KENDALLS_TAU_DISTANCE = distance
  config.EVAL.KENDALLS_TAU_STRIDE = 2
  config.EVAL.RETRIEVAL_K = [3, 7]
  random = np.random.default_rng(0)
  val = {
    "embs": [random.normal(size=(n, 4)) for n in (20, 31, 8)],
    "labels": [random.integers(-1, 3, size=n) for n in (20, 31, 8)],
  }
  kept = [
    (embs[labels >= 0][::2], labels[labels >= 0][::2])
    for embs, labels in zip(*val.values(), strict=True)
  ]
  for k in (3, 7):
    of_videos = []
    for i, (embs, labels) in enumerate(kept):
      others = [video for j, video in enumerate(kept) if j != i]
      candidates = np.concatenate([video[0] for video in others])
      phases = np.concatenate([video[1] for video in others])
      precisions = [
        (phases[np.argsort(row)[:k]] == label).mean()
        for row, label in zip(
          cdist(embs, candidates, distance), labels, strict=True
        )
      ]
      of_videos.append(np.mean(precisions))
    result = evaluate("retrieval", config, None, val)
    precision = result.scalars[f"retrieval/val_toy_ap@{k}"]
    assert precision == pytest.approx(np.mean(of_videos), abs=1e-12)


def test_retrieval_with_too_few_frames(config):
  config.EVAL.RETRIEVAL_K = [3, 500]
  result, messages = messages_of("retrieval", config, {}, made_videos(3, 0))
  assert list(result.scalars) == ["retrieval/val_toy_ap@3"]
  assert len(messages) == 1 and "retrieval of 500 frames is left" in messages[0]
  result, messages = messages_of("retrieval", config, {}, made_videos(1, 0))
  assert math.isnan(result.value) and result.scalars == {}
  assert messages == [
    "toy: retrieval is skipped, it needs at least two validation videos with"
    " labels and there is one"
  ]


def test_cycles_of_copies_return(config):
  val = copies(made_videos(1, seed=0), 4)
  result = evaluate("cycle_consistency", config, None, val)
  assert result.scalars == {
    "cycle_consistency/val_toy_2way": 1,
    "cycle_consistency/val_toy_3way": 1,
    "cycle_consistency/val_toy_error": 0,
  }


def test_cycle_consistency_against_loops(config, monkeypatch):
  monkeypatch.setattr(cycle_consistency, "_MAX_CYCLES", 40)
  config.EVAL.KENDALLS_TAU_STRIDE = 3
  val = made_videos(4, seed=0)
  embs = [video[::3].astype(np.float64) for video in val["embs"]]
  nearest = [[cdist(u, v).argmin(axis=1) for v in embs] for u in embs]
  twice, thrice, errors = [], [], []
  for u, frames in enumerate(embs):
    times = np.arange(len(frames))
    others = [v for v in range(4) if v != u]
    ends = [nearest[v][u][nearest[u][v]] for v in others]
    twice.append(np.mean([end == times for end in ends]))
    errors.append(np.mean([abs(end - times) / len(times) for end in ends]))
    thrice.append(
      np.mean(
        [
          nearest[w][u][nearest[v][w][nearest[u][v]]] == times
          for v in others
          for w in others
          if v != w
        ]
      )
    )
  result = evaluate("cycle_consistency", config, None, val)
  expected = [np.mean(twice), np.mean(thrice), np.mean(errors)]
  assert list(result.scalars.values()) == pytest.approx(expected, abs=1e-12)
  assert 0 < min(expected) and max(expected) < 1


def test_cycle_consistency_of_one_and_two_videos(config):
  for count, undefined in ((1, 3), (2, 1)):
    result, messages = messages_of(
      "cycle_consistency", config, {}, made_videos(count, seed=0)
    )
    values = result.scalars.values()
    assert sum(map(math.isnan, values)) == undefined
    assert len(messages) == 1
    assert f"there are {count} with finite embeddings" in messages[0]


def test_what_makes_classification_believable(config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
  train["labels"][4][:3] = -1
  result = evaluate("classification", config, train, val)
  labels = np.concatenate(val["labels"])
  counted = result.details["classification/val_toy_confusion"]
  frames = np.array(counted["frames"])
  assert counted["phases"] == [0, 1, 2, 3]
  assert frames.sum(axis=1).tolist() == np.bincount(labels).tolist()
  assert frames.trace() / frames.sum() == pytest.approx(result.value)
  recall = result.scalars["classification/val_toy_phase_2_accuracy"]
  assert recall == frames[2, 2] / frames[2].sum()
  used = result.details["classification/toy_1.0_used"]
  assert used == {
    "train": {"videos": 5, "frames": sum(map(len, train["labels"])) - 3},
    "val": {"videos": 3, "frames": len(labels)},
  }
  assert result.details["classification/toy_0.5_used"]["train"]["videos"] == 2
  known = np.concatenate(train["labels"])
  most = np.bincount(known[known >= 0]).argmax()
  majority = result.scalars["classification/val_toy_majority_accuracy"]
  assert majority == (labels == most).mean()
  assert json.dumps(result.details)


def test_a_phase_that_only_training_has_gets_no_accuracy(config):
  train, val = made_videos(5, seed=0), made_videos(3, seed=1)
  val["labels"] = [np.where(x == 3, 2, x) for x in val["labels"]]
  result = evaluate("classification", config, train, val)
  assert "classification/val_toy_phase_3_accuracy" not in result.scalars
  assert "classification/val_toy_phase_2_accuracy" in result.scalars


def test_numbered_names_are_not_those_of_other_videos(config):
  val = made_videos(4, seed=0)
  val["names"] = ["a", "a", "a (video 0)", "b"]
  result = evaluate("kendalls_tau", config, val, val)
  taus = result.details["kendalls_tau/toy_val"]["video_taus"]
  assert len(taus) == 4
  assert {"a (video 1)", "b"} < set(taus)


def test_kendalls_tau_names_the_worst_videos(config):
  val = made_videos(4, seed=0)
  val["names"] = ["a", "b", "backwards", "d"]
  val["embs"][2] = val["embs"][2][::-1]
  result = evaluate("kendalls_tau", config, val, val)
  details = result.details["kendalls_tau/toy_val"]
  assert list(details["video_taus"])[0] == "backwards"
  assert details["videos"] == 4
  assert details["frames"] == sum(len(x[::5]) for x in val["embs"])
  assert len(details["worst_pairs"]) == 5
  for query, candidate, tau in details["worst_pairs"]:
    assert "backwards" in (query, candidate) and tau < 0
  assert json.dumps(details)


def test_videos_of_one_name_are_told_apart(config):
  val = made_videos(4, seed=0)
  val["names"] = ["a", "b", "a", ""]
  val["embs"][2] = val["embs"][2][::-1]
  result = evaluate("kendalls_tau", config, val, val)
  details = result.details["kendalls_tau/toy_val"]
  names = {"a (video 0)", "b", "a (video 2)", ""}
  assert set(details["video_taus"]) == names
  assert list(details["video_taus"])[0] == "a (video 2)"
  for query, candidate, _ in details["worst_pairs"]:
    assert "a (video 2)" in (query, candidate)
    assert {query, candidate} < names


@pytest.mark.parametrize("task", EMBEDDING_TASKS)
def test_images_are_what_tensorboard_takes(task, config):
  result = evaluate(task, config, made_videos(4, 0), made_videos(3, 1))
  expected = {
    "classification": ["val_toy_confusion", "toy_accuracy"],
    "few_shot_classification": ["toy_accuracy"],
    "kendalls_tau": ["toy_val_similarity"],
  }
  names = [tag.partition("/")[2] for tag in result.images]
  assert names == expected.get(task, [])
  for image in result.images.values():
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert image.min() < 100 and image.max() == 255


class QuadraticLoss:
  """An algorithm whose loss can be computed in the head."""

  needs_labels = False

  def __init__(self):
    self.num_traces = 0

  def __call__(self, batch, training):
    assert training is False
    self.num_traces += 1
    return 2 * batch["frames"]

  def compute_loss(self, embs, batch, training):
    assert training is False
    return tf.reduce_mean(embs * batch["frames"])


def batches(*values):
  return ({"frames": tf.constant([value, value])} for value in values)


def test_algo_loss_is_the_mean_of_val_iters_batches(config):
  config.EVAL.VAL_ITERS = 2
  result = TASKS["algo_loss"](config).evaluate_batches(
    QuadraticLoss(), batches(1.0, 2.0, 1000.0), batches(3.0)
  )
  assert result.scalars == {"algo_loss/train_loss": 5, "algo_loss/val_loss": 18}
  assert result.value == 18


def test_algo_loss_takes_no_batch_it_does_not_use(config):
  config.EVAL.VAL_ITERS = 2
  rest = batches(1.0, 2.0, 3.0)
  TASKS["algo_loss"](config).evaluate_batches(
    QuadraticLoss(), rest, batches(1.0)
  )
  assert next(rest)["frames"].numpy().tolist() == [3, 3]


def test_algo_loss_is_compiled_once(config):
  task, algo = TASKS["algo_loss"](config), QuadraticLoss()
  for first in (1.0, 2.0):
    result = task.evaluate_batches(algo, batches(first, 3.0), batches(first))
    assert result.value == 2 * first**2
  assert algo.num_traces == 1


def test_algo_loss_without_batches_or_with_nan_is_nan(config):
  task = TASKS["algo_loss"](config)
  with pytest.warns(UserWarning, match="toy: algo_loss has no val batch; its"):
    result = task.evaluate_batches(
      QuadraticLoss(), batches(1.0, math.nan), [], dataset_name="toy"
    )
  assert math.isnan(result.value)
  assert all(math.isnan(loss) for loss in result.scalars.values())


@pytest.fixture(scope="module")
def classifier():
  return tiny.algorithm(
    "TRAINING_ALGO=classification", "CLASSIFICATION.NUM_CLASSES=3"
  )


def labeled_batch(labels, seed):
  batch = tiny.batch(seed=seed)
  return {**batch, "frame_labels": tf.constant(labels, tf.int64)}


def test_algo_loss_of_a_classifier_is_the_mean_over_labeled_frames(
  config, classifier
):
  labels = [
    [[0, -1, -1], [-1, -1, -1]],
    [[-1, -1, -1], [-1, -1, -1]],
    [[0, 1, 2], [2, 2, -1]],
  ]
  val = [labeled_batch(x, seed) for seed, x in enumerate(labels)]
  losses = []
  for batch in val:
    logits = classifier.head(tf.reshape(classifier(batch), [6, -1])).numpy()
    for row, label in zip(
      logits, batch["frame_labels"].numpy().flat, strict=True
    ):
      if label >= 0:
        losses.append(np.log(np.exp(row).sum()) - row[label])
  assert len(losses) == 6
  task = TASKS["algo_loss"](config)
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    result = task.evaluate_batches(classifier, val[:1], val)
  assert result.value == pytest.approx(np.mean(losses), rel=1e-5)
  train_loss = result.scalars["algo_loss/train_loss"]
  assert train_loss == pytest.approx(losses[0], rel=1e-5)


def test_algo_loss_of_a_classifier_without_labels_is_nan(config, classifier):
  without = [labeled_batch(np.full([2, 3], -1), seed) for seed in (0, 1)]
  task = TASKS["algo_loss"](config)
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    result = task.evaluate_batches(
      classifier, [labeled_batch(np.ones([2, 3]), 0)], without
    )
  assert [str(warning.message) for warning in caught] == [
    "dataset: algo_loss has no label in the val batches, which classification"
    " needs; its val loss is NaN"
  ]
  assert math.isnan(result.value)
  assert math.isfinite(result.scalars["algo_loss/train_loss"])


def test_a_label_that_the_classifier_does_not_know(config, classifier):
  good = labeled_batch(np.full([2, 3], 2), 0)
  bad = labeled_batch([[0, 1, -1], [2, 3, 2]], 0)
  with pytest.raises(UserError) as info:
    TASKS["algo_loss"](config).evaluate_batches(
      classifier, [good], [good, bad], dataset_name="toy"
    )
  assert str(info.value).startswith(
    "toy_val: video 'video1' has a frame of phase 3, and the network was"
    " trained with 3 phases, 0 to 2; convert"
  )
  assert "--set CLASSIFICATION.NUM_CLASSES=4" in str(info.value)
