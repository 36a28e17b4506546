"""Convolutions and poolings: a window that slides over a map, and what it sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.vision.model.geometry.reach import Window
from activation_atlas.stages.vision.model.program import Slot, Step

Traced = tuple[int, Window]
"""The axis of an operation's output that one of its input's becomes, and what positions along it see."""

WINDOWED = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"}
FUNCTIONS = {"Conv", "DepthwiseConv", "SeparableConv", "MaxPool", "AveragePool"}


def padding_before(inside: int, span: int, stride: int, padding: str) -> int:
    """Zeros TensorFlow puts before the first position under ``same`` padding."""
    if padding != "same":
        return 0
    return max((math.ceil(inside / stride) - 1) * stride + span - inside, 0) // 2


def window(step: Step, axis: int, inside: int) -> tuple[int, int, int] | None:
    """(span, stride, padding before) of a windowed operation on a map with its channels last, along its rows (0) or
    columns (1); None for others."""
    layer = step.operation
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return None
    if step.kind in ("ZeroPadding2D", "Pad"):
        widths = widths_of(layer) if step.kind == "Pad" else None
        width = layer.padding[axis] if widths is None else widths[(axis + 1) % len(widths)]
        return 1, 1, int(width[0])
    if step.kind == "Cropping2D":
        return 1, 1, -int(layer.cropping[axis][0])
    return _sliding(step, axis, inside) if step.kind in WINDOWED else None


def _sliding(step: Step, side: int, inside: int) -> tuple[int, int, int]:
    layer = step.operation
    kernel = getattr(layer, "pool_size", None) or getattr(layer, "kernel_size", None)
    if kernel is None:  # a function: its kernel is an argument
        kernel = np.shape(step.args[1])[:2]
    dilation = getattr(layer, "dilation_rate", 1) or 1
    stride = _pair(getattr(layer, "strides", None) or kernel)[side]
    span = (_pair(kernel)[side] - 1) * _pair(dilation)[side] + 1
    return span, stride, padding_before(inside, span, stride, layer.padding)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    value = tuple(int(v) for v in value)
    return value * 2 if len(value) == 1 else value


def side_of(step: Step, axis: int, rank: int) -> int | None:
    """0 where the axis is the height of what the operation takes for a map, 1 where it is its width."""
    first = getattr(step.operation, "data_format", "channels_last") == "channels_first"
    rows = rank - 2 if first else rank - 3
    return axis - rows if axis in (rows, rows + 1) else None


def sliding(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    side = side_of(step, axis, len(given))
    # It sums over what lies down or right in the image, or its kernel is computed.
    if side is None or (len(step.args) > 1 and isinstance(step.args[1], Slot)):
        return None
    span, stride, before = _sliding(step, side, given[axis])
    return axis, Window(stride, -before, span - 1 - before)


def transposed_convolution(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """The outputs p that input i reaches are i stride - before + 0 .. span - 1, so p sees i = (p + before - ...)."""
    side, layer = side_of(step, axis, len(given)), step.operation
    if side is None or (len(step.args) > 1 and isinstance(step.args[1], Slot)):
        return None
    kernel = getattr(layer, "kernel_size", None) or np.shape(step.args[1])[:2]
    stride = _pair(layer.strides)[side]
    span = (_pair(kernel)[side] - 1) * _pair(layer.dilation_rate)[side] + 1
    before = max((given[axis] - 1) * stride + span - made[axis], 0) // 2 if layer.padding == "same" else 0
    return axis, Window(1 / stride, (before - span + 1) / stride, before / stride)


def widths_of(operation: Any) -> Sequence[Sequence[int]]:
    return [tuple(w) if len(w) == 2 else (w[0], w[0]) for w in operation.pad_width]
