"""Names of the phases of the data sets that the paper evaluates."""

from collections.abc import Sequence

# The events that part the phases (the paper's table 4): n events part n + 1.
KEY_EVENTS = {
  "pouring": (
    "hand touches bottle",
    "liquid starts exiting",
    "pouring complete",
    "bottle back on table",
  ),
  "baseball_pitch": ("knee fully up", "arm fully stretched", "ball release"),
  "baseball_swing": ("bat swung back fully", "bat hits ball"),
  "bench_press": ("bar fully down",),
  "bowling": ("ball swung fully back", "ball release"),
  "clean_and_jerk": (
    "bar at hip",
    "fully squatting",
    "standing",
    "begin thrusting",
    "beginning balance",
  ),
  "golf_swing": ("stick fully back", "stick hits ball"),
  "jumping_jacks": (
    "hands at shoulder (up)",
    "hands above head",
    "hands at shoulder (down)",
  ),
  "pullups": ("chin above bar",),
  "pushups": ("head at floor",),
  "situp": ("abs fully crunched",),
  "squats": ("hips at knees (down)", "hips at floor", "hips at knees (up)"),
  "tennis_forehand": ("racket fully back", "racket touches ball"),
  "tennis_serve": ("ball released", "racket fully back", "ball touches racket"),
}


def name_phases(dataset: str, num_phases: int) -> tuple[str, ...]:
  """Name the phases of a data set after the events between which they lie.

  Args:
    dataset: Name of the data set.
    num_phases: Largest label of a frame that was seen, plus one; 0 = none was.

  Returns:
    One name a phase; `phase 0`, `phase 1`, ... if the data set is not known or
    has more labels than it should have.
  """
  events = KEY_EVENTS.get(dataset)
  if events is None or num_phases > len(events) + 1:
    return pad_names((), num_phases)
  starts, ends = ("start", *events), (*events, "end")
  return tuple(f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def pad_names(names: Sequence[str], num_phases: int) -> tuple[str, ...]:
  """Add `phase <number>` for each phase that has no name yet."""
  return (*names, *(f"phase {i}" for i in range(len(names), num_phases)))


def are_custom_names(dataset: str, names: Sequence[str]) -> bool:
  """Return whether phases have names that `name_phases` would not give."""
  return bool(names) and tuple(names) != name_phases(dataset, len(names))
