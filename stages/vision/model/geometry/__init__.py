"""What a layer sees and what it costs, from the graph: receptive field, stride, offset, operations.

Receptive fields follow Araujo, Norris and Sim, "Computing receptive fields of
convolutional neural networks" (Distill 2019): position p of a map sees the
input pixels from ``first + stride p`` to ``last + stride p``. The same
arithmetic carries paddings, crops, resizes, transpositions and flips.
"""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.vision.model.geometry import proof
from activation_atlas.stages.vision.model.geometry.reach import Reach
from activation_atlas.stages.vision.model.geometry.reckoning import Seen, Shapes, loses, reaches
from activation_atlas.stages.vision.model.geometry.token_maps import TokenMap, TokenSequence, token_maps
from activation_atlas.stages.vision.model.geometry.tokens import square, unplaced
from activation_atlas.stages.vision.model.geometry.upright import Reorientation, upright
from activation_atlas.stages.vision.model.geometry.windows import LAYERS, Sliding, Window, sliding
from activation_atlas.stages.vision.model.program import Step

__all__ = [
    "LAYERS",
    "Reach",
    "Seen",
    "Shapes",
    "Sliding",
    "Reorientation",
    "TokenMap",
    "TokenSequence",
    "Window",
    "loses",
    "operations",
    "proof",
    "reaches",
    "sliding",
    "square",
    "token_maps",
    "unplaced",
    "upright",
]


def operations(step: Step, shapes: Shapes) -> float:
    """Floating-point operations of a step for one image: two per weight and position, one per output value."""
    moved = isinstance(step.operation, (Reorientation, TokenMap, TokenSequence))
    shape = shapes.get(step.outputs[0], ()) if not moved else ()
    if any(n is None for n in shape):
        return 0.0
    values = float(np.prod(shape[1:])) if len(shape) > 1 else 0.0
    first = getattr(step.operation, "data_format", None) == "channels_first"
    positions = float(np.prod(shape[2:] if first else shape[1:-1])) if len(shape) > 2 else 1.0
    weights = getattr(step.operation, "weights", ())
    return values + 2 * positions * sum(float(np.prod(w.shape)) for w in weights if len(w.shape) > 1)
