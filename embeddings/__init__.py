"""Embedded videos: their file and how it is made."""

from embeddings.file import Videos, check_same_size, load, load_many, save

__all__ = ["Videos", "check_same_size", "load", "load_many", "save"]
