"""Declare settings and merge changes over them, letting no mistake through.

A tree of settings is written as nested dicts. A leaf is a plain default, which
decides the type, or a `Setting`, which also says what values are allowed.
"""

import contextlib
import copy
import dataclasses
import difflib
import math
import os
import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import yaml
from easydict import EasyDict

from core.errors import UserError, first_line

_TYPE_NAMES = {
  bool: "true or false",
  int: "a whole number",
  float: "a number",
  str: "text",
}


@dataclasses.dataclass(frozen=True)
class Setting:
  """A default and the values that may replace it.

  Attributes:
    default: The default; values need its type. Lists of names or numbers may
      have any length; layers, such as `[256, True]`, only their own.
    low: Smallest number; of a list, of each number in it.
    high: Largest number, likewise.
    choices: The allowed texts; empty = any.
    can_be_empty: Whether a list may have no items.
    is_path: Whether `~` stands for the home folder.
    not_above: Name of a setting in the same section, which is an upper bound.
  """

  default: Any
  low: float = -math.inf
  high: float = math.inf
  choices: tuple[str, ...] = ()
  can_be_empty: bool = True
  is_path: bool = False
  not_above: str = ""


# The settings by their full keys, such as `TRAIN.MAX_ITERS`.
Rules = dict[str, Setting]


def one_of(*choices: str, default: str = "") -> Setting:
  """Declare a text among `choices`; without a default, the first is it."""
  return Setting(default or choices[0], choices=choices)


def declare(tree: dict[str, Any], prefix: str = "") -> tuple[EasyDict, Rules]:
  """Split a tree of settings into its defaults and its rules.

  Args:
    tree: Nested dicts of settings.
    prefix: Full key of the tree with a dot at its end; empty at the root.

  Returns:
    The tree of defaults, and the `Setting` of each full key such as
    `TRAIN.MAX_ITERS`.
  """
  defaults, rules = EasyDict(), {}
  for name, node in tree.items():
    key = f"{prefix}{name}"
    if isinstance(node, dict):
      defaults[name], inner = declare(node, f"{key}.")
      rules |= inner
    else:
      rules[key] = node if isinstance(node, Setting) else Setting(node)
      defaults[name] = rules[key].default
  return defaults, rules


