"""Attributions without a derivative: a block of the layer's map is taken out of the image, or put into a plain one."""

from __future__ import annotations

from collections.abc import Sequence

from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
from activation_atlas.stages.vision.attribution.blocks.insertion import Insertion, InsertionMode
from activation_atlas.stages.vision.attribution.blocks.removal import Removal, RemovalMode
from activation_atlas.stages.vision.attribution.forward_mode import Algorithm, ForwardMode
from activation_atlas.stages.vision.model import Model

__all__ = ["Block", "Insertion", "InsertionMode", "Removal", "RemovalMode", "mode_of"]

Block = Insertion | Removal
"""What is done to the block of a position."""


def mode_of(
    model: Model, layer: str, algorithm: Algorithm, classes: Sequence[int] | None = None, block: Block | None = None
) -> ForwardMode:
    """What computes a layer's attributions: by the gradient, or by what is done to a position's block."""
    if block is None:
        return ForwardMode(model, layer, algorithm, classes)
    kind = InsertionMode if isinstance(block, Insertion) else RemovalMode
    return kind(model, layer, algorithm, classes, block)
