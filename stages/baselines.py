"""The random maps that a method's maps are set against. A leaf."""

from __future__ import annotations

from activation_atlas.stages.methods import FINE, Options

RANDOM = ("random", "random_pixels")
"""Variants that are no methods: a random map for each image, smooth or of single pixels."""


def baseline(method: Options) -> str:
    """The random map that a method's maps are set against."""
    return RANDOM[isinstance(method, FINE)]
