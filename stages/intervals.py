"""95 % intervals of shares, and how wide those of means are by Student's t. A leaf.

Those of correlations and lifts are drawn: :mod:`stages.validity.bootstrap`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Z = 1.959963984540054
"""Standard errors on either side that hold 95 %."""


def wilson(successes: float, n: float, z: float = Z) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927): better than the normal one near 0 and 1 and for few cases.

    Returns:
        lower and upper bound in [0, 1]; (0, 1) where n is 0.
    """
    low, high = wilson_bounds(successes / n if n > 0 else 0.0, n, z)
    return float(low), float(high)


def wilson_bounds(share: Any, n: Any, z: float = Z) -> tuple[np.ndarray, np.ndarray]:
    """:func:`wilson` of arrays: bounds of ``share`` among ``n`` each, which need not be whole; (0, 1) where n is 0."""
    share, n = np.asarray(share, np.float64), np.asarray(n, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = share + z * z / (2 * n)
        half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    known = n > 0
    return np.where(known & (share > 0), low, 0.0), np.where(known & (share < 1), high, 1.0)


def newcombe(hits: float, n: float, other_hits: float, other_n: float) -> tuple[float, float]:
    """95 % interval of a share less another of other cases, from :func:`wilson`'s of both (Newcombe 1998, method 10).

    Returns:
        lower and upper bound in [-1, 1]; NaN where either has no cases.
    """
    if n <= 0 or other_n <= 0:
        return float("nan"), float("nan")
    one, other = hits / n, other_hits / other_n
    (low, high), (other_low, other_high) = wilson(hits, n), wilson(other_hits, other_n)
    below = ((one - low) ** 2 + (other_high - other) ** 2) ** 0.5
    above = ((high - one) ** 2 + (other - other_low) ** 2) ** 0.5
    return one - other - below, one - other + above


def paired(gained: float, lost: float, n: int, z: float = Z) -> tuple[float, float]:
    """95 % interval of the difference of two shares of the same n cases, (gained - lost) / n.

    By the normal interval of a table with one half added to each of its four cells (Agresti & Min 2005).

    Args:
        gained: cases that are hit after and were not before; ``lost``: the other way round.

    Returns:
        lower and upper bound in [-1, 1]; (-1, 1) where n is 0.
    """
    if not n:
        return -1.0, 1.0
    gap, moved, count = gained - lost, gained + lost + 1.0, n + 2.0
    half = z * float(np.sqrt(moved - gap * gap / count)) / count
    return max(-1.0, gap / count - half), min(1.0, gap / count + half)


def clustered_share(hit: np.ndarray, rows: np.ndarray, last: float | None = None) -> tuple[float, float, float, float]:
    """A share of rows that come in clusters, each wholly hit or not, with :func:`wilson`'s interval over the clusters.

    The clusters' effective number is the smaller of Kish's, (sum n_g)^2 / sum n_g^2 (Kish 1965), and the one at which
    independent rows would vary as much as the share does, p (1 - p) / V (Korn & Graubard 1998): clusters that are hit
    may be larger than the others. V = G / (G - 1) sum (x_g - mean x)^2 / (sum n_g)^2 with x_g = n_g (y_g - q), where q
    is p for rows chosen by a rule of their own. Of the best so many, one more pushes out one of the last: q is theirs.

    Args:
        hit: (G,) bool, y_g.
        rows: (G,) n_g, which may be 0.
        last: q, the share among the last that were chosen, where their number was set.

    Returns:
        the share, its lower and upper bound, and the effective number; NaN, 0, 1 and 0 where there are no rows.
    """
    rows = rows.astype(np.float64)
    total, squares = rows.sum(), (rows * rows).sum()
    if not total:
        return float("nan"), 0.0, 1.0, 0.0
    share, effective = float(rows[hit].sum() / total), float(total * total / squares)
    if 0 < share < 1:
        moved = rows * (hit - (share if last is None else last))
        varies = moved.var(ddof=1) * len(rows) / total**2
        effective = float(min(effective, share * (1 - share) / varies))
    return share, *wilson(share * effective, effective), effective


def student_t(clusters: np.ndarray) -> np.ndarray:
    """Standard errors on either side that hold 95 %, clustered by so many; NaN for fewer than two.

    By Student's t of one degree of freedom less than there are clusters (Cameron & Miller 2015).
    """
    from scipy.special import stdtrit

    return np.where(clusters > 1, stdtrit(np.maximum(clusters - 1, 1), 0.975), np.nan)
