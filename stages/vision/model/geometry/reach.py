"""What a position of a map sees along one axis of the image: affine in its number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from activation_atlas.stages.vision.model.geometry.windows import Window


@dataclass(frozen=True)
class Reach(Window):
    """The window of a map on the image, along one axis: in pixels, which sit at whole numbers.

    Attributes:
        stride: pixels from one position to the next; negative where the map runs the other way.
        first, last: outermost pixels that position 0 sees, be they on the image or not.
        low, high: outermost pixels that positions stand for: what was cut off on the way is not seen.
    """

    low: float = -math.inf
    high: float = math.inf

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
