"""Whether a map lies on the thing: the pointing game and the energy inside."""

from __future__ import annotations

import numpy as np


def pointing(values: np.ndarray, inside: np.ndarray, tolerance: float = 0) -> float:
    """Whether the map's maximum lies inside, or at most ``tolerance`` pixels away (Zhang et al. 2018): 1 or 0.

    Their game takes one maximal point. Where a map has several (occlusion has one value for a whole step of its
    windows, an enlarged map one for the outer half of a cell at the border), taking the first would favour the upper
    left; this is the game's expected value with the point drawn among them: the share of them that lie inside.

    Args:
        values: (H, W) at the model's input, NaN where nothing of the map lies.
        inside: (H, W) bool, somewhere true.
        tolerance: from pixel centre to pixel centre, in pixels of the model's input.
    """
    highest = values >= np.nanmax(values)
    return float(_widened(inside, tolerance)[highest].mean())


def _widened(inside: np.ndarray, by: float) -> np.ndarray:
    """The pixels (H, W) that are at most ``by`` pixels from one of ``inside``."""
    reach, (height, width) = min(int(by), max(inside.shape)), inside.shape
    around, grown = np.pad(inside, reach), np.zeros_like(inside)
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            if down**2 + across**2 <= by**2:
                grown |= around[reach + down :, reach + across :][:height, :width]
    return grown


def energy(values: np.ndarray, inside: np.ndarray) -> float | None:
    """Share of the map's positive part that lies inside (Wang et al. 2020); None where nothing is positive."""
    positive = np.maximum(np.nan_to_num(values), 0).astype(np.float64)
    total = positive.sum()
    return float(positive[inside].sum() / total) if total > 0 else None
