"""How far quantities are from what is true: mean absolute and root mean square error, and R2."""

from __future__ import annotations

import numpy as np

NAMES = ("mae", "rmse", "r2")


def errors(residual: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """MAE = mean |r|, RMSE = sqrt(mean r^2), R2 = 1 - sum r^2 / sum (y - mean y)^2, (3, K); R2 is NaN where all labels
    are the same.

    Args:
        residual, label: (n, K), n at least 1.
        weights: (n,) how often each image counts.
    """
    own = np.ones(len(residual)) if weights is None else weights.astype(np.float64)
    total, squares = own.sum(), own @ residual**2
    spread = own @ (label - own @ label / total) ** 2
    varies = np.ptp(label[own > 0], 0) > 0  # not by the spread: that of times of a day is nothing beside the year's
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(varies, 1 - squares / spread, np.nan)
    return np.stack([own @ np.abs(residual) / total, np.sqrt(squares / total), r2])
