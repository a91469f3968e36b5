import pytest

from evaluation import Metric


@pytest.mark.parametrize("dataset", ["pouring", "train_set", "a_val_b", "sq_2"])
@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
  ("task", "name", "measure", "number"),
  [
    ("classification", "0.5_accuracy", "{}_accuracy", 0.5),
    ("classification", "1e-05_accuracy", "{}_accuracy", 1e-5),
    ("classification", "phase_3_accuracy", "phase_{}_accuracy", 3),
    ("classification", "majority_accuracy", "majority_accuracy", 0),
    ("few_shot_cxn", "10_ci", "{}_ci", 10),
    ("event_completion", "1.0_score", "{}_score", 1),
    ("kendalls_tau", "align_tau", "align_tau", 0),
    ("retrieval", "ap@15", "ap@{}", 15),
    ("cycle_consistency", "3way", "{}way", 3),
    ("cycle_consistency", "error", "error", 0),
    ("of_a_stranger", "distance", "distance", 0),
  ],
)
def test_tags_are_read_back(task, split, dataset, name, measure, number):
  metric = Metric(task, split, dataset, name, 0.5, "title")
  parts = (dataset, split) if task == "kendalls_tau" else (split, dataset)
  assert metric.tag == f"{task}/{'_'.join(parts)}_{name}"
  assert Metric.from_tag(metric.tag, 0.5, "title") == metric
  assert (metric.measure, metric.number) == (measure, number)
  assert metric.is_detail == (split == "train" or name == "10_ci")


def test_every_tag_comes_back():
  details = ["algo_loss/train_loss", "metrics/all_kendalls_tau"]
  details += ["metrics/val_x_kendalls_tau"]
  for tag in (*details, "algo_loss/val_loss", "a/b", "loss"):
    metric = Metric.from_tag(tag)
    assert metric.tag == tag
    assert metric.is_detail == (tag in details)


def test_headline():
  assert Metric.headline("d", "t", 0.5).tag == "metrics/d_t"
