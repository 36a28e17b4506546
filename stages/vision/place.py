"""Where a map lies on the model's input, and the map as a surface over it.

Position (i, j) of a map stands for the pixels around its centre, ``offset + stride x (i, j)`` (pixels sit at whole
numbers). Between centres a surface is bilinear; from the outermost ones outward it stays as it is, up to the last
pixel that the map covers. Beyond there is no value: nothing of the map lies there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

How = Literal["bilinear", "nearest"]

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels of the model's input, from edge to edge: pixel k spans k to k + 1."""


COLUMNS = ("stride", "offset", "covers")
"""Of the table ``maps``."""


@dataclass(frozen=True)
class Place:
    """Where the positions of a map lie, in pixels of the model's input.

    Attributes:
        stride: (down, right) from one position to the next, > 0.
        offset: (down, right) pixel at the centre of position (0, 0).
        covers: (top, left, bottom, right), first row and column of pixels that the map says something of, and the
            first behind them.
    """

    stride: tuple[float, float]
    offset: tuple[float, float]
    covers: tuple[int, int, int, int]

    @staticmethod
    def whole(size: tuple[int, int]) -> Place:
        """Of a map with a value for each pixel."""
        return Place.even(size, size)

    @staticmethod
    def even(shape: tuple[int, int], size: tuple[int, int]) -> Place:
        """Of a map whose cells share the input among them, as a picture that was made smaller."""
        stride = tuple(pixels / cells for cells, pixels in zip(shape, size, strict=True))
        return Place(stride, tuple((s - 1) / 2 for s in stride), (0, 0, *size))

    @staticmethod
    def of(row: Mapping[str, Any]) -> Place:
        """From what a method configured as ``place``, or a row of the table ``maps``."""
        stride, offset = (tuple(float(v) for v in row[name]) for name in ("stride", "offset"))
        return Place(stride, offset, tuple(int(v) for v in row["covers"]))

    @staticmethod
    def configured(method: Mapping[str, Any], size: tuple[int, int]) -> Place:
        """Where a configured method has its maps; evenly over an input of ``size`` where it says nothing of that."""
        return Place.of(method["place"]) if "place" in method else Place.even((method["height"], method["width"]), size)

    @staticmethod
    def at(maps: Any, row: int) -> Place:
        """From a row of the Arrow table ``maps`` that has :data:`COLUMNS`."""
        return Place.of({name: maps[name][row].as_py() for name in COLUMNS})

    def row(self) -> dict[str, list[float]]:
        """As lists, for :meth:`of`; numbers as float32 holds them."""
        stride, offset = ([float(np.float32(v)) for v in side] for side in (self.stride, self.offset))
        return {"stride": stride, "offset": offset, "covers": list(self.covers)}

    def pooled(self, shape: tuple[int, int], cells: tuple[int, int]) -> Place:
        """Of the same map (h, w) brought to fewer ``cells`` by means over equal parts of it."""
        share = tuple(many / few for many, few in zip(shape, cells, strict=True))
        offset = tuple(o + s * (k - 1) / 2 for o, s, k in zip(self.offset, self.stride, share, strict=True))
        return Place(tuple(s * k for s, k in zip(self.stride, share, strict=True)), offset, self.covers)

    def surface(self, values: np.ndarray, box: Box, size: tuple[int, int], how: How = "bilinear") -> np.ndarray:
        """A map (h, w) over a box of the input, drawn with ``size`` = (H, W) pixels, float32; also off it.

        Where it gets smaller, antialiased. What takes part of a value that is not finite is not finite.
        """
        ends = []
        for low, high, axis in ((box[1], box[3], 0), (box[0], box[2], 1)):
            # Pixel edges to edges of cells, counted from the outer edge of the first.
            ends += [(v - 0.5 - self.offset[axis]) / self.stride[axis] + 0.5 for v in (low, high)]
        top, bottom, left, right = (round(v, 6) for v in ends)
        height, width = values.shape
        margins = [
            (max(0, int(np.ceil(-low))), max(0, int(np.ceil(high - count))))
            for low, high, count in ((top, bottom, height), (left, right, width))
        ]
        whole = np.pad(np.asarray(values, np.float32), margins, "edge")
        above, before = margins[0][0], margins[1][0]
        kind = {"bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}[how]
        image = Image.fromarray(np.ascontiguousarray(whole))
        area = (left + before, top + above, right + before, bottom + above)
        return np.array(image.resize((size[1], size[0]), kind, box=area))

    def covered(self, box: Box, size: tuple[int, int]) -> np.ndarray:
        """Which pixels of such a drawing have their centre on what the map covers, bool of shape ``size``."""
        top, left, bottom, right = self.covers
        inside = []
        for low, high, count, first, last in (
            (box[1], box[3], size[0], top, bottom),
            (box[0], box[2], size[1], left, right),
        ):
            centre = low + (np.arange(count) + 0.5) * (high - low) / count
            inside.append((centre >= first) & (centre <= last))
        return inside[0][:, None] & inside[1]

    def matrices(self, shape: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """``down`` (H, h) and ``right`` (W, w), float32: down @ map @ right' is the surface on an input of ``size``.

        Rows of pixels that the map does not cover are 0.
        """
        found = []
        for axis, (count, pixels) in enumerate(zip(shape, size, strict=True)):
            pixel = np.arange(pixels)
            place = np.clip((pixel - self.offset[axis]) / self.stride[axis], 0, count - 1)
            near = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(count)))
            inside = (pixel >= self.covers[axis]) & (pixel < self.covers[axis + 2])
            found.append(np.where(inside[:, None], near, 0).astype(np.float32))
        return found[0], found[1]

    def on_input(self, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A map (h, w) on the pixels of the model's input, float32 of shape ``size``; NaN where it covers none."""
        box, exact = (0.0, 0.0, float(size[1]), float(size[0])), values.shape == tuple(size)
        exact = exact and (self.stride, self.offset) == ((1.0, 1.0), (0.0, 0.0))
        found = np.asarray(values, np.float32) if exact else self.surface(values, box, size)
        return np.where(self.covered(box, size), found, np.float32(np.nan))

    def is_whole(self, size: tuple[int, int]) -> bool:
        """Whether the map covers every pixel of an input of ``size``."""
        return self.covers == (0, 0, *size)


def enlarged(values: np.ndarray, size: tuple[int, int], how: How = "bilinear") -> np.ndarray:
    """A map (h, w) at another size, float32 (H, W).

    ``bilinear`` with half-pixel centres, as ``tf.image.resize``; where it gets smaller, antialiased. A pixel that
    takes part of a value that is not finite is not finite.
    """
    whole = (0.0, 0.0, float(values.shape[1]), float(values.shape[0]))
    return Place.whole(values.shape).surface(values, whole, size, how)


def spread(
    values: np.ndarray,
    size: tuple[int, int],
    patch: tuple[int, int],
    stride: tuple[int, int],
    edges: Literal["whole", "clip"] = "whole",
    reduce: Literal["mean", "sum"] = "mean",
) -> np.ndarray:
    """Values of occlusion windows as values of pixels: of the windows over a pixel, their mean or their sum.

    Args:
        values: (rows, cols); window (i, j) hides pixels [i stride, i stride + patch), cut off at the border.
        size: of the image.
        edges: as the windows were laid, see :class:`stages.vision.attribution.methods.occlusion.Occlusion`.

    Returns:
        (H, W) float32; NaN where no window reaches.

    Raises:
        ValueError: not as many values as there are windows.
    """
    covers = []
    for axis in (0, 1):
        end = size[axis] if edges == "clip" else size[axis] - patch[axis] + 1
        start, pixel = np.arange(0, end, stride[axis]), np.arange(size[axis])[:, None]
        covers.append(((pixel >= start) & (pixel < start + patch[axis])).astype(np.float64))
    down, right = covers
    if values.shape != (down.shape[1], right.shape[1]):
        raise ValueError(f"{values.shape} values of {down.shape[1]} x {right.shape[1]} windows")
    finite = np.isfinite(values)
    total = down @ np.where(finite, values, 0) @ right.T
    count = down.sum(1)[:, None] * right.sum(1)
    lost = (down @ ~finite @ right.T > 0) | (count == 0)
    pixels = total / np.maximum(count, 1) if reduce == "mean" else total
    return np.where(lost, np.nan, pixels).astype(np.float32)
