"""How far an operation reaches along one axis of a map: its kernel, stride, dilation and padding, and what follows.

Receptive fields, crops that spare what a hidden window cannot reach, tangents inside of a window, paddings that a
convolution takes over: all ask one of three things of a :class:`Window`. What outputs read, what inputs influence, and
what a cut map still decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.vision.model.program import Slot, Step

Numbers = float | np.ndarray


@dataclass(frozen=True)
class Window:
    """Position p of an operation's output sees the positions ``first + stride p`` to ``last + stride p`` of its input.

    Whole numbers for what slides or cuts; fractions where a map is resized. A negative stride turns round. Intervals
    of positions hold both their ends, and go on beyond the map: what lies there is padding.
    """

    stride: float = 1.0
    first: float = 0.0
    last: float = 0.0

    @property
    def size(self) -> float:
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        return (self.first + self.last) / 2

    def reads(self, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
        """The inputs, from and to, that the outputs ``low`` to ``high`` read."""
        ends = self.stride * low, self.stride * high
        return np.minimum(*ends) + self.first, np.maximum(*ends) + self.last

    def influences(self, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
        """The outputs, from and to, that read any of the inputs ``low`` to ``high``; none where from > to."""
        return self._outputs(low - self.last, high - self.first)

    def decides(self, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
        """The outputs, from and to, that read no input but ``low`` to ``high``; none where from > to."""
        return self._outputs(low - self.first, high - self.last)

    def _outputs(self, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
        low, high = (low, high) if self.stride > 0 else (high, low)
        return np.int64(np.ceil(low / self.stride)), np.int64(np.floor(high / self.stride))


SAME = Window()


# -- what slides, pads and cuts --------------------------------------------------------


@dataclass(frozen=True)
class Sliding:
    """A kernel that slides along an axis; what only pads is a kernel of 1, and what cuts pads less than nothing.

    Attributes:
        kernel, stride, dilation: as in the layer.
        padding: positions put before the map and behind it.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)

    @staticmethod
    def over(inside: int, kernel: int, stride: int, dilation: int, padding: str) -> Sliding:
        """On ``inside`` positions, padded ``valid``, ``same`` or ``causal`` as TensorFlow does.

        ``same`` adds ``(ceil(inside / stride) - 1) stride + span - inside`` zeros, the odd one behind.
        """
        span = (kernel - 1) * dilation + 1
        added = max((-(-inside // stride) - 1) * stride + span - inside, 0)
        ends = {"same": (added // 2, added - added // 2), "causal": (span - 1, 0)}.get(padding, (0, 0))
        return Sliding(kernel, stride, dilation, ends)

    @property
    def span(self) -> int:
        """Positions from the first that an output reads to the last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def window(self) -> Window:
        return Window(self.stride, -self.padding[0], self.span - 1 - self.padding[0])

    def count(self, inside: int) -> int:
        """Outputs of ``inside`` positions."""
        return max(0, (inside + sum(self.padding) - self.span) // self.stride + 1)


LAYERS = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"}
FUNCTIONS = {"Conv", "DepthwiseConv", "SeparableConv", "MaxPool", "AveragePool"}


def sliding(step: Step, axis: int, given: tuple) -> Sliding | None:
    """How a step slides along, pads or cuts an axis of its input of shape ``given`` (the batch is axis 0).

    None for other operations and other axes, and where the kernel is computed.
    """
    layer, side = step.operation, side_of(step, axis, len(given))
    if step.kind == "Pad":
        widths = layer.pad_width
        width = widths[axis % len(widths)]
        return Sliding(padding=(int(width[0]), int(width[-1])))
    if side is None:
        return None
    if step.kind == "ZeroPadding2D":
        return Sliding(padding=tuple(layer.padding[side]))
    if step.kind == "Cropping2D":
        return Sliding(padding=tuple(-end for end in layer.cropping[side]))
    if step.kind not in LAYERS | FUNCTIONS or _has_computed_kernel(step):
        return None
    kernel = getattr(layer, "pool_size", None) or _kernel_size(step)
    stride = getattr(layer, "strides", None) or kernel
    values = (_pair(value)[side] for value in (kernel, stride, getattr(layer, "dilation_rate", 1) or 1))
    return Sliding.over(given[axis], *values, layer.padding)


def transposed(step: Step, axis: int, given: tuple, made: tuple) -> Window | None:
    """A transposed convolution's: output p sees the inputs i of which ``i stride - before + 0 .. span - 1`` holds p."""
    layer, side = step.operation, side_of(step, axis, len(given))
    if side is None or _has_computed_kernel(step):
        return None
    values = (_pair(value)[side] for value in (_kernel_size(step), layer.strides, layer.dilation_rate))
    back = Sliding.over(made[axis], *values, layer.padding)  # from its output to its input it slides
    before = back.padding[0]
    return Window(1 / back.stride, (before - back.span + 1) / back.stride, before / back.stride)


def side_of(step: Step, axis: int, rank: int) -> int | None:
    """0 where the axis is the height of what the operation takes for a map, 1 where it is its width."""
    first = getattr(step.operation, "data_format", "channels_last") == "channels_first"
    rows = rank - 2 if first else rank - 3
    return axis - rows if axis in (rows, rows + 1) else None


def _has_computed_kernel(step: Step) -> bool:
    return len(step.args) > 1 and isinstance(step.args[1], Slot)


def _kernel_size(step: Step) -> Sequence[int]:
    """A layer's; of a function the kernel is an argument."""
    return getattr(step.operation, "kernel_size", None) or np.shape(step.args[1])[:2]


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    value = tuple(int(v) for v in value)
    return value * 2 if len(value) == 1 else value


# -- what resizes ----------------------------------------------------------------------


def fitted(first: np.ndarray, last: np.ndarray, stride: float) -> Window:
    """The narrowest window of a stride that holds what each output sees, ``first`` to ``last`` (outputs,)."""
    along = stride * np.arange(len(first))
    return Window(stride, float((first - along).min()), float((last - along).max()))


RADIUS = {"nearest": 0.5, "area": 0.5, "bilinear": 1.0, "bicubic": 2.0, "lanczos3": 3.0, "lanczos5": 5.0}
"""Positions to either side that an interpolation takes part of."""


def resized(inside: int, outside: int, interpolation: str = "bilinear", antialias: bool = False) -> Window:
    """``inside`` positions resized to ``outside``, half-pixel centres: p lies at (p + 1/2) inside / outside - 1/2."""
    ratio = inside / outside
    centre = (np.arange(outside) + 0.5) * ratio - 0.5
    if interpolation == "nearest":
        taken = np.floor(centre + 0.5)
        return _around(centre, taken, taken, ratio)
    radius = RADIUS.get(interpolation, 1.0) * (max(1.0, ratio) if antialias or interpolation == "area" else 1.0)
    first, last = np.floor(centre - radius) + 1, np.ceil(centre + radius) - 1
    return _around(centre, np.minimum(first, np.floor(centre)), np.maximum(last, np.ceil(centre)), ratio)


def _around(centre: np.ndarray, first: np.ndarray, last: np.ndarray, ratio: float) -> Window:
    """As :func:`fitted`, and as wide on both sides: where the centre lies is known."""
    radius = float(max((centre - first).max(), (last - centre).max(), 0.0))
    return Window(ratio, float(centre[0]) - radius, float(centre[0]) + radius)
