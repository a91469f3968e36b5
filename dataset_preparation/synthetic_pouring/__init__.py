"""Synthetic videos of pouring, with labels."""
