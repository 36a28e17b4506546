"""Shares and their intervals. A leaf."""

from __future__ import annotations

from typing import Any

import numpy as np

Z = 1.959963984540054
"""Standard errors on either side that hold 95 %."""


def wilson(successes: float, n: int, z: float = Z) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927): better than the normal one near 0 and 1 and for few cases.

    Returns:
        lower and upper bound in [0, 1]; (0, 1) where n is 0.
    """
    low, high = intervals(successes / n if n > 0 else 0.0, n, z)
    return float(low), float(high)


def intervals(share: Any, n: Any, z: float = Z) -> tuple[np.ndarray, np.ndarray]:
    """:func:`wilson` of arrays: bounds of ``share`` among ``n`` each, which need not be whole; (0, 1) where n is 0."""
    share, n = np.asarray(share, np.float64), np.asarray(n, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = share + z * z / (2 * n)
        half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    known = n > 0
    return np.where(known & (share > 0), low, 0.0), np.where(known & (share < 1), high, 1.0)
