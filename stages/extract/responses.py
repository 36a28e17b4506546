"""What each channel does in an image, over all positions of its map: in one pass over the numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

RESPONSES = {"peak": np.float32, "at": np.int32, "mean": np.float32, "zeros": np.int32}
"""Columns of the table ``responses``, and what they hold."""


def responses(maps: np.ndarray) -> dict[str, np.ndarray]:
    """Of maps (n, h, w, C), float32 and finite, each of :data:`RESPONSES` as (n, C).

    ``peak`` the largest value; ``at`` its place, row x w + column, of equals (a ReLU may be capped) the nearest to the
    middle of the map, where the padding tells least, of those the first; ``mean`` over positions, summed in float64 in
    their order, so that no batch and no thread changes it; ``zeros`` the number of positions at which the value is 0.
    """
    count, height, width, channels = maps.shape
    found = {name: np.empty((count, channels), kind) for name, kind in RESPONSES.items()}
    rows, cols = np.divmod(np.arange(height * width), width)
    outward = np.argsort((2 * rows - height + 1) ** 2 + (2 * cols - width + 1) ** 2, kind="stable")
    flat = np.ascontiguousarray(maps).reshape(count, height * width, channels)
    _compiled()(flat, outward, *found.values())
    return found


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., None]:
    """The loop, as machine code: NumPy needs nine times as long for as many passes, TensorFlow's reductions four."""
    import numba

    @numba.njit(nogil=True)
    def walk(maps, outward, peak, at, mean, zeros):
        count, positions, channels = maps.shape
        total, equal = np.empty(channels, np.float64), np.empty(channels, np.int32)
        for image in range(count):
            for c in range(channels):
                peak[image, c], at[image, c], total[c], zeros[image, c], equal[c] = -np.inf, 0, 0.0, 0, 0
            for position in range(positions):
                for c in range(channels):
                    value = maps[image, position, c]
                    total[c] += value
                    zeros[image, c] += value == 0
                    larger = value > peak[image, c]
                    equal[c] = 1 if larger else equal[c] + (value == peak[image, c])
                    peak[image, c] = value if larger else peak[image, c]
                    at[image, c] = position if larger else at[image, c]
            for c in range(channels):
                mean[image, c] = total[c] / positions
                if equal[c] > 1:
                    for position in outward:
                        if maps[image, position, c] == peak[image, c]:
                            at[image, c] = position
                            break

    return walk
