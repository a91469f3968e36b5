import json

import numpy as np
import pytest

from embeddings.types import EmbeddedSplit
from tests.helpers.embedded_videos import evaluate, made_videos


def test_a_fraction_with_one_phase_predicts_it(config, val):
  train = made_videos(10, seed=0)
  train["labels"][0][:] = 2
  scalars = evaluate("classification", config, train, val).scalars
  share = (np.concatenate(val["labels"]) == 2).mean()
  assert scalars["classification/train_toy_0.1_accuracy"] == 1
  assert scalars["classification/val_toy_0.1_accuracy"] == share
  assert scalars["classification/val_toy_1.0_accuracy"] > share


def test_what_makes_classification_believable(config, train, val):
  train["labels"][4][:3] = -1
  videos = EmbeddedSplit.from_lists(val | {"class_names": ("reach", "pour")})
  result = evaluate("classification", config, train, videos)
  labels = np.concatenate(val["labels"])
  counted = result.details["classification/val_toy_confusion"]
  frames = np.array(counted["frames"])
  assert counted["phases"] == [0, 1, 2, 3]
  assert counted["names"] == ["reach", "pour", "", ""]
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


def test_phases_of_validation_get_an_accuracy_and_their_name(
  config, train, val
):
  val["labels"] = [np.where(x == 3, 2, x) for x in val["labels"]]
  videos = EmbeddedSplit.from_lists(val | {"class_names": ("reach", "pour")})
  metrics = evaluate("classification", config, train, videos).metrics
  titles = {m.name: m.title for m in metrics if m.name.startswith("phase")}
  assert list(titles) == [f"phase_{k}_accuracy" for k in range(3)]
  assert list(titles.values()) == ["reach", "pour", ""]
