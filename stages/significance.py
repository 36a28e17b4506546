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
