"""Sums of what would not fit in memory at once."""

from collections.abc import Callable

import tensorflow as tf


def sum_over_blocks(
  function: Callable[..., tf.Tensor],
  num_blocks: int | tf.Tensor,
  inputs: list[tf.Tensor],
) -> tf.Tensor:
  """Add up a function of blocks in the memory of one, gradient included.

  A tape would keep what each block computed until the backward pass. Here the
  backward pass computes each block again.

  Args:
    function: Takes the number of a block and the inputs, returns a scalar.
    num_blocks: Blocks are numbered from 0.
    inputs: Floating-point tensors; no gradient flows into others that
      `function` uses.

  Returns:
    Scalar of the first input's type.
  """

  @tf.custom_gradient
  def total(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
      def gradients(block: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
          tape.watch(inputs)
          value = function(block, *inputs)
        return tape.gradient(value, inputs, unconnected_gradients="zero")

      zeros = [tf.zeros_like(tensor) for tensor in inputs]
      sums = _accumulate(gradients, num_blocks, zeros)
      return [upstream * tensor for tensor in sums]

    # An eager tape that watches the inputs would record the blocks.
    constants = [tf.stop_gradient(tensor) for tensor in inputs]
    zeros = [tf.zeros([], inputs[0].dtype)]
    (value,) = _accumulate(
      lambda block: [function(block, *constants)], num_blocks, zeros
    )
    return value, gradient

  return total(*inputs)


def _accumulate(
  function: Callable[[tf.Tensor], list[tf.Tensor]],
  num_blocks: int | tf.Tensor,
  sums: list[tf.Tensor],
) -> list[tf.Tensor]:
  """Add what the function returns for each block to the sums."""
  num_blocks = tf.convert_to_tensor(num_blocks)

  def add(block: tf.Tensor, sums: list[tf.Tensor]) -> tuple:
    terms = function(block)
    return block + 1, [a + b for a, b in zip(sums, terms, strict=True)]

  # Blocks computed in parallel would take the memory of several.
  start = tf.zeros_like(num_blocks), sums
  _, sums = tf.while_loop(
    lambda block, _: block < num_blocks, add, start, parallel_iterations=1
  )
  return sums
