"""Tells what a conversion would make of each source, and writes nothing."""

from collections.abc import Iterator, Sequence

from dataset_preparation import worker_pool
from dataset_preparation.conversion import Report
from dataset_preparation.shards import SplitPlan
from dataset_preparation.worker_pool import Skipped
from media.frame_encoding import FrameEncoding


def inspect(
  plans: Sequence[SplitPlan], encoding: FrameEncoding, num_workers: int
) -> bool:
  """Read all sources of the splits and print what each holds and would become.

  Only the first frame is encoded.

  Args:
    plans: The splits.
    encoding: How frames would be stored.
    num_workers: Number of processes; 0 for one per core.

  Returns:
    Whether all can be converted.
  """
  is_sound = True
  for plan in plans:
    jobs = [(source, None) for source in plan.sources]
    for result in worker_pool.convert_all(jobs, encoding, num_workers):
      is_sound &= isinstance(result, Report)
      lines = "\n  ".join(_describe(result, plan.class_names))
      print(f"{plan.name}: {lines}", flush=True)
  return is_sound


def _describe(
  result: Report | Skipped, class_names: Sequence[str]
) -> Iterator[str]:
  """Describe a source, in a line for the picture, and others for the rest."""
  if isinstance(result, Skipped):
    yield f"{result.name}: can't be converted"
    yield f"error: {result.reason}"
    return
  facts, times = result.facts, "no times"
  if facts.seconds:
    rate = facts.num_frames / facts.seconds
    times = f"{rate:.3g} frames/s, {facts.seconds:.3f} s"
  parts = (
    f"stream {facts.stream}" if facts.stream else facts.codec,
    f"{facts.width} x {facts.height}",
    f"turned by {facts.rotation} degrees" if facts.rotation else "",
    times,
    f"{facts.num_frames} frames",
  )
  stored = f"{result.num_frames} of {result.width} x {result.height}"
  yield f"{result.source}: {', '.join(filter(None, parts))} -> {stored}"
  names = dict(enumerate(class_names)) | {-1: "no phase"}
  for phase, count in result.phases.items():
    title = f"{phase} {names.get(int(phase), '')}".removeprefix("-1 ").rstrip()
    yield f"{title}: {count} frames"
  for text in (*facts.notes, *result.warnings):
    yield f"note: {text}"
