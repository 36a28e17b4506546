"""Groups' shares and means drawn towards what all of them have, as far as chance alone would spread them."""

from __future__ import annotations

import numpy as np

ROUNDS = 20


def shrunk_shares(hits: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Posterior means of shares (G,) that are beta-binomial, by the moments of all groups (Kleinman 1973).

    gamma, which is 1 / (alpha + beta + 1), and the mean p solve, with w_i = n_i / (1 + gamma (n_i - 1)),
    p = sum w_i p_i / w and sum w_i (p_i - p)^2 = p q [gamma sum w_i (1 - w_i / w) (1 - 1 / n_i)
    + sum w_i (1 - w_i / w) / n_i]. A share becomes (hits + p s) / (n + s), s = 1 / gamma - 1; p, where gamma is 0.

    Args:
        hits, n: (G,) of each group, of n cases, which may be none: p.
    """
    known = n > 0
    if known.sum() < 2:
        return _divided(hits, n)
    cases = n[known].astype(np.float64)
    share, gamma = hits[known] / cases, 0.0
    for _ in range(ROUNDS):
        weight = cases / (1 + gamma * (cases - 1))
        total = weight.sum()
        mean = float((weight @ share) / total)
        each = weight * (1 - weight / total)
        spread, chance = mean * (1 - mean) * (each @ (1 - 1 / cases)), mean * (1 - mean) * (each @ (1 / cases))
        gamma = float(np.clip((weight @ (share - mean) ** 2 - chance) / spread, 0, 1)) if spread > 0 else 0.0
    if gamma == 0:
        return np.full(len(n), mean)
    size = 1 / gamma - 1
    return (hits + mean * size) / np.where(n + size > 0, n + size, 1)


def shrunk_means(means: np.ndarray, n: np.ndarray, variance: float) -> np.ndarray:
    """Posterior means of means (G,) that are normal, by the moments of all groups (DerSimonian & Laird 1986).

    Args:
        means, n: (G,) of each group, of n cases, which may be none: what all have together.
        variance: of cases within groups.
    """
    known = n > 0
    if known.sum() < 2 or variance <= 0:
        return means
    weight, own = n[known] / variance, means[known]
    mean = (weight @ own) / weight.sum()
    beyond = weight @ (own - mean) ** 2 - (known.sum() - 1)
    between = max(0.0, float(beyond / (weight.sum() - weight @ weight / weight.sum())))
    if between == 0:
        return np.full(len(n), mean)
    weight = 1 / (variance / n[known] + between)
    mean = (weight @ own) / weight.sum()
    found = np.full(len(n), mean)
    kept = between / (between + variance / n[known])
    found[known] = kept * own + (1 - kept) * mean
    return found


def _divided(hits: np.ndarray, n: np.ndarray) -> np.ndarray:
    return np.where(n > 0, hits / np.where(n > 0, n, 1), np.nan)
