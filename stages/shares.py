"""Shares and their intervals. A leaf."""

from __future__ import annotations

import numpy as np


def wilson(successes: float, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927): better than the normal one near 0 and 1 and for few cases.

    Returns:
        lower and upper bound in [0, 1]; (0, 1) where n is 0.
    """
    if n <= 0:
        return 0.0, 1.0
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return 0.0 if successes <= 0 else float(low), 1.0 if successes >= n else float(high)
