"""Classifiers of embeddings, which only training needs."""

import keras

from networks.layers import DenseLayers, dense_layers


def build_head(
  input_size: int, layers: DenseLayers, dropout_rate: float, l2_weight: float
) -> keras.Model:
  """Build a classifier of embeddings.

  Args:
    input_size: Dimensions of what it classifies.
    layers: Units of each dense layer and whether a ReLU follows.
    dropout_rate: Rate of the dropout before each layer.
    l2_weight: Weight of the L2 penalty on kernels and biases.

  Returns:
    A model from [N, input_size] to float32 logits [N, units of the last layer].
  """
  inputs = keras.Input([input_size], dtype="float32")
  logits = dense_layers(inputs, layers, dropout_rate, l2_weight)
  return keras.Model(inputs, logits, name="head")
