"""Reading the videos of records, a frame at a time, within a pipeline."""

import threading

import numpy as np
import tensorflow as tf

from data import examples
from data.batches import Tensors
from data.examples import Example
from data.feature_cache import FeatureCache, View
from data.tfrecords import Record


class RecordReader:
  """Reads videos by the number of their record.

  Its methods are part of a graph, which calls Python to read; see `Batches`.

  Args:
    use_frame_labels: Whether to read labels of frames.

  Attributes:
    cache: Holds the features of the videos; None where they are not read.
  """

  def __init__(self, use_frame_labels: bool) -> None:
    self.cache: FeatureCache | None = None
    self._use_frame_labels = use_frame_labels
    self._numbers: dict[Record, int] = {}
    # With the labels of all frames: making them takes time.
    self._found: dict[int, tuple[Example, np.ndarray]] = {}
    self._lock = threading.Lock()

  def number(self, record: Record) -> int:
    """Return the number of a record, which is new or known already."""
    return self._numbers.setdefault(record, len(self._numbers))

  def describe(self, number: tf.Tensor) -> Tensors:
    """Describe a video: name, seq_labels, seq_lens and its frame_labels [L]."""
    types = (tf.string, tf.int64, tf.int64)
    name, label, labels = tf.numpy_function(self._describe, [number], types)
    labels = tf.ensure_shape(labels, [None])
    return {
      "name": tf.ensure_shape(name, []),
      "seq_labels": tf.ensure_shape(label, []),
      "seq_lens": tf.size(labels, tf.int64),
      "frame_labels": labels,
    }

  def read_frames(self, number: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Read the encoded frames at some steps, [F] strings."""
    read = tf.numpy_function(self._read_frames, [number, steps], tf.string)
    return tf.ensure_shape(read, steps.shape)

  def read_features(
    self, number: tf.Tensor, steps: tf.Tensor, num_views: int, seed: tf.Tensor
  ) -> tf.Tensor:
    """Read the features at some steps, [F, ...].

    Args:
      number: Number of the record.
      steps: [F] steps.
      num_views: The augmented views to draw one from; 0 = the video as it is.
      seed: [2] integers that decide which.
    """
    view = tf.constant(-1, tf.int64)
    if num_views:
      draw = tf.random.stateless_uniform
      view = draw([], seed, 0, num_views, tf.int64)
    arguments, dtype = [number, view, steps], self.cache.dtype
    read = tf.numpy_function(self._read_features, arguments, dtype)
    return tf.ensure_shape(read, [None, *self.cache.shape])

  def _describe(self, number: np.int64) -> tuple[bytes, int, np.ndarray]:
    video, labels = self._find(number)
    return video.name.encode(), np.int64(video.label), labels

  def _read_frames(self, number: np.int64, steps: np.ndarray) -> np.ndarray:
    return self._find(number)[0].jpegs[steps]

  def _read_features(
    self, number: np.int64, view: np.int64, steps: np.ndarray
  ) -> np.ndarray:
    video, _ = self._find(number)
    return self.cache.open(View(video.record, int(view)))[steps]

  def _find(self, number: int) -> tuple[Example, np.ndarray]:
    """Look up a video; at its first use its record is read as a whole."""
    with self._lock:
      if number not in self._found:
        record = list(self._numbers)[number]
        video = examples.read_example(record, self._use_frame_labels)
        self._found[number] = video, list_labels(video)
      return self._found[number]


def list_labels(video: Example) -> np.ndarray:
  """List the labels of all frames, [L] int64, -1 where there are none."""
  return np.array(video.frame_labels or [-1] * len(video.jpegs), np.int64)
