"""Cost of the loss over all pairs of sequences, forward and backward.

Against the obvious implementation, in one run: a Python loop over the N(N-1)
ordered pairs that calls `align_pair_of_sequences` for each and averages the
losses. Both run eagerly and in a `tf.function`, where the loop is unrolled when
it is traced. Then: seconds to trace and to run as N grows, and the peak memory
of a large batch in blocks and without. Times are medians of alternating runs.

Usage: python -m benchmarks.alignment_loss [--repeats 7]
"""

import core.quiet_tensorflow  # noqa: F401

import itertools
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import measuring
from benchmarks.measuring import report, time_call
from core import command_line
from tcc import align_pair_of_sequences, compute_alignment_loss
from tcc import deterministic_alignment as deterministic
from tcc.losses import regression_loss
from tcc.settings import LossSettings

FLAGS = flags.FLAGS

_SHAPE = "N={:<3}T={:<4}D={:<4}".format
_LOSS_TYPE = "regression_mse_var"
Step = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def all_pairs(embs: tf.Tensor) -> tf.Tensor:
  """Compute the loss as the library does."""
  return compute_alignment_loss(embs, len(embs), loss_type=_LOSS_TYPE)


def loop_over_pairs(embs: tf.Tensor) -> tf.Tensor:
  """Compute the same loss, one pair of sequences after the other."""
  batch_size, num_steps, _ = embs.shape
  times = tf.range(num_steps, dtype=embs.dtype) / num_steps
  settings = LossSettings(_LOSS_TYPE)
  losses = []
  for i, j in itertools.permutations(range(batch_size), 2):
    logits, _ = align_pair_of_sequences(embs[i], embs[j], "l2", 0.1)
    loss = regression_loss(logits, times, times, settings)
    losses.append(tf.reduce_mean(loss))
  return tf.reduce_mean(losses)


def with_gradient(loss: Callable[[tf.Tensor], tf.Tensor]) -> Step:
  """Make a step of a loss: its value and the gradient by the embeddings."""

  def step(embs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as tape:
      tape.watch(embs)
      value = loss(embs)
    return value, tape.gradient(value, embs)

  return step


def trace(step: Step, embs: tf.Tensor) -> tuple[float, Step]:
  """Make a graph function; return the seconds it took as well."""
  spec = tf.TensorSpec(embs.shape, embs.dtype)
  return time_call(tf.function(step).get_concrete_function, spec)


def median_seconds(
  steps: list[Step], embs: tf.Tensor, repeats: int
) -> list[float]:
  """Measure the median seconds of each step, run in turns."""

  def finish(step: Step) -> list[np.ndarray]:
    return [result.numpy() for result in step(embs)]

  runs = range(repeats + 1)  # The first does not count.
  rounds = [[time_call(finish, step)[0] for step in steps] for _ in runs]
  return np.median(rounds[1:], axis=0).tolist()


def compare(shape: tuple[int, int, int], repeats: int, eager: bool) -> None:
  """Print the loop over pairs against all pairs at once."""
  embs = tf.random.stateless_normal(shape, [0, 1])
  steps = [with_gradient(loop_over_pairs), with_gradient(all_pairs)]
  kind, note = "eager", ""
  if not eager:
    # The large graph of the loop would slow down what is traced after it.
    our_trace, ours = trace(steps[1], embs)
    loop_trace, loop = trace(steps[0], embs)
    steps = [loop, ours]
    kind, note = "graph", f"   traced in {loop_trace:.2f} s, {our_trace:.2f} s"
  loop, ours = median_seconds(steps, embs, repeats)
  report(
    _SHAPE(*shape)
    + f"{kind}   loop {loop * 1e3:9.2f} ms   all pairs {ours * 1e3:8.2f} ms"
    f"   ratio {loop / ours:6.1f}{note}"
  )


def grow(batch_size: int, repeats: int) -> None:
  """Print the time of a batch of 64 frames of 128 dimensions."""
  embs = tf.random.stateless_normal([batch_size, 64, 128], [0, 1])
  seconds_to_trace, step = trace(with_gradient(all_pairs), embs)
  (seconds,) = median_seconds([step], embs, repeats)
  pairs = batch_size * (batch_size - 1)
  report(
    f"N={batch_size:<3}T=64  D=128 traced in {seconds_to_trace:.2f} s, runs in"
    f" {seconds * 1e3:8.2f} ms, {seconds / pairs * 1e6:6.1f} us a pair"
  )


def peak_mebibytes() -> float:
  """Return the most memory held so far: the GPU's where there is one."""
  if tf.config.list_physical_devices("GPU"):
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
  return measuring.read_peak_memory()


def measure_memory(
  shape: tuple[int, int, int], bound: int, graph: bool
) -> tuple[float, float]:
  """Measure the MiB and seconds of a step with a bound for blocks."""
  deterministic.MAX_PAIRWISE_ELEMENTS = bound
  step = with_gradient(all_pairs)
  step = tf.function(step) if graph else step
  step(tf.ones([2, 2, 2]))
  embs = tf.random.stateless_normal(shape, [0, 1])
  before = peak_mebibytes()
  (seconds,) = median_seconds([step], embs, repeats=1)
  return peak_mebibytes() - before, seconds


def compare_memory(shape: tuple[int, int, int]) -> None:
  """Print the peak memory in blocks and without, each in a new process."""
  bound = deterministic.MAX_PAIRWISE_ELEMENTS
  # New processes are silenced like this one, unless they find this set.
  os.environ.pop("TF_CPP_MIN_LOG_LEVEL")
  for graph in (False, True):
    for name, limit in (("at once", 2**62), ("in blocks", bound)):
      found = measuring.run_in_new_process(measure_memory, shape, limit, graph)
      report(
        _SHAPE(*shape)
        + f"{'graph' if graph else 'eager'}   {name:9}   peak"
        " {:7.0f} MiB   {:6.2f} s".format(*found)
      )


def main() -> None:
  """Run all measurements."""
  repeats = 1 if FLAGS.quick else FLAGS.repeats
  if FLAGS.quick:
    compare((3, 4, 2), repeats, eager=False)
    grow(3, repeats)
    return
  print("forward and gradient, loop over pairs against all pairs at once")
  for eager in (True, False):
    compare((16, 64, 128), repeats, eager)
  for shape in ((2, 20, 128), (4, 20, 128)):
    compare(shape, 10 * repeats, eager=False)
  print("as the batch grows")
  for batch_size in (4, 8, 16, 32):
    grow(batch_size, repeats)
  print("memory of forward and gradient")
  compare_memory((64, 128, 128))


if __name__ == "__main__":
  flags.DEFINE_integer("repeats", 7, "Runs to take a median of.", lower_bound=1)
  flags.DEFINE_bool("quick", False, "Tiny sizes, to see that it runs.")
  command_line.run(main)
