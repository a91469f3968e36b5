"""Similarity of embeddings and soft nearest neighbors (paper, section 3.2)."""

import tensorflow as tf

from tcc.settings import LossSettings


def find_center(embs: tf.Tensor, settings: LossSettings) -> tf.Tensor:
  """Find what to subtract from embeddings so that similarities are exact.

  Distances only depend on differences, but are computed from squares: far from
  the origin these would cancel, and take the digits of the distance with them.

  Args:
    embs: [..., D] embeddings.
    settings: As in `similarities`.

  Returns:
    [D] their mean, into which no gradient flows; zeros for `cosine`.
  """
  dimension = tf.shape(embs)[-1]
  if settings.similarity_type == "cosine":
    return tf.zeros([dimension], embs.dtype)
  # In float64 the order of the sequences makes no difference.
  rows = tf.cast(tf.reshape(embs, [-1, dimension]), tf.float64)
  return tf.stop_gradient(tf.cast(tf.reduce_mean(rows, 0), embs.dtype))


def similarities(
  queries: tf.Tensor, candidates: tf.Tensor, settings: LossSettings
) -> tf.Tensor:
  """Compute scaled similarities of all queries with all candidates.

  Args:
    queries: [..., M, D] embeddings.
    candidates: [..., N, D] embeddings.
    settings: The similarity type is `l2`, the negative squared Euclidean
      distance, or `cosine`, the inner product (a cosine when embeddings have
      length 1). The temperature divides it, as does the dimension D.

  Returns:
    [..., M, N] similarities, ready for a softmax over the candidates.
  """
  scale = 1.0 / tf.cast(tf.shape(queries)[-1], queries.dtype)
  scale /= settings.temperature
  if settings.similarity_type == "cosine":
    return tf.matmul(queries * scale, candidates, transpose_b=True)
  query_norms = scale * tf.reduce_sum(tf.square(queries), -1, keepdims=True)
  candidate_norms = scale * tf.reduce_sum(tf.square(candidates), -1)
  # Rounding can leave a squared distance slightly below 0: no softmax minds.
  products = tf.matmul(queries * (2.0 * scale), candidates, transpose_b=True)
  return products - query_norms - candidate_norms[..., None, :]


def soft_nearest_neighbors(
  queries: tf.Tensor, candidates: tf.Tensor, settings: LossSettings
) -> tf.Tensor:
  """Average the candidates, weighted by their similarity to each query.

  Args:
    queries: [..., M, D] embeddings.
    candidates: [..., N, D] embeddings.
    settings: As in `similarities`.

  Returns:
    [..., M, D] soft nearest neighbors.
  """
  weights = tf.nn.softmax(similarities(queries, candidates, settings))
  return tf.matmul(weights, candidates)
