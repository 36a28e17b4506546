"""How far a map is spread out: its entropy, and how unequal its values are."""

from __future__ import annotations

import numpy as np


def complexity(values: np.ndarray) -> float | None:
    """Entropy, in nats, of the shares |v| / sum |v| that positions have of a map (Bhatt, Weller & Moura 2020).

    Returns:
        0 where one position has it all, log of their number where all have the same; None of a map that is 0, or not
        finite, everywhere. Where nothing of a map lies (NaN) it is 0.
    """
    sizes = _sizes(values)
    if sizes is None:
        return None
    shares = sizes[sizes > 0] / sizes.sum()
    return float(abs((shares * np.log(shares)).sum()))


def sparseness(values: np.ndarray) -> float | None:
    """Gini index of |v| (Chalasani et al. 2020): 0 where all are the same, 1 - 1 / n where one of n has it all.

    None as for :func:`complexity`.
    """
    sizes = _sizes(values)
    if sizes is None:
        return None
    n, ranked = sizes.size, np.sort(sizes)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ranked).sum() / (n * ranked.sum()))


def _sizes(values: np.ndarray) -> np.ndarray | None:
    found = np.abs(np.nan_to_num(values.astype(np.float64), posinf=np.inf, neginf=np.inf)).reshape(-1)
    return found if found.any() and np.isfinite(found).all() else None
