"""What users are told."""

import pytest

from core.errors import UserError


def message_of(action, *arguments, **keywords):
  """Calls what has to fail and returns the message."""
  with pytest.raises(UserError) as error:
    action(*arguments, **keywords)
  assert "\n" not in str(error.value)
  return str(error.value)
