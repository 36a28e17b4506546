"""A map over the model's input, a pixel at a time: the slow twin of :class:`stages.vision.place.Place`."""

from __future__ import annotations

import math

import numpy as np

from activation_atlas.stages.vision.place import Place


def laid(values: np.ndarray, place: Place, size: tuple[int, int]) -> np.ndarray:
    """float64 of shape ``size``; NaN where the map covers nothing."""
    out = np.full(size, np.nan)
    top, left, bottom, right = place.covers
    for i in range(top, bottom):
        for j in range(left, right):
            at = [(p - o) / s for p, o, s in zip((i, j), place.offset, place.stride, strict=True)]
            (y, v), (x, u) = (_split(a, n) for a, n in zip(at, values.shape, strict=True))
            corners = values[np.ix_([y, min(y + 1, values.shape[0] - 1)], [x, min(x + 1, values.shape[1] - 1)])]
            out[i, j] = np.array([1 - v, v]) @ corners @ np.array([1 - u, u])
    return out


def _split(at: float, count: int) -> tuple[int, float]:
    """The position before, and how far it is on the way to the next."""
    at = min(max(at, 0.0), count - 1.0)
    return math.floor(at), at - math.floor(at)
