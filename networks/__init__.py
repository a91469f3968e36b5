"""Backbones, embedders and their layers."""
