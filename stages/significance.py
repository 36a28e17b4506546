"""How sure a finding is, among many. A leaf."""

from __future__ import annotations

import numpy as np


def bh(p: np.ndarray) -> np.ndarray:
    """q values of p values (n,): calling what has q < .05 keeps the expected share of false ones below .05.

    By Benjamini & Hochberg (1995). NaN is no test, and stays NaN.
    """
    p = np.asarray(p, np.float64)
    found = np.full(len(p), np.nan)
    tests = np.flatnonzero(~np.isnan(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    q = p[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum(np.minimum.accumulate(q[::-1])[::-1], 1.0)
    return found


def wider(chosen: int, tested: int) -> float:
    """Standard errors on either side of what was chosen as sure among all that was tested, of which 5 % then miss.

    At 95 % more of them would: that the error rate seems high is why they were chosen (Benjamini & Yekutieli 2005).
    """
    from scipy.special import ndtri

    return float(-ndtri(0.05 * chosen / tested / 2))


DRAWS, AT_ONCE = 2000, 100
"""Of a bootstrap."""
FLIPS = 20_000
"""Of a permutation test where there are more sign patterns than that: its smallest p is 1 / 20,001, so that one true
finding among a thousand is found."""
FEWEST = 5
"""Values below which there is no interval of their mean."""
IMAGES = 20
"""Images below which an intervention is not tested."""


def bootstrap_mean(values: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of the mean of ``values`` (n,), n independent cases drawn again (studentised; Efron & Tibshirani
    1993, 12.5), which covers skewed values better than percentiles do; NaN for fewer than
    five."""
    values = np.asarray(values, np.float64)
    n = len(values)
    if n < FEWEST:
        return float("nan"), float("nan")
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(n)
    if error == 0:
        return float(mean), float(mean)
    rng = np.random.default_rng([seed, 11])
    t = []
    for _ in range(DRAWS // AT_ONCE):
        drawn = values[rng.integers(n, size=(AT_ONCE, n))]
        spread = drawn.std(1, ddof=1) / np.sqrt(n)
        t.append((drawn.mean(1) - mean)[spread > 0] / spread[spread > 0])
    low, high = np.percentile(np.concatenate(t), [2.5, 97.5])
    # Of values that are nearly all the same a draw may have hardly any spread, and an end lie anywhere.
    least, most = values.min(), values.max()
    return float(max(mean - high * error, least)), float(min(mean - low * error, most))


def sign_flip(values: np.ndarray, seed: int) -> float:
    """P value that the mean of paired differences (n,) is no more than 0: by flipping their signs (Fisher 1935).

    All sign patterns where these are no more than :data:`FLIPS`, else as many drawn ones and the given one (Phipson &
    Smyth 2010). Differences of 0 change nothing; 1 where all are.
    """
    values = np.asarray(values, np.float64)
    values = values[values != 0]
    n = len(values)
    if not n:
        return 1.0
    found, slack = values.sum(), 1e-9 * np.abs(values).sum()
    if n < 63 and 2**n <= FLIPS:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float(np.mean(signs @ values >= found - slack))
    rng = np.random.default_rng([seed, 13])
    drawn = (1 - 2 * rng.integers(2, size=(AT_ONCE, n), dtype=np.int8) for _ in range(FLIPS // AT_ONCE))
    reached = sum(int((some @ values >= found - slack).sum()) for some in drawn)
    return float((reached + 1) / (FLIPS + 1))


def paired_score(more: float, fewer: float, n: float, gap: float) -> float:
    """z of a difference of two paired shares against ``gap`` (Tango 1998): over 0 where more than that is found.

    With q the share of pairs in which the second alone is 1, the most likely under a difference of exactly ``gap``:
    z = (b - c - n gap) / sqrt(n (2 q + gap (1 - gap))), q = (sqrt(B^2 - 4 A C) - B) / 2 A, A = 2 n,
    B = -b - c + (2 n - b + c) gap, C = -c gap (1 - gap).

    Args:
        more: b, pairs in which the first alone is 1.
        fewer: c, pairs in which the second alone is.
        n: pairs.
        gap: in (-1, 1).
    """
    square = 2.0 * n
    linear = -more - fewer + (2 * n - more + fewer) * gap
    left = -fewer * gap * (1 - gap)
    q = (np.sqrt(max(linear * linear - 4 * square * left, 0.0)) - linear) / (2 * square)
    variance = n * (2 * q + gap * (1 - gap))
    away = more - fewer - n * gap
    return (
        float(away / np.sqrt(variance)) if variance > 1e-12 else float(np.sign(away) * (0.0 if away == 0 else np.inf))
    )


def paired_gap(more: int, fewer: int, n: int, z: float) -> tuple[float, float]:
    """The differences of two paired shares that :func:`paired_score` does not reject at ``z`` on either side."""

    def end(sign: int) -> float:
        inner, outer = (more - fewer) / n, float(sign)
        for _ in range(60):
            middle = (inner + outer) / 2
            score = paired_score(more, fewer, n, np.clip(middle, -1 + 1e-12, 1 - 1e-12))
            inner, outer = (middle, outer) if abs(score) < z else (inner, middle)
        return inner

    return (end(-1), end(1)) if n else (-1.0, 1.0)


def grouped(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The mean of each group's values, in the order of the groups' numbers."""
    _, place = np.unique(groups, return_inverse=True)
    return np.bincount(place, values) / np.bincount(place)


def mean_interval(values: np.ndarray, outside: float = 0.05) -> tuple[float, float]:
    """The interval of the mean of (n,) values that leaves out a share of ``outside``, by Student's t (1908); NaN for
    fewer than five."""
    from scipy.special import stdtrit

    n = len(values)
    if n < FEWEST:
        return float("nan"), float("nan")
    half = stdtrit(n - 1, 1 - outside / 2) * np.std(values, ddof=1) / np.sqrt(n)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def mean_above(values: np.ndarray, least: float = 0.0) -> float:
    """P value that the mean of (n,) values is no more than ``least``, by Student's t (1908); 1 for fewer than five, and
    of equal values 0 where they are above."""
    from scipy.special import stdtr

    n = len(values)
    if n < FEWEST:
        return 1.0
    away, error = float(np.mean(values)) - least, float(np.std(values, ddof=1)) / np.sqrt(n)
    if error < 1e-12:
        return 0.0 if away > 1e-12 else 1.0
    return float(stdtr(n - 1, -away / error))
