import pytest

import config as configuration
from tests.helpers.embedded_videos import made_videos


@pytest.fixture
def config():
  small = ["FEW_SHOT_NUM_LABELED=[1,3]", "FEW_SHOT_NUM_EPISODES=4"]
  small += ["RETRIEVAL_K=[1,3]"]
  return configuration.load(settings=[f"EVAL.{setting}" for setting in small])


@pytest.fixture
def train():
  return made_videos(5, seed=0)


@pytest.fixture
def val():
  return made_videos(3, seed=1)
