"""Errors that a user can cause."""


class UserError(Exception):
  """A user's mistake, described in one line.

  The message is `KEY_OR_FILE: expected A, received B; do C`. All other
  exceptions are bugs and keep their stack traces.
  """


def first_line(error: Exception) -> str:
  """Return the first line of an error's message, or its type without one."""
  return (str(error).strip().splitlines() or [type(error).__name__])[0]
