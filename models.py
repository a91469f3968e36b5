"""The networks: a backbone (frames to features), an embedder, a head."""

from easydict import EasyDict

from core.settings import check_name
from networks.backbones import PRETRAINED, build_backbone, find_backbone
from networks.embedders import EMBEDDERS, build_embedder
from networks.heads import build_head
from networks.precision import resolve_precision

__all__ = [
  "EMBEDDERS",
  "PRETRAINED",
  "build_backbone",
  "build_embedder",
  "build_head",
  "check_names",
  "resolve_precision",
]


def check_names(config: EasyDict) -> None:
  """Check that backbone and embedder exist, before anything is written.

  Args:
    config: The configuration.

  Raises:
    UserError: One does not; the message has the nearest name.
  """
  find_backbone(config.MODEL.BASE_MODEL.NETWORK)
  check_name("MODEL.EMBEDDER_TYPE", config.MODEL.EMBEDDER_TYPE, EMBEDDERS)
