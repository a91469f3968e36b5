"""YAML that is told when it is wrong, in one line, and has no key twice."""

from typing import Any

import yaml

from core.errors import UserError, first_line


class _Loader(yaml.SafeLoader):
  """Reads what `yaml.safe_load` reads, but no key twice."""

  def construct_mapping(
    self, node: yaml.MappingNode, deep: bool = False
  ) -> dict[Any, Any]:
    """Makes a dict of a mapping, the last of two equal keys being an error."""
    seen = []
    for key, _ in node.value:
      if key.value in seen:
        raise yaml.constructor.ConstructorError(
          problem=f"has the key {key.value} twice, remove one",
          problem_mark=key.start_mark,
        )
      seen.append(key.value)
    return super().construct_mapping(node, deep)


def parse(text: str, source: str) -> Any:
  """Parses YAML.

  Args:
    text: The YAML.
    source: Where it comes from, for messages.

  Returns:
    What `yaml.safe_load` returns.

  Raises:
    UserError: It is not valid, or a mapping has a key twice.
  """
  try:
    return yaml.load(text, _Loader)
  except yaml.MarkedYAMLError as error:
    line = error.problem_mark.line + 1
    raise UserError(
      f"{source}: is not valid YAML, line {line}: {error.problem}"
    ) from error
  # What looks like a date or a number, such as 2020-13-45, and is none.
  except (yaml.YAMLError, ValueError) as error:
    raise UserError(
      f"{source}: is not valid YAML ({first_line(error)}); put text in quotes"
    ) from error
