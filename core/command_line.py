"""Flags of the scripts, and one-line errors instead of stack traces."""

import inspect
import os
import pathlib
import sys
from collections.abc import Callable
from logging import WARNING, LogRecord, getLogger
from typing import Any

from absl import app, flags, logging

from core.errors import UserError

# --help lists a flag under the script that defines it.
flags.disclaim_key_flags()

# As in shells, 128 plus the number of the signal.
_INTERRUPTED = 130
_PROJECT = pathlib.Path(__file__).resolve().parents[1]


class _PathParser(flags.ArgumentParser):
  """Expands `~`, which shells leave as it is in `--flag=~/videos`."""

  def parse(self, argument: str) -> str:
    return os.path.expanduser(argument)


def define_path(
  name: str, default: str | None, help_text: str, required: bool = False
) -> None:
  """Define a flag whose value is a path; `~` is the home folder.

  Args:
    name: Name of the flag.
    default: Its value if it is not given.
    help_text: The description in `--help`.
    required: Whether it must be given.
  """
  flags.DEFINE(_PathParser(), name, default, help_text, required=required)


def call_with_flags(function: Callable[..., Any]) -> Any:
  """Call a function with the values of the flags that its parameters name."""
  names = inspect.signature(function).parameters
  return function(**{name: flags.FLAGS[name].value for name in names})


def _stop(message: str, status: int = 1) -> None:
  print("error: " + " ".join(message.split()), file=sys.stderr)
  sys.exit(status)


def _is_ours_or_serious(record: LogRecord) -> bool:
  """Select our own log records, and warnings of libraries."""
  ours = pathlib.Path(record.pathname).is_relative_to(_PROJECT)
  ours = ours and "site-packages" not in record.pathname
  return ours or record.levelno >= WARNING


def run(
  main: Callable[..., None],
  takes_arguments: bool = False,
  takes_unknown_flags: bool = False,
) -> None:
  """Parse the flags and run `main`; turn a user's error into one line.

  Args:
    main: Called after the flags are parsed. The exit status is 1 after a
      `UserError` and 130 after Ctrl-C.
    takes_arguments: Whether to call `main` with the list of words that are not
      flags; otherwise such words are an error.
    takes_unknown_flags: Whether that list includes flags that are not defined.
  """

  def parse(argv: list[str]) -> list[str]:
    try:
      return flags.FLAGS(argv, known_only=takes_unknown_flags)
    except flags.Error as error:
      _stop(f"{str(error).splitlines()[0]} (--help lists the flags)")

  def guarded(argv: list[str]) -> None:
    if argv[1:] and not takes_arguments:
      _stop(f"expected options only, received {argv[1]!r}; write --NAME=VALUE")
    logging.set_verbosity(logging.INFO)
    getLogger("tensorflow").setLevel(WARNING)
    logging.get_absl_handler().addFilter(_is_ours_or_serious)
    message, status = None, 1
    try:
      main(argv[1:]) if takes_arguments else main()
    except UserError as error:
      message = str(error)
    except KeyboardInterrupt:
      message, status = "interrupted", _INTERRUPTED
    # Outside the handler no traceback keeps frames alive: input pipelines in
    # them must end before the interpreter does.
    if message is not None:
      _stop(message, status)

  app.run(guarded, flags_parser=parse)
