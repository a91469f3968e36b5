import pytest

import models
from core.errors import UserError
from tests.helpers import tiny


@pytest.mark.parametrize(
  ("setting", "message"),
  [
    ("MODEL.BASE_MODEL.NETWORK=VGG-M", "'VGG-M'; did you mean VGGM?"),
    ("MODEL.EMBEDDER_TYPE=cnv", "'cnv'; did you mean conv?"),
  ],
)
def test_names_are_checked_by_their_registries(setting, message):
  models.check_names(tiny.config())
  config = tiny.config()
  key, name = setting.split("=")
  section = config.MODEL.BASE_MODEL if "BASE" in key else config.MODEL
  section[key.rpartition(".")[2]] = name
  with pytest.raises(UserError) as caught:
    models.check_names(config)
  assert str(caught.value).startswith(f"{key}: expected ")
  assert message in str(caught.value)
