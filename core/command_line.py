"""The command line of every script: flags, and errors in one line."""

import functools
import os
import pathlib
import sys
from collections.abc import Callable
from logging import WARNING, LogRecord, getLogger

from absl import app, flags, logging

from core.errors import UserError

# A flag belongs to the script that defines it: --help lists it there.
flags.disclaim_key_flags()

# As shells have it: 128 and the number of the signal.
_INTERRUPTED = 130
_PROJECT = pathlib.Path(__file__).resolve().parents[1]


class _PathParser(flags.ArgumentParser):
  """Gives `~` its meaning, which no shell does in `--flag=~/videos`."""

  def parse(self, argument: str) -> str:
    return os.path.expanduser(argument)


def define_path(
  name: str, default: str | None, help_text: str, required: bool = False
) -> None:
  """Defines a flag whose value is a path, `~` being the home folder.

  Args:
    name: Name of the flag.
    default: Its value if it is not given; None = none.
    help_text: What `--help` says of it.
    required: Whether it has to be given.
  """
  flags.DEFINE(_PathParser(), name, default, help_text, required=required)


def _parse_flags(argv: list[str], known_only: bool = False) -> list[str]:
  try:
    return flags.FLAGS(argv, known_only)
  except flags.Error as error:
    _stop(f"{str(error).splitlines()[0]} (--help lists the flags)")


def _stop(message: str, status: int = 1) -> None:
  print("error: " + " ".join(message.split()), file=sys.stderr)
  sys.exit(status)


def _is_ours_or_serious(record: LogRecord) -> bool:
  """Keeps the notes of libraries on their inner workings off the terminal."""
  ours = pathlib.Path(record.pathname).is_relative_to(_PROJECT)
  return record.levelno >= WARNING or (
    ours and "site-packages" not in record.pathname
  )


def run(
  main: Callable[..., None],
  takes_arguments: bool = False,
  takes_unknown_flags: bool = False,
) -> None:
  """Runs a script: flags, `main`, exit status 1 and one line on a user's error.

  Args:
    main: Called once the absl flags are parsed.
    takes_arguments: Whether `main` gets what is no flag, as a list of words;
      otherwise it is called without arguments and such words are an error.
    takes_unknown_flags: Whether flags that are not defined are among them.
  """

  def guarded(argv: list[str]) -> None:
    if argv[1:] and not takes_arguments:
      _stop(f"unexpected argument {argv[1]!r}: options start with --")
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
    # Past the handler the traceback is gone, and with it what its frames held:
    # input pipelines must end before the interpreter does.
    if message is not None:
      _stop(message, status)

  parse = functools.partial(_parse_flags, known_only=takes_unknown_flags)
  app.run(guarded, flags_parser=parse)
