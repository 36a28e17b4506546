"""Whether probabilities are shares: the expected calibration error of a group, with what few images add taken off."""

from __future__ import annotations

import numpy as np

BINS, DRAWS = 15, 200
LEAST = 50
"""Images of which there are fewer say nothing of their calibration."""
SCALES = np.r_[np.linspace(0, 2, 11), 3]
"""How many times as far from the probabilities as they are seen the true shares are tried at."""


def edges(probability: np.ndarray) -> np.ndarray:
    """What cuts probabilities (n,) into bins of as many each, (at most 14,)."""
    return np.unique(np.quantile(probability, np.arange(1, BINS) / BINS)) if len(probability) else np.zeros(0)


def plain(n: np.ndarray, hits: np.ndarray, probability: np.ndarray) -> float:
    """sum_b n_b / n |hits_b / n_b - p_b| (Guo et al. 2017): too large, the more so the fewer images there are.

    Args:
        n, hits: (bins,) images, and those that are right.
        probability: (bins,) their mean probability.
    """
    return float(np.abs(hits - n * probability).sum() / n.sum())


def ece(
    n: np.ndarray, hits: np.ndarray, probability: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The expected calibration error without the bias of :func:`plain`, and its 95 % interval.

    True shares are tried on two lines, 0 to 3 times as far from the probabilities as they seem to be: as far as what is
    seen, and so much less in each bin as chance alone would put there. For of the same error many bins that are a
    little off show less than one that is far off, and either may be. From each, images are drawn anew (a parametric
    bootstrap). A line's estimate is the error of those shares whose draws have the plain error that is seen as their
    median; its interval, of those in whose middle 95 % it lies. At scale 0 that is the test of calibration of
    Vaicenavicius et al. (2019). The estimate is the mean of both lines', and the interval holds both.

    Returns:
        error, lower and upper end, in [0, 1].
    """
    known = n > 0
    n, hits, probability = n[known], hits[known], probability[known]
    off = hits / n - probability
    chance = probability * (1 - probability) / n
    square = np.where(off == 0, 1, off**2)
    lines = [_along(each, n, hits, probability, rng) for each in (off, off * np.maximum(0, 1 - chance / square))]
    (one, low, high), (other, lower, higher) = lines
    return (one + other) / 2, min(low, lower), max(high, higher)


def _along(
    off: np.ndarray, n: np.ndarray, hits: np.ndarray, probability: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The same by one line: how far ``off`` (bins,) the shares are at scale 1."""
    total = n.sum()
    tried = np.clip(probability + SCALES[:, None] * off, 0, 1)
    error = np.abs(tried - probability) @ n / total
    drawn = rng.multinomial(total, n / total, size=(DRAWS, 1))
    seen = np.abs(rng.binomial(drawn, tried) - drawn * probability).sum(-1) / total
    low, middle, high = np.maximum.accumulate(np.percentile(seen, [2.5, 50, 97.5], axis=0), axis=1)
    apart = 1e-12 * np.arange(len(SCALES))  # curves that rise, for interpolation
    found, least, most = (np.interp(plain(n, hits, probability), own + apart, error) for own in (middle, high, low))
    return float(found), float(least), float(most)
