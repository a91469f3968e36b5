"""Embedded videos: their types, their file and how they are made."""

from embeddings.file import check_same_size, load, load_many, save
from embeddings.types import EmbeddedSplit, EmbeddedVideo, Videos

__all__ = [
  "EmbeddedSplit",
  "EmbeddedVideo",
  "Videos",
  "check_same_size",
  "load",
  "load_many",
  "save",
]
