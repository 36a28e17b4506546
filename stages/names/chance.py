"""Whether more photographs rank a class high in a cell than the map's rate would give, over many cells and classes."""

from __future__ import annotations

import numpy as np


def expected(photographs: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Photographs that would rank each class high at least once, were it at the map's rate: (cells, K) float64.

    A photograph with m positions in a cell does with probability 1 - (1 - r)^m were they independent, and with less
    where they are alike.

    Args:
        photographs: how many photographs have m positions in each cell, (cells, most m + 1).
        rate: share r of all positions of the map that rank each class high, (K,).
    """
    found = np.zeros((len(photographs), len(rate)))
    for m in range(1, photographs.shape[1]):
        if (own := photographs[:, m]).any():
            found += own[:, None] * (1 - (1 - rate) ** m)
    return found


def at_least(count: np.ndarray, n: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Bound of the probability of ``count`` or more of n independent cases of which ``expected`` are to be expected.

    That of a binomial of n cases with the mean of their probabilities, where count is at least one more than expected
    (Hoeffding 1956); 1 where it is not, and nothing is to be said.
    """
    from scipy.special import betainc

    count, n, expected = np.broadcast_arrays(count, n, expected)
    found = np.ones(count.shape)
    beyond = (count >= expected + 1) & (count > 0)
    k, of = count[beyond].astype(np.float64), n[beyond].astype(np.float64)
    found[beyond] = betainc(k, of - k + 1, expected[beyond] / of)
    return found


def adjusted(p: np.ndarray, tests: int) -> np.ndarray:
    """q values of the p values (n,) of ``tests`` tests of which the others have p = 1 (Benjamini & Yekutieli 2001).

    Rejecting all with q < .05 keeps the expected share of false ones under .05 whatever the dependence: classes that
    share the same few high ranks exclude each other, and the cells that one photograph reaches go together, so that
    the positive dependence Benjamini & Hochberg (1995) need cannot be taken for granted.
    """
    from scipy.special import digamma

    order = np.argsort(p, kind="stable")
    harmonic = np.euler_gamma + digamma(tests + 1)  # 1 + 1/2 + ... + 1/tests
    q = p[order] * tests * harmonic / np.arange(1, len(p) + 1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.minimum.accumulate(q[::-1])[::-1], 1.0)
    return found
