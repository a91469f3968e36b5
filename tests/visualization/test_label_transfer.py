import dataclasses

import numpy as np
import pytest

from embeddings.types import EmbeddedVideo
from tests.helpers.embedded_videos import timed_videos
from visualization.label_transfer import predict_labels, transfer_values
from visualization.matching import align


def video(embs, labels=None):
  embs = np.array(embs, np.float64).reshape(len(embs), -1)
  labels = None if labels is None else np.array(labels)
  return EmbeddedVideo(embs, np.arange(len(embs)), "", len(embs), labels=labels)


def naive_confidence(embs, frames, label):
  """By loops over all pairs (embedding, label) of labeled frames."""
  own = [np.linalg.norm(embs - e) for e, x in frames if x == label]
  other = [np.linalg.norm(embs - e) for e, x in frames if x != label]
  return max(0, 1 - min(own) / min(other))


def test_neighbors_and_confidences_are_those_of_a_naive_search():
  query, *labeled = timed_videos(3, seed=0)
  labeled[0].labels[::3] = -1
  frames = [
    (embs, label)
    for one in labeled
    for embs, label in zip(one.embs, one.labels, strict=True)
    if label >= 0
  ]
  labels, confidences = predict_labels(query, labeled)
  assert labels.dtype == np.int64 and len(labels) == len(query.embs)
  for embs, label, confidence in zip(
    query.embs, labels, confidences, strict=True
  ):
    nearest = min(frames, key=lambda frame: np.linalg.norm(embs - frame[0]))
    assert label == nearest[1]
    expected = naive_confidence(embs, frames, label)
    assert confidence == pytest.approx(expected, abs=1e-6)
  assert 0 < confidences.min() < 0.2 < 0.5 < confidences.max() <= 1


def test_dtw_gives_the_phases_of_the_aligned_frames():
  query, labeled = timed_videos(2, seed=1)
  labels, confidences = predict_labels(query, [labeled], use_dtw=True)
  match, _ = align(query.embs, labeled.embs, use_dtw=True)
  np.testing.assert_array_equal(labels, labeled.labels[match])
  assert (np.diff(labels) >= 0).all()
  frames = list(zip(labeled.embs, labeled.labels, strict=True))
  expected = [
    naive_confidence(embs, frames, label)
    for embs, label in zip(query.embs, labels, strict=True)
  ]
  np.testing.assert_allclose(confidences, expected, atol=1e-6)
  # Where the alignment differs from the neighbors, another phase is nearer.
  differs = labels != predict_labels(query, [labeled])[0]
  assert (confidences[differs] == 0).all()


def test_of_aligned_videos_the_more_similar_have_more_votes():
  query = video([0, 1, 2, 3])
  near = video([0, 1, 2, 3.1], [0, 0, 1, 1])
  far = [video([3, 4, 5, 6], [7, 7, 8, 8])] * 2
  labels, _ = predict_labels(query, [*far, near], use_dtw=True)
  assert labels.tolist() == [0, 0, 1, 1]
  as_near = [video([0, 1, 2, 3.1], [7, 7, 8, 8])] * 2
  labels, _ = predict_labels(query, [near, *as_near], use_dtw=True)
  assert labels.tolist() == [7, 7, 8, 8]


def test_confidence_at_its_limits():
  query = video([0, 1, 2])
  labels, confidences = predict_labels(query, [video([0, 2], [3, 5])])
  assert labels.tolist() == [3, 3, 5]
  assert confidences.tolist() == [1, 0, 1]
  assert predict_labels(query, [video([9], [3])])[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("use_dtw", [False, True])
def test_values_follow_their_frames(use_dtw):
  slow, fast = (np.linspace(0, 1, count) for count in (40, 20))
  query, reference = video(slow), video(fast)
  values = np.sin(3 * fast)
  found, confidences = transfer_values(query, [reference], [values], use_dtw)
  np.testing.assert_allclose(found, np.sin(3 * slow), atol=0.1)
  assert (confidences >= 0).all() and confidences.mean() > 0.5
  # Frames without a value take no part, nor do videos without any.
  gaps = np.where(np.arange(20) % 4 == 1, np.nan, values)
  nothing = np.full(20, np.nan)
  again, _ = transfer_values(query, [reference] * 2, [gaps, nothing], use_dtw)
  np.testing.assert_allclose(again, np.sin(3 * slow), atol=0.2)


def test_aligned_values_are_averaged():
  query = video([0, 1, 2])
  values = [np.array([0.0, 1, 2]), np.array([4.0, 5, 6])]
  found, _ = transfer_values(query, [query, query], values, use_dtw=True)
  assert found.tolist() == pytest.approx([2, 3, 4])
  apart = dataclasses.replace(query, embs=query.embs + 0.5)
  found, _ = transfer_values(query, [query, apart], values, use_dtw=False)
  assert found.tolist() == [0, 1, 2]


def test_nothing_to_transfer_is_an_error():
  query = video([0, 1])
  for labeled in ([], [query], [video([0, 1], [-1, -1])]):
    with pytest.raises(ValueError, match="something is known"):
      predict_labels(query, labeled)
