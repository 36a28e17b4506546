"""95 % intervals by drawing the images again (percentile bootstrap; Efron 1979)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

DRAWS, FEWEST = 1000, 200
BUDGET = 50_000_000
"""Images times draws, from which there are fewer draws; never fewer than :data:`FEWEST`."""


def draws(images: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, (images,) int64, of as many as there are; one array after another."""
    rng = np.random.default_rng([seed, 7])
    for _ in range(int(np.clip(BUDGET // max(images, 1), FEWEST, DRAWS))):
        yield np.bincount(rng.integers(images, size=images), minlength=images)


def interval(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What 95 % of the draws (R, ...) lie between; draws that are not finite are left out, NaN where all are."""
    drawn = np.where(np.isfinite(drawn), drawn, np.nan)
    known = np.isfinite(drawn).any(0)
    low, high = (np.full(known.shape, np.nan) for _ in range(2))
    low[known], high[known] = np.nanpercentile(drawn[:, known], [2.5, 97.5], axis=0)
    return low, high
