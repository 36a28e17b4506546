"""What a layer sees and what it costs, from the graph: receptive field, stride, offset, operations.

Receptive fields follow Araujo, Norris and Sim, "Computing receptive fields of
convolutional neural networks" (Distill 2019): position p of a map sees the
input pixels from ``first + stride p`` to ``last + stride p``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from stages.vision.model.program import Program, Step

Shapes = dict[int, tuple]


@dataclass(frozen=True)
class Reach:
    """What a map sees along one axis, in input pixels (which sit at whole numbers)."""

    stride: float
    first: float
    last: float

    @property
    def size(self) -> float:
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        return (self.first + self.last) / 2


Seen = tuple[Reach, Reach]


def reaches(program: Program, shapes: Shapes) -> dict[int, Seen]:
    """For every map of the program, what it sees along height and width.

    Branches that look at the whole image at once (squeeze-and-excite) are left
    out: what remains is the part that differs between positions.
    """
    start = Reach(1.0, 0.0, 0.0)
    found: dict[int, Seen] = {program.input: (start, start)}
    for step in program.before([program.output]):
        for slot in step.outputs:
            if _is_map(shapes.get(slot)):
                sources = [i for i in step.inputs if i in found and not _is_point(shapes[i])]
                if sources:
                    found[slot] = tuple(_through(step, sources, slot, axis, found, shapes) for axis in (0, 1))
    return found


def _is_map(shape: tuple | None) -> bool:
    return shape is not None and len(shape) == 4


def _is_point(shape: tuple) -> bool:
    return shape[1] == 1 and shape[2] == 1


def _through(step: Step, sources: list[int], slot: int, axis: int, found: dict[int, Seen], shapes: Shapes) -> Reach:
    parts = [found[i][axis] for i in sources]
    reach = replace(parts[0], first=min(p.first for p in parts), last=max(p.last for p in parts))
    inside, outside = shapes[sources[0]][axis + 1], shapes[slot][axis + 1]
    seen = window(step, axis, inside)
    if seen is None:
        if inside == outside or outside == 1:
            return reach
        # Resized by an unknown operation: each position sees its share of the old ones.
        ratio = inside / outside
        return Reach(
            reach.stride * ratio,
            reach.first + reach.stride * min(0.0, (ratio - 1) / 2),
            reach.last + reach.stride * max(0.0, (ratio - 1) * 1.0),
        )
    span, stride, before = seen
    return Reach(
        reach.stride * stride,
        reach.first - reach.stride * before,
        reach.last + reach.stride * (span - 1 - before),
    )


def window(step: Step, axis: int, inside: int) -> tuple[int, int, int] | None:
    """(span, stride, padding before) of a windowed operation along one axis; None for others."""
    layer = step.operation
    if step.kind in ("ZeroPadding2D", "Pad"):
        width = layer.padding[axis] if step.kind == "ZeroPadding2D" else layer.pad_width[axis + 1]
        return 1, 1, int(width[0])
    if step.kind == "Cropping2D":
        return 1, 1, -int(layer.cropping[axis][0])
    if step.kind not in WINDOWED:
        return None
    size = layer.pool_size if hasattr(layer, "pool_size") else layer.kernel_size
    dilation = getattr(layer, "dilation_rate", (1, 1))
    span, stride = (_pair(size)[axis] - 1) * _pair(dilation)[axis] + 1, _pair(layer.strides)[axis]
    return span, stride, padding_before(inside, span, stride, layer.padding)


WINDOWED = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"}


def padding_before(inside: int, span: int, stride: int, padding: str) -> int:
    """Zeros TensorFlow puts before the first position under ``same`` padding."""
    if padding != "same":
        return 0
    return max((math.ceil(inside / stride) - 1) * stride + span - inside, 0) // 2


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def operations(step: Step, shapes: Shapes) -> float:
    """Floating-point operations of a step for one image: two per weight and position, one per output value."""
    shape = shapes.get(step.outputs[0], ())
    if any(n is None for n in shape):
        return 0.0
    values = float(np.prod(shape[1:])) if len(shape) > 1 else 0.0
    positions = float(np.prod(shape[1:-1])) if len(shape) > 2 else 1.0
    weights = getattr(step.operation, "weights", ())
    return values + 2 * positions * sum(float(np.prod(w.shape)) for w in weights if len(w.shape) > 1)
