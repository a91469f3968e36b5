"""Merging settings over defaults without letting a mistake through."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from easydict import EasyDict

from core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Rules:
  """What settings may be.

  Attributes:
    defaults: The tree of all settings; a setting has its default's type.
    choices: Values a setting or the items of a list may have, by full key,
      where they are few.
    ranges: Closed range of a number or of the numbers in a list, by full key;
      None = no upper bound.
    non_empty: Full keys of lists that need an item.
  """

  defaults: Mapping[str, Any]
  choices: Mapping[str, tuple[str, ...]]
  ranges: Mapping[str, tuple[float, float | None]]
  non_empty: tuple[str, ...]


def to_plain(value: Any) -> Any:
  """Copies a tree of settings into dicts and lists, as YAML knows them."""
  if isinstance(value, dict):
    return {key: to_plain(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [to_plain(item) for item in value]
  return value


def nearest(name: str, known: Sequence[str]) -> str:
  """The known name that is most like another."""
  return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def check_name(key: str, name: str, registry: Mapping[str, Any]) -> None:
  """Checks a name that a registry decides, before anything is written.

  Args:
    key: Full key of the setting, for the message.
    name: Its value.
    registry: Name -> whatever it stands for.

  Raises:
    UserError: The registry does not have it.
  """
  if name not in registry:
    raise UserError(
      f"{key}: expected one of {', '.join(registry)}, received {name!r}; did"
      f" you mean {nearest(name, list(registry))}?"
    )


def get_value(tree: Mapping[str, Any], key: str) -> Any:
  """The value at a full key such as `TRAIN.MAX_ITERS`; the tree for none."""
  for name in filter(None, key.split(".")):
    tree = tree[name]
  return tree


def list_differences(
  first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
  """Yields the full keys of the settings in which two trees differ.

  Args:
    first: A tree of settings.
    second: One with the same keys.
    prefix: Full key of both, with a dot at its end.

  Yields:
    Keys, in the order of `first`.
  """
  for name, value in first.items():
    if isinstance(value, dict):
      yield from list_differences(value, second[name], f"{prefix}{name}.")
    elif value != second[name]:
      yield f"{prefix}{name}"


def merge(
  config: EasyDict,
  changes: Mapping[str, Any],
  source: str,
  rules: Rules,
  prefix: str = "",
) -> None:
  """Merges changes into a configuration, in place and recursively.

  Args:
    config: The configuration, or the section of it at `prefix`.
    changes: New values, a part of the same tree.
    source: Where they come from, for messages.
    rules: What they may be.
    prefix: Full key of the section, with a dot at its end.

  Raises:
    UserError: A key is unknown, or a value has the wrong type or lies outside
      its choices or range.
  """
  for name, value in changes.items():
    key = f"{prefix}{name}"
    if name not in config:
      raise UserError(f"{source}: {_unknown_key(key, rules)}")
    if isinstance(config[name], dict):
      if not isinstance(value, dict):
        raise UserError(
          f"{source}: {key} is a section with the keys"
          f" {', '.join(config[name])}; received {value!r}"
        )
      merge(config[name], value, source, rules, f"{key}.")
    else:
      config[name] = _checked(key, value, source, rules)


def _unknown_key(key: str, rules: Rules) -> str:
  """Says that a key is unknown and which known one is nearest."""
  known = list(_keys(rules.defaults))
  last = key.rpartition(".")[2]
  same_name = [name for name in known if name.rpartition(".")[2] == last]
  near = same_name[0] if same_name else nearest(key, known)
  return f"unknown key {key}; did you mean {near}?"


def _keys(section: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
  for name, value in section.items():
    yield f"{prefix}{name}"
    if isinstance(value, dict):
      yield from _keys(value, f"{prefix}{name}.")


def _checked(key: str, value: Any, source: str, rules: Rules) -> Any:
  """Returns the value in the default's type, or says why it can't be."""
  try:
    value = _converted(value, get_value(rules.defaults, key))
  except TypeError as error:
    raise UserError(
      f"{source}: {key} expects {error}; received {value!r}"
    ) from error
  if key in rules.non_empty and not value:
    raise UserError(f"{source}: {key} expects at least one item; received []")
  choices = rules.choices.get(key)
  low, high = rules.ranges.get(key, (-math.inf, None))
  for item in _items(value):
    if choices and item not in choices:
      near = nearest(str(item), choices)
      raise UserError(
        f"{source}: {key} expects one of {', '.join(choices)}; received"
        f" {item!r}, did you mean {near}?"
      )
    is_number = isinstance(item, (int, float)) and not isinstance(item, bool)
    if is_number and not low <= item <= (math.inf if high is None else high):
      bounds = f"at least {low}" if high is None else f"{low} to {high}"
      raise UserError(f"{source}: {key} expects {bounds}; received {item!r}")
  return value


def _items(value: Any) -> Iterator[Any]:
  """Yields the values in a list, also in lists in it; what is none itself."""
  if isinstance(value, list):
    for item in value:
      yield from _items(item)
  else:
    yield value


def _converted(value: Any, default: Any) -> Any:
  """Gives `value` the type of `default`; raises TypeError naming that type."""
  if isinstance(default, list):
    if not isinstance(value, (list, tuple)):
      raise TypeError(f"a list such as {to_plain(default)}")
    if default and isinstance(default[0], list):
      return [_converted_layer(item, default[0]) for item in value]
    if isinstance(default[0], str) and "" in value:
      raise TypeError(f"a list of names such as {to_plain(default)}")
    return [_converted(item, default[0]) for item in value]
  if isinstance(default, bool) or isinstance(value, bool):
    if type(value) is not type(default):
      raise TypeError(_type_name(default))
    return value
  if isinstance(default, float):
    # YAML reads 1e-4, without a dot, as text.
    try:
      number = float(value)
    except (TypeError, ValueError):
      raise TypeError(_type_name(default)) from None
    if not math.isfinite(number):
      raise TypeError("a finite number")
    return number
  if not isinstance(value, type(default)):
    raise TypeError(_type_name(default))
  return value


def _converted_layer(value: Any, default: list[Any]) -> list[Any]:
  if not isinstance(value, (list, tuple)) or len(value) != len(default):
    raise TypeError(f"a list of layers such as {default}")
  return [_converted(v, d) for v, d in zip(value, default, strict=True)]


def _type_name(default: Any) -> str:
  names = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
  }
  return names[type(default)]
