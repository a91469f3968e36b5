import numpy as np
import pytest
from sklearn.svm import SVC

from evaluation import svm
from evaluation.svm import PhaseClassifier


def blobs(num_frames, num_phases, seed, dim=6):
  """Frames and labels: the phases overlap, so that no classifier is perfect."""
  random = np.random.default_rng(seed)
  labels = random.integers(num_phases, size=num_frames)
  centers = np.random.default_rng(0).normal(size=(num_phases, dim))
  return centers[labels] + random.normal(size=(num_frames, dim)), labels


@pytest.mark.parametrize("num_phases", [2, 3, 5])
@pytest.mark.parametrize("max_precomputed", [0, 10**6])
def test_predicts_as_svc(num_phases, max_precomputed, monkeypatch):
  monkeypatch.setattr(svm, "_MAX_PRECOMPUTED", max_precomputed)
  monkeypatch.setattr(svm, "_CHUNK", 100)
  train, val = blobs(250, num_phases, seed=1), blobs(333, num_phases, seed=2)
  classifier, naive = PhaseClassifier().fit(*train), SVC().fit(*train)
  assert np.array_equal(classifier.predict(val[0]), naive.predict(val[0]))
  assert classifier.score(*val) == naive.score(*val)
  assert classifier.train_accuracy == naive.score(*train)
  assert 0.3 < classifier.score(*val) < 0.95


FRAMES, LABELS = blobs(200, 3, seed=1)


@pytest.mark.parametrize(
  ("frames", "labels"),
  [
    (FRAMES, np.array([7, 2, 100])[LABELS]),  # phases are any integers
    (FRAMES + 1e5, LABELS),
    (np.ones((6, 3)), np.array([0, 0, 0, 1, 1, 2])),  # equal frames
  ],
)
def test_hard_data_are_predicted_as_by_svc(frames, labels):
  # gamma comes from the whole matrix's variance, which no offset changes.
  center = frames.mean(axis=0)
  expected = SVC().fit(frames - center, labels).predict(frames - center)
  predictions = PhaseClassifier().fit(frames, labels).predict(frames)
  assert np.array_equal(predictions, expected)
