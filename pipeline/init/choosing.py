"""Which layers and grids a first atlas has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from activation_atlas.stages.vision.layer_info import LayerInfo

MIDDLE = 2 / 3
"""Of the compute: behind it layers are of things, and still of many."""

LEAST = 3
"""Positions along a side: of fewer none is left within the border."""

_ENDS = ("ReLU", "Activation", "Add", "LeakyReLU", "ELU", "PReLU", "Relu6", "Concatenate")
"""Kinds that end a block: their output is what the next one reads."""


def layers_for(known: Sequence[LayerInfo]) -> list[LayerInfo]:
    """A layer at about two thirds of the compute, where a block ends if one does near there, and the last map."""
    wide = [info for info in known if min(info.height, info.width) >= LEAST] or list(known)
    if not wide:
        return []
    blocks = [info for info in wide if info.kind in _ENDS and abs(info.compute - MIDDLE) < 0.1]
    # Of those equally far the earlier one.
    middle = min(blocks or wide, key=lambda info: abs(info.compute - MIDDLE))
    last = wide[-1]
    return [middle] if last.name == middle.name or last.compute - middle.compute < 0.02 else [middle, last]


def grids_for(images: int) -> list[int]:
    """Cells along a side, the coarsest first: the finest has two and a half images a cell, or is 5."""
    finest = max([5, *(n for n in (10, 20, 40) if images >= 2.5 * n * n)])
    return [n for n in (5, 10, 20, 40) if finest / 4 <= n <= finest and (n >= 10 or finest < 20)]
