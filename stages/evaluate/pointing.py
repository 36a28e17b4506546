"""Whether a map lies on the thing: the pointing game and the energy inside."""

from __future__ import annotations

import numpy as np


def pointing(values: np.ndarray, inside: np.ndarray, tolerance: float = 0) -> bool:
    """Whether the map's maximum lies inside, or at most ``tolerance`` pixels away (Zhang et al. 2018).

    Args:
        values: (H, W) at the model's input; of several maxima the first, row by row, counts.
        inside: (H, W) bool, somewhere true.
        tolerance: from pixel centre to pixel centre, in pixels of the model's input.
    """
    row, col = np.unravel_index(int(np.argmax(values)), values.shape)
    rows, cols = np.nonzero(inside)
    return bool(((rows - row) ** 2 + (cols - col) ** 2).min() <= tolerance**2)


def energy(values: np.ndarray, inside: np.ndarray) -> float | None:
    """Share of the map's positive part that lies inside (Wang et al. 2020); None where nothing is positive."""
    positive = np.maximum(values, 0).astype(np.float64)
    total = positive.sum()
    return float(positive[inside].sum() / total) if total > 0 else None
