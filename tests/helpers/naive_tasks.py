"""The headline number of each task on embeddings, as plainly as can be."""

import math

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.svm import SVC


def headline(task, config, train, val):
  """Of fully labeled videos with finite embeddings; NaN = not defined."""
  return globals()[task](config.EVAL, train, val)


def joined(videos):
  embs = np.concatenate(videos["embs"]).astype(np.float64)
  return embs, np.concatenate(videos["labels"])


def accuracy(train, val):
  (frames, labels), (val_frames, val_labels) = joined(train), joined(val)
  if len(set(labels)) == 1:
    return np.mean(val_labels == labels[0])
  return SVC().fit(frames, labels).score(val_frames, val_labels)


def classification(config, train, val):
  assert config.CLASSIFICATION_FRACTIONS[-1] == 1
  return accuracy(train, val)


def few_shot_classification(config, train, val):
  draw, num_videos = np.random.RandomState(42), len(train["embs"])
  for k in config.FEW_SHOT_NUM_LABELED:
    accuracies = []
    for _ in range(config.FEW_SHOT_NUM_EPISODES):
      chosen = draw.permutation(num_videos)[:k]
      few = {key: [train[key][i] for i in chosen] for key in train}
      accuracies.append(accuracy(few, val))
  return np.mean(accuracies)


def since_event(labels, event):
  before = [i for i in range(event + 1) if i in labels]
  last = np.flatnonzero(labels == before[-1])[-1] if before else -1
  return (np.arange(len(labels)) - last) / len(labels)


def event_completion(config, train, val):
  num_events = max(x.max() for x in [*train["labels"], *val["labels"]])
  scores = []
  for event in range(num_events):
    targets, val_targets = (
      np.concatenate([since_event(x, event) for x in videos["labels"]])
      for videos in (train, val)
    )
    regression = LinearRegression().fit(joined(train)[0], targets)
    if len(set(val_targets)) == 1:
      continue
    scores.append(r2_score(val_targets, regression.predict(joined(val)[0])))
  return np.mean(scores) if scores else math.nan


def strided(config, videos, key="embs"):
  return [x[:: config.KENDALLS_TAU_STRIDE] for x in videos[key]]


def kendalls_tau(config, train, val):
  embs = strided(config, val)
  taus = [
    stats.kendalltau(range(len(u)), cdist(u, v).argmin(axis=1)).statistic
    for i, u in enumerate(embs)
    for j, v in enumerate(embs)
    if i != j and len(u) > 1
  ]
  return np.nanmean(taus) if taus else math.nan


def retrieval(config, train, val):
  embs, labels = strided(config, val), strided(config, val, "labels")
  of_videos = []
  for i, frames in enumerate(embs):
    others = [j for j in range(len(embs)) if j != i]
    phases = np.concatenate([labels[j] for j in others])
    distances = cdist(frames, np.concatenate([embs[j] for j in others]))
    nearest = distances.argsort(axis=1)[:, : config.RETRIEVAL_K[-1]]
    of_videos.append(np.mean(phases[nearest] == labels[i][:, np.newaxis]))
  return np.mean(of_videos)


def cycle_consistency(config, train, val):
  embs = [u for u in strided(config, val) if len(u) > 1]
  of_videos = []
  for i, u in enumerate(embs):
    returned = []
    for v in embs[:i] + embs[i + 1 :]:
      ends = cdist(v, u).argmin(axis=1)[cdist(u, v).argmin(axis=1)]
      returned.append(np.mean(ends == np.arange(len(u))))
    of_videos.append(np.mean(returned))
  return np.mean(of_videos) if of_videos else math.nan
