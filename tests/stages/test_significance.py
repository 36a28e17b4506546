"""How sure findings are: by hand, by enumeration, and by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from activation_atlas.stages.significance import bh, bootstrap_mean, paired_gap, paired_score, sign_flip


def test_q_values_by_hand():
    # Of four tests: .01 x 4 / 1, .02 x 4 / 2, .03 x 4 / 3, .5 x 4 / 4; a later one's is no smaller.
    np.testing.assert_allclose(bh(np.array([0.5, 0.02, np.nan, 0.01, 0.03])), [0.5, 0.04, np.nan, 0.04, 0.04])
    assert np.isnan(bh(np.array([np.nan]))).all() and bh(np.zeros(0)).shape == (0,)
    assert bh(np.array([0.01, 0.04, 0.03, np.nan])) == pytest.approx([0.03, 0.04, 0.04, np.nan], nan_ok=True)


def test_flipped_signs_are_all_tried_where_they_are_few():
    values = np.array([3.0, -1.0, 2.0, 0.5])
    sums = [np.dot(signs, values) for signs in product((1, -1), repeat=4)]
    assert sign_flip(values, 0) == np.mean(np.array(sums) >= values.sum() - 1e-9) == 3 / 16  # 4.5, 5.5 and 6.5
    assert sign_flip(np.zeros(5), 0) == 1


def test_paired_shares_without_a_gap_are_mcnemars():
    assert paired_score(9, 4, 50, 0.0) == pytest.approx((9 - 4) / np.sqrt(13))


def test_the_most_likely_share_under_a_gap():
    """Tango's q against a search over q of the likelihood of 9 and 4 discordant pairs of 50."""
    more, fewer, n, gap = 9, 4, 50, 0.05
    q = np.linspace(1e-6, (1 - gap) / 2 - 1e-6, 200_001)
    likely = more * np.log(q + gap) + fewer * np.log(q) + (n - more - fewer) * np.log(1 - 2 * q - gap)
    best = q[likely.argmax()]
    expected = (more - fewer - n * gap) / np.sqrt(n * (2 * best + gap * (1 - gap)))
    assert paired_score(more, fewer, n, gap) == pytest.approx(expected, abs=1e-4)


def test_the_interval_of_a_gap_ends_where_the_score_does():
    low, high = paired_gap(9, 4, 50, 1.96)
    assert low < 0.1 < high
    assert [abs(paired_score(9, 4, 50, end)) for end in (low, high)] == pytest.approx([1.96, 1.96], abs=1e-6)
    assert paired_gap(0, 0, 40, 1.96)[0] < 0 < paired_gap(0, 0, 40, 1.96)[1]


def _outcomes(rng: np.random.Generator, both: float, more: float, fewer: float, n: int) -> tuple[int, int]:
    first, second, _, _ = rng.multinomial(n, [more, fewer, both, 1 - both - more - fewer])
    return int(first), int(second)


def test_intervals_of_gaps_cover():
    rng = np.random.default_rng(0)
    for more, fewer in ((0.3, 0.02), (0.03, 0.01)):
        held = 0
        for _ in range(400):
            low, high = paired_gap(*_outcomes(rng, 0.05, more, fewer, 200), 200, 1.959964)
            held += low <= more - fewer <= high
        assert 0.925 <= held / 400 <= 0.975  # two standard errors of 400 draws


def test_intervals_of_means_cover():
    rng = np.random.default_rng(1)
    held = 0
    for k in range(300):
        low, high = bootstrap_mean(rng.exponential(size=80), k)
        held += low <= 1 <= high
    assert 0.92 <= held / 300 <= 0.98


def test_few_of_many_null_cues_are_found():
    """Of 40 cues that turn just as many images as is allowed, and 10 that turn more: false ones among the found."""
    from scipy.special import ndtr

    rng, shares = np.random.default_rng(2), []
    for _ in range(60):
        found = [_outcomes(rng, 0.02, 0.07 if k < 40 else 0.25, 0.02, 200) for k in range(50)]
        q = bh(np.array([ndtr(-paired_score(*pair, 200, 0.05)) for pair in found]))
        called = q < 0.05
        shares.append(called[:40].sum() / max(called.sum(), 1))
        assert called[40:].mean() > 0.5
    assert np.mean(shares) < 0.07


def test_an_interval_of_nearly_equal_values_stays_among_them():
    values = np.zeros(60)
    values[:2] = 1e-3, 5.0
    low, high = bootstrap_mean(values, 0)
    assert 0 <= low < values.mean() < high <= 5
