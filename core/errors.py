"""The error a user can cause."""


class UserError(Exception):
  """A mistake of the user, told in one line.

  The message names the file or the key, what was expected, what came and what
  to do about it. Everything else is a bug and keeps its stack trace.
  """


def first_line(error: Exception) -> str:
  """The first line an error says, or its type where it says nothing."""
  return (str(error).strip().splitlines() or [type(error).__name__])[0]
