"""Shrinkage: against the papers written out, and that it is nearer the truth."""

import numpy as np
import pytest

from activation_atlas.stages.subgroups.shrinking import ROUNDS, shrunk_means, shrunk_shares


def kleinman(hits, n):
    """Kleinman 1973, group by group: p and S from weighted shares, gamma from S, weights from gamma."""
    share, gamma = [h / k for h, k in zip(hits, n, strict=True)], 0.0
    for _ in range(ROUNDS):
        weight = [k / (1 + gamma * (k - 1)) for k in n]
        w = sum(weight)
        p = sum(a * b for a, b in zip(weight, share, strict=True)) / w
        s = sum(a * (b - p) ** 2 for a, b in zip(weight, share, strict=True))
        first = sum(a / k * (1 - a / w) for a, k in zip(weight, n, strict=True))
        second = sum(a * (1 - a / w) for a in weight)
        gamma = min(1, max(0, (s - p * (1 - p) * first) / (p * (1 - p) * (second - first))))
    size = 1 / gamma - 1
    return [(h + size * p) / (k + size) for h, k in zip(hits, n, strict=True)]


def test_shares_as_the_paper_has_them():
    hits, n = np.array([3, 20, 9, 70, 1]), np.array([4, 40, 10, 80, 5])
    found = shrunk_shares(hits, n)
    assert found == pytest.approx(kleinman(hits, n))
    raw = hits / n
    assert abs(found - raw)[0] > abs(found - raw)[3]  # of 4 images farther than of 80
    assert found.min() > raw.min() and found.max() < raw.max()


def test_what_chance_alone_would_spread_is_all_the_same():
    assert shrunk_shares(np.array([5, 6, 5, 4]), np.full(4, 10)) == pytest.approx([0.5] * 4)
    assert shrunk_shares(np.array([0, 0]), np.array([3, 9])).tolist() == [0, 0]
    assert shrunk_shares(np.array([2, 0]), np.array([4, 0])).tolist()[0] == 0.5  # one group only: nothing to borrow
    assert shrunk_means(np.array([1.0, 1.1, 0.9]), np.array([3, 3, 3]), 1.0) == pytest.approx([1.0] * 3)
    assert shrunk_means(np.array([1.0, 3.0]), np.array([3, 3]), 0.0).tolist() == [1, 3]


def test_means_by_hand():
    # Variance 4 of cases; groups of 4: standard error 1 each. Means 0, 4, 8 of mean 4: Q = 32 of 2 degrees of freedom,
    # tau^2 = (32 - 2) / (3 - 1) = 15: each keeps 15 / 16 of its distance.
    assert shrunk_means(np.array([0.0, 4, 8]), np.array([4, 4, 4]), 4.0) == pytest.approx([0.25, 4, 7.75])
    assert shrunk_means(np.array([0.0, 4, 8, np.nan]), np.array([4, 4, 4, 0]), 4.0)[3] == pytest.approx(4)


def test_shrunk_shares_are_nearer_the_truth():
    rng = np.random.default_rng(0)
    raw, drawn = [], []
    for _ in range(100):
        truth, n = rng.beta(16, 4, 12), rng.integers(3, 60, 12)
        hits = rng.binomial(n, truth)
        raw.append(((hits / n - truth) ** 2).mean())
        drawn.append(((shrunk_shares(hits, n) - truth) ** 2).mean())
    assert np.mean(drawn) < 0.7 * np.mean(raw)
