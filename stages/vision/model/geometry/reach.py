"""What a position of a map sees along one axis of the image: affine in its number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Window:
    """Position p of an operation's output sees the positions ``first + stride p`` to ``last + stride p`` of its input.

    Whole numbers for what slides or cuts; fractions where a map is resized. A negative stride turns round.
    """

    stride: float = 1.0
    first: float = 0.0
    last: float = 0.0


SAME = Window()


@dataclass(frozen=True)
class Reach:
    """What a map sees along one axis, in input pixels (which sit at whole numbers).

    Attributes:
        stride: pixels from one position to the next; negative where the map runs the other way.
        first, last: outermost pixels that position 0 sees, be they on the image or not.
        low, high: outermost pixels that positions stand for: what was cut off on the way is not seen.
    """

    stride: float
    first: float
    last: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def size(self) -> float:
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        return (self.first + self.last) / 2

    def through(self, window: Window, count: int) -> Reach:
        """Of an operation's output with ``count`` positions, from the reach of its input."""
        ends = sorted((self.stride * window.first, self.stride * window.last))
        stride = self.stride * window.stride
        return Reach(stride, self.first + ends[0], self.last + ends[1], self.low, self.high).within(count)

    def within(self, count: int) -> Reach:
        """The same of ``count`` positions, ``low`` and ``high`` as far in as these see.

        Where pixels between positions are not seen, half as many are left beyond the outermost.
        """
        along, gap = self.stride * (count - 1), max(0.0, abs(self.stride) - self.size) / 2
        low, high = self.first + min(0.0, along) - gap, self.last + max(0.0, along) + gap
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def turned(self, count: int) -> Reach:
        """Of the map of ``count`` positions read from its other end."""
        return self.through(Window(-1.0, count - 1.0, count - 1.0), count)

    def centred(self, count: int) -> Reach:
        """As if ``count`` positions lay evenly over what they see together; for a stride > 0.

        One-sided padding puts the middle of receptive fields up to half a stride beside that.
        """
        moved = (self.low + self.high - self.stride * (count - 1)) / 2 - self.centre
        return replace(self, first=self.first + moved, last=self.last + moved)

    def covers(self, count: int, pixels: int) -> tuple[int, int]:
        """The pixels, [from, to), that ``count`` positions stand for on an axis of ``pixels``; for a stride > 0.

        Between the outermost centres all; beyond them half a stride, and up to a whole one of what the outermost
        position sees; never what no position sees.
        """
        beyond = min(self.stride, max(self.stride, self.last - self.first) / 2)
        start = max(self.centre - beyond, self.low, 0.0)
        end = min(self.centre + self.stride * (count - 1) + beyond, self.high, pixels - 1.0)
        start = math.ceil(start - 1e-6)
        return start, max(start, math.floor(end + 1e-6) + 1)


def union(parts: Sequence[Reach]) -> Reach | None:
    """The reach of maps that meet position by position; None where their strides differ: no position has one place."""
    stride = parts[0].stride
    if any(not math.isclose(p.stride, stride, rel_tol=1e-6) for p in parts):
        return None
    first, last = min(p.first for p in parts), max(p.last for p in parts)
    return Reach(stride, first, last, min(p.low for p in parts), max(p.high for p in parts))


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
