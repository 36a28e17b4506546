"""One figure of a concept's direction, held against those of random directions."""

from __future__ import annotations

import numpy as np


def beyond(value: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Two-sided p that a figure is one more draw of those of random directions (m, ...), shape (...).

    t = (x - mean) / (s (1 + 1/m)^1/2), Student's with m - 1 degrees of freedom. Kim et al. 2018 hold the figures of
    many re-drawn directions of a concept against those of as many random ones, as if they were independent; but they
    share the concept's images, and of concepts of nothing the test calls half significant. Here a concept counts once.
    NaN where the random directions all give the same.
    """
    from scipy.stats import t

    count, spread = len(null), null.std(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * t.sf(np.abs(value - null.mean(0)) / (spread * np.sqrt(1 + 1 / count)), count - 1)
    return np.where(spread > 0, found, np.nan)


def within(null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which figures 95 % of random directions lie, by the same t; (...) both."""
    from scipy.stats import t

    half = t.ppf(0.975, len(null) - 1) * null.std(0, ddof=1) * np.sqrt(1 + 1 / len(null))
    return null.mean(0) - half, null.mean(0) + half
