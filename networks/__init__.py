"""Backbones, embedders, heads and their layers."""
