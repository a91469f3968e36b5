"""The precision that networks compute in: float32 or bfloat16."""

import pathlib

import tensorflow as tf


def resolve_precision(precision: str) -> str:
  """Decide what a PRECISION of `auto` is on this machine.

  Args:
    precision: `float32`, `bfloat16`, or `auto`: bfloat16 where all GPUs, or on
      a machine without one the CPU, have instructions for it; float32
      elsewhere, where bfloat16 would be slower.

  Returns:
    `float32` or `bfloat16`.
  """
  if precision != "auto":
    return precision
  gpus = tf.config.list_physical_devices("GPU")
  fast = all(map(_gpu_has_bfloat16, gpus)) if gpus else _cpu_has_bfloat16()
  return "bfloat16" if fast else "float32"


def compute_policy(precision: str) -> str:
  """Return the Keras dtype policy of a PRECISION."""
  is_fast = resolve_precision(precision) == "bfloat16"
  return "mixed_bfloat16" if is_fast else "float32"


def _gpu_has_bfloat16(gpu: tf.config.PhysicalDevice) -> bool:
  details = tf.config.experimental.get_device_details(gpu)
  # Ampere; a device that does not tell counts as older.
  return details.get("compute_capability", (0, 0)) >= (8, 0)


def _cpu_has_bfloat16() -> bool:
  flags = pathlib.Path("/proc/cpuinfo")
  return flags.exists() and "avx512_bf16" in flags.read_text()
