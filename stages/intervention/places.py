"""Where a patch is cut out and put."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Rect = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels, bottom and right exclusive."""


def cut(image: np.ndarray, rect: Rect) -> np.ndarray:
    """The pixels in a rectangle, a copy."""
    top, left, bottom, right = rect
    return image[top:bottom, left:right].copy()


def paste(image: np.ndarray, patch: np.ndarray, rect: Rect) -> np.ndarray:
    """A copy of an image with a patch of the rectangle's size in it."""
    top, left, bottom, right = rect
    changed = image.copy()
    changed[top:bottom, left:right] = patch
    return changed


def middle(layer: Mapping[str, Any], row: int, col: int) -> tuple[float, float]:
    """The pixel (y, x) of the model's input at the middle of a position of a layer's map.

    Args:
        layer: as in the state of ``extract``: offset and stride, both [h, w].
    """
    y, x = (o + s * k for o, s, k in zip(layer["offset"], layer["stride"], (row, col), strict=True))
    return float(y), float(x)


def around(centre: tuple[float, float], shape: tuple[int, int], size: tuple[int, int]) -> Rect:
    """The rectangle of ``shape`` centred at a pixel (y, x), moved into an image of ``size``; both (h, w)."""
    (height, width), (y, x) = shape, centre
    top = int(np.clip(np.floor(y - (height - 1) / 2 + 0.5), 0, size[0] - height))
    left = int(np.clip(np.floor(x - (width - 1) / 2 + 0.5), 0, size[1] - width))
    return top, left, top + height, left + width


def drawn(rng: np.random.Generator, shape: tuple[int, int], size: tuple[int, int]) -> Rect:
    """A rectangle of ``shape`` anywhere in an image of ``size``."""
    top, left = (int(rng.integers(0, whole - part + 1)) for whole, part in zip(size, shape, strict=True))
    return top, left, top + shape[0], left + shape[1]


def beside(rng: np.random.Generator, rect: Rect, size: tuple[int, int], tries: int = 32) -> Rect | None:
    """A rectangle of the same shape that does not touch ``rect``; None where none was found."""
    shape = rect[2] - rect[0], rect[3] - rect[1]
    for _ in range(tries):
        other = drawn(rng, shape, size)
        if other[0] >= rect[2] or other[2] <= rect[0] or other[1] >= rect[3] or other[3] <= rect[1]:
            return other
    return None