def merge_settings(
  defaults: EasyDict,
  rules: Rules,
  files: Iterable[str | os.PathLike],
  settings: Iterable[str],
) -> EasyDict:
  """Merge files, then single settings, over a copy of the defaults.

  Args:
    defaults: The tree of defaults.
    rules: The rules that `declare` returned with it.
    files: YAML files, each with any part of the tree.
    settings: Single values such as `TRAIN.MAX_ITERS=100`.

  Returns:
    The complete, checked configuration.

  Raises:
    UserError: A file can't be read, a key is unknown, or a value has the wrong
      type or is not allowed.
  """
  config = copy.deepcopy(defaults)
  for path in files:
    _merge(config, _read_yaml(path), str(path), rules)
  for setting in settings:
    _merge(config, _parse_setting(setting), "--set", rules)
  values = flatten(config)
  for key, rule in rules.items():
    bound = key.rpartition(".")[0] + f".{rule.not_above}"
    if rule.not_above and values[key] > values[bound]:
      raise UserError(
        f"{key}: expected at most {bound}, {values[bound]}, received"
        f" {values[key]}; set both"
      )
  return config


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Map the full keys of a tree, such as `TRAIN.MAX_ITERS`, to its leaves.

  Args:
    tree: Nested dicts.
    prefix: Full key of the tree with a dot at its end; empty at the root.

  Returns:
    Full key -> value, in the order of the tree.
  """
  flat = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      flat |= flatten(value, f"{prefix}{name}.")
    else:
      flat[f"{prefix}{name}"] = value
  return flat


def nearest(name: str, known: Collection[str]) -> str:
  """Return the known name that is most like `name`."""
  return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def check_name(
  key: str, names: str | Collection[str], known: Collection[str]
) -> None:
  """Check names against a registry, before anything is written.

  Args:
    key: Full key of the setting, for the message.
    names: Its value: a name or a list of names.
    known: The registry, or the names in it.

  Raises:
    UserError: The registry lacks a name; the message says which is nearest.
  """
  for name in [names] if isinstance(names, str) else names:
    if name not in known:
      raise UserError(
        f"{key}: expected one of {', '.join(known)}, received {name!r}; did you"
        f" mean {nearest(name, known)}?"
      )


def _merge(
  config: EasyDict, changes: Any, source: str, rules: Rules, prefix: str = ""
) -> None:
  """Merge nested dicts into the section of a configuration at `prefix`."""
  if not isinstance(changes, dict):
    label = f"{source}: {prefix[:-1]}" if prefix else source
    raise UserError(
      f"{label}: expected a section with the keys {', '.join(config)}, received"
      f" {changes!r}"
    )
  for name, value in changes.items():
    key = f"{prefix}{name}"
    if key in rules:
      config[name] = _check_value(value, rules[key], f"{source}: {key}")
    elif name in config:
      _merge(config[name], value, source, rules, f"{key}.")
    else:
      raise UserError(
        f"{source}: expected a key of config.py, received {key}; did you mean"
        f" {_find_nearest_key(key, rules)}?"
      )


def _read_yaml(path: str | os.PathLike) -> Any:
  """Read a YAML file; an empty one gives an empty dict."""
  try:
    content = _parse_yaml(pathlib.Path(path).read_text("utf-8"), str(path))
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(
      f"{path}: expected a YAML file in UTF-8, received an error"
      f" ({getattr(error, 'strerror', error)}); correct the path or the file"
    ) from error
  return {} if content is None else content


def _parse_setting(setting: str) -> dict[str, Any]:
  """Parse `TRAIN.MAX_ITERS=100` into nested dicts; the value is YAML."""
  key, separator, text = setting.partition("=")
  if not separator or not key:
    raise UserError(
      "--set: expected KEY=value such as TRAIN.MAX_ITERS=100, received"
      f" {setting!r}"
    )
  value = _parse_yaml(text, f"--set {setting}")
  for name in reversed(key.split(".")):
    value = {name: value}
  return value


class _Loader(yaml.SafeLoader):
  """Loads what `yaml.safe_load` loads, but refuses a key that comes twice."""

  def construct_mapping(
    self, node: yaml.MappingNode, deep: bool = False
  ) -> dict[Any, Any]:
    """Construct a dict; a key that comes twice is an error."""
    seen = []
    for key, _ in node.value:
      if key.value in seen:
        problem = f"the key {key.value} twice", key.start_mark
        raise yaml.constructor.ConstructorError(None, None, *problem)
      seen.append(key.value)
    return super().construct_mapping(node, deep)


def _parse_yaml(text: str, source: str) -> Any:
  """Parse YAML like `yaml.safe_load`, with errors of one line."""
  try:
    return yaml.load(text, _Loader)
  # A ValueError: text that looks like a date or a number and is none.
  except (yaml.YAMLError, ValueError) as error:
    problem = getattr(error, "problem", first_line(error))
    if mark := getattr(error, "problem_mark", None):
      problem = f"{problem} in line {mark.line + 1}"
    raise UserError(
      f"{source}: expected valid YAML, received an error ({problem}); correct"
      " it, or put text in quotes"
    ) from error


def _find_nearest_key(key: str, rules: Rules) -> str:
  """Return a key or section with the same last name, or the most similar."""
  sections = {full.rpartition(".")[0] for full in rules} - {""}
  known = [*rules, *sorted(sections)]
  ending = "." + key.rpartition(".")[2]
  same_name = (full for full in known if f".{full}".endswith(ending))
  return next(same_name, None) or nearest(key, known)


def _check_value(value: Any, rule: Setting, label: str) -> Any:
  """Return a value in the default's type; raise a UserError if not allowed."""
  try:
    checked = _convert(value, rule.default, rule)
  except TypeError as error:
    raise UserError(f"{label}: expected {error}, received {value!r}") from error
  if rule.choices:
    check_name(label, checked, rule.choices)
  return os.path.expanduser(checked) if rule.is_path else checked


def _convert(value: Any, default: Any, rule: Setting) -> Any:
  """Give `value` the type of `default`; a TypeError names what is expected."""
  kind = type(default)
  if kind is list:
    if type(value) is not list or "" in value:
      raise TypeError(f"a list such as {default}")
    if not value and not rule.can_be_empty:
      raise TypeError("at least one item")
    # A layer has items of several types, and a fixed length.
    is_layer = len({type(item) for item in default}) > 1
    if is_layer and len(value) != len(default):
      raise TypeError(f"layers such as {default}")
    defaults = default if is_layer else default[:1] * len(value)
    return [_convert(v, d, rule) for v, d in zip(value, defaults, strict=True)]
  if kind is float and type(value) in (int, str):
    # YAML reads 1e-4, without a dot, as text.
    with contextlib.suppress(ValueError):
      value = float(value)
  if type(value) is not kind:
    raise TypeError(_TYPE_NAMES[kind])
  if kind is float and not math.isfinite(value):
    raise TypeError("a finite number")
  if kind in (int, float) and not rule.low <= value <= rule.high:
    bounds = f"{rule.low} to {rule.high}"
    raise TypeError(bounds if rule.high < math.inf else f"at least {rule.low}")
  return value
