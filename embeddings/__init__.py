"""Embedded videos: their types, their file and how they are made."""

from embeddings.file import Videos, check_same_size, load, load_many, save

__all__ = ["Videos", "check_same_size", "load", "load_many", "save"]
