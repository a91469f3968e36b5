"""Errors, command line, files and settings, for all rooms."""
