"""Flags that take the path of a file or folder."""

import os

from absl import flags

# A flag belongs to the script that defines it: --help lists it there.
flags.disclaim_key_flags()


class _PathParser(flags.ArgumentParser):
  """Gives `~` its meaning, which no shell does in `--flag=~/videos`."""

  def parse(self, argument: str) -> str:
    return os.path.expanduser(argument)


def define(
  name: str, default: str | None, help_text: str, required: bool = False
) -> None:
  """Defines a flag whose value is a path, `~` being the home folder.

  Args:
    name: Name of the flag.
    default: Its value if it is not given; None = none.
    help_text: What `--help` says of it.
    required: Whether it has to be given.
  """
  flags.DEFINE(
    _PathParser(),
    name,
    default,
    help_text,
    serializer=flags.ArgumentSerializer(),
    required=required,
  )
