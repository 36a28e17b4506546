"""The mean of a sample, or a share, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.intervals import wilson

RESAMPLES = 1000


@dataclass(frozen=True)
class Mean:
    """A mean over images and its 95 % interval; None where there is nothing, or nothing to draw an interval from.

    Attributes:
        n: images.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int


def mean(values: Sequence[float | None], seed: int) -> Mean:
    """Mean of what is not None; the interval is the middle 95 % of the means of resampled images (bootstrap)."""
    known = np.array([v for v in values if v is not None], np.float64)
    if not len(known):
        return Mean(None, None, None, 0)
    if len(known) == 1:
        return Mean(float(known[0]), None, None, 1)
    rng = np.random.default_rng([seed, len(known)])
    means = np.array([known[rng.integers(0, len(known), len(known))].mean() for _ in range(RESAMPLES)])
    low, high = np.percentile(means, (2.5, 97.5))
    return Mean(float(known.mean()), float(low), float(high), len(known))


def share(values: Sequence[float]) -> Mean:
    """Share of the images of which something holds, and its interval (Wilson).

    Resampling cannot give it: where it holds of all, it does of every resample.
    """
    if not len(values):
        return Mean(None, None, None, 0)
    total = float(np.sum(values))
    return Mean(total / len(values), *wilson(total, len(values)), len(values))
