"""The support vector machine of the phase classification tasks."""

import itertools
from typing import Self

import numpy as np
from sklearn.svm import SVC

# The kernel matrix of so many frames takes 130 MB; above, libsvm computes
# kernel rows when it needs them.
_MAX_PRECOMPUTED = 4096
# Rows of test frames whose kernel is in memory at a time.
_CHUNK = 1024


class PhaseClassifier:
  """RBF support vector machine on frames, as `sklearn.svm.SVC()`.

  C = 1, gamma = 1/(D * variance of the training matrix), one machine for each
  pair of phases. Kernels are matrix products here, which is what makes it
  faster than `SVC()`. Fitted to a single phase it predicts that one always.

  Attributes:
    train_accuracy: Share of right predictions, [0, 1], on the fitted frames.
  """

  def fit(self, frames: np.ndarray, labels: np.ndarray) -> Self:
    """Fit the classifier.

    Args:
      frames: [F, D] float64 embeddings, finite.
      labels: [F] phases, any integers.

    Returns:
      The classifier.
    """
    self._phases = np.unique(labels)
    if len(self._phases) == 1:
      self.train_accuracy = 1.0
      return self
    variance = frames.var()
    self._gamma = 1 / (frames.shape[1] * variance) if variance else 1.0
    # Distances do not change, and lose no digits to a common offset.
    self._center = frames.mean(axis=0)
    centered = frames - self._center
    is_small = len(frames) <= _MAX_PRECOMPUTED
    if is_small:
      kernel = self._kernel(centered, centered)
      svc = SVC(kernel="precomputed").fit(kernel, labels)
    else:
      svc = SVC(gamma=self._gamma).fit(centered, labels)
    self._support = centered[svc.support_]
    self._weights, self._bias, self._ballots = _pairwise_machines(svc)
    if is_small:
      predictions = self._elect(kernel[:, svc.support_])
    else:
      predictions = self.predict(frames)
    self.train_accuracy = float((predictions == labels).mean())
    return self

  def predict(self, frames: np.ndarray) -> np.ndarray:
    """Predict phases.

    Args:
      frames: [F, D] float64 embeddings, finite.

    Returns:
      [F] phases.
    """
    if len(self._phases) == 1:
      return np.full(len(frames), self._phases[0])
    predictions = [
      self._elect(self._kernel(chunk - self._center, self._support))
      for chunk in np.split(frames, range(_CHUNK, len(frames), _CHUNK))
    ]
    return np.concatenate(predictions)

  def score(self, frames: np.ndarray, labels: np.ndarray) -> float:
    """Compute the accuracy, [0, 1], on [F, D] frames with [F] phases."""
    return float((self.predict(frames) == labels).mean())

  def _kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # 2ab - aa - bb as one matrix product, of columns (2a, -aa, 1), (b, 1, -bb).
    left = (2 * a, -(a**2).sum(axis=1), np.ones(len(a)))
    right = (b, np.ones(len(b)), -(b**2).sum(axis=1))
    kernel = self._gamma * np.column_stack(left) @ np.column_stack(right).T
    return np.exp(kernel, out=kernel)

  def _elect(self, kernel: np.ndarray) -> np.ndarray:
    margins = kernel @ self._weights + self._bias
    # Wins minus losses of each phase; the first of equals, as libsvm has it.
    votes = np.where(margins > 0, 1, -1) @ self._ballots
    return self._phases[votes.argmax(axis=1)]


def _pairwise_machines(svc: SVC) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Unpack libsvm's coefficients, which overlay those of all pairs.

  The support vectors are sorted by phase. In the machine of phases i < j those
  of i have their coefficients in row j - 1 and those of j in row i.

  Args:
    svc: A fitted classifier of P phases and S support vectors.

  Returns:
    [S, P(P-1)/2] weights of the support vectors' kernels and [P(P-1)/2] biases;
    a positive sum speaks for the first phase of the pair, 1 in the last array,
    [P(P-1)/2, P], and against the second, -1.
  """
  num_phases = len(svc.classes_)
  pairs = np.array(list(itertools.combinations(range(num_phases), 2)))
  ballots = np.eye(num_phases)[pairs[:, 0]] - np.eye(num_phases)[pairs[:, 1]]
  phase_of_row = np.repeat(np.arange(num_phases), svc.n_support_)
  weights = np.zeros((len(svc.support_), len(pairs)))
  for column, (i, j) in enumerate(pairs):
    for phase, coefficients in ((i, j - 1), (j, i)):
      rows = phase_of_row == phase
      weights[rows, column] = svc.dual_coef_[coefficients, rows]
  # With two phases scikit-learn turns the signs: positive is the second.
  sign = -1 if len(pairs) == 1 else 1
  return sign * weights, sign * svc.intercept_, ballots


def majority_accuracy(labels: np.ndarray, val_labels: np.ndarray) -> float:
  """Compute what a classifier that sees nothing reaches.

  Args:
    labels: [F] phases it may count.
    val_labels: [G] phases to predict.

  Returns:
    The share, [0, 1], of the most frequent phase of `labels` in `val_labels`.
  """
  phases, numbers = np.unique(labels, return_counts=True)
  return float((val_labels == phases[numbers.argmax()]).mean())
