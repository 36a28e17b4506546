"""Spearman's rank correlation (Spearman 1904). A leaf."""

from __future__ import annotations

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of all values from 0, float64 of the same size, flat; ties share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count + 1) / 2)[place.reshape(-1)]


def standard(values: np.ndarray) -> np.ndarray | None:
    """Ranks less their mean, of length 1, float32: their product is the correlation. None where all values are one."""
    found = ranks(values)
    found -= found.mean()
    length = np.linalg.norm(found)
    return (found / length).astype(np.float32) if length > 0 else None


def correlation(one: np.ndarray | None, other: np.ndarray | None) -> float | None:
    """Spearman's, of two :func:`standard` ranks; None where one of them is."""
    if one is None or other is None:
        return None
    return float(np.clip(np.dot(one, other), -1, 1))
