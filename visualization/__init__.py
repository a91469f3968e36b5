"""Aligned videos."""
