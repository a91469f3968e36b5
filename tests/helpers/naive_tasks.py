"""The headline number of each task on embeddings, as plainly as can be."""

import itertools
import math

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.svm import SVC


def headline(task, config, train, val):
  """Of videos with finite embeddings; NaN = not defined."""
  return globals()[task](config.EVAL, train, val)


def joined(videos):
  embs, labels = (np.concatenate(videos[key]) for key in ("embs", "labels"))
  return embs[labels >= 0].astype(np.float64), labels[labels >= 0]


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
      np.concatenate([since_event(x, event)[x >= 0] for x in videos["labels"]])
      for videos in (train, val)
    )
    regression = LinearRegression().fit(joined(train)[0], targets)
    if len(set(val_targets)) == 1:
      continue
    scores.append(r2_score(val_targets, regression.predict(joined(val)[0])))
  return np.mean(scores) if scores else math.nan


def strided(config, videos):
  return [x[:: config.KENDALLS_TAU_STRIDE] for x in videos["embs"]]


def pairwise_taus(videos, distance):
  taus = np.full((len(videos), len(videos)), math.nan)
  for i, first in enumerate(videos):
    for j, second in enumerate(videos):
      if i != j and len(first) > 1:
        neighbors = cdist(first, second, distance).argmin(axis=1)
        times = np.arange(len(first))
        taus[i, j] = stats.kendalltau(times, neighbors).statistic
  return taus


def kendalls_tau(config, train, val):
  taus = pairwise_taus(strided(config, val), config.KENDALLS_TAU_DISTANCE)
  return math.nan if np.isnan(taus).all() else np.nanmean(taus)


def retrieval(config, train, val):
  stride, of_videos = config.KENDALLS_TAU_STRIDE, []
  embs, labels = (
    [x[y >= 0][::stride] for x, y in zip(val[key], val["labels"], strict=True)]
    for key in ("embs", "labels")
  )
  for i, frames in enumerate(embs):
    others = [j for j in range(len(embs)) if j != i]
    phases = np.concatenate([labels[j] for j in others])
    candidates = np.concatenate([embs[j] for j in others])
    distances = cdist(frames, candidates, config.KENDALLS_TAU_DISTANCE)
    order = distances.argsort(axis=1, kind="stable")
    nearest = order[:, : config.RETRIEVAL_K[-1]]
    of_videos.append(np.mean(phases[nearest] == labels[i][:, np.newaxis]))
  return np.mean(of_videos)


def cycle_consistency(config, train, val):
  embs = [u for u in strided(config, val) if len(u) > 1]
  return cycles(embs)[0] if embs else math.nan


def cycles(embs):
  """Shares of frames that return by one and by two videos, error by one."""
  embs = [video.astype(np.float64) for video in embs]
  nearest = [[cdist(u, v).argmin(axis=1) for v in embs] for u in embs]
  twice, thrice, errors = [], [], []
  for u, times in enumerate(np.arange(len(video)) for video in embs):
    others = [v for v in range(len(embs)) if v != u]
    ends = [nearest[v][u][nearest[u][v]] for v in others]
    twice.append(np.mean([end == times for end in ends]))
    errors.append(np.mean([abs(end - times) / len(times) for end in ends]))
    ends = [
      nearest[w][u][nearest[v][w][nearest[u][v]]]
      for v, w in itertools.permutations(others, 2)
    ]
    thrice.append(np.mean([end == times for end in ends]))
  return np.mean(twice), np.mean(thrice), np.mean(errors)
