"""Two shares, or means, of samples that overlap: hand-made cases, known special cases, and how often they are right."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from activation_atlas.stages.compared.estimates import Shares, mcnemar, means_apart
from activation_atlas.stages.intervals import newcombe
from activation_atlas.stages.significance import mean_interval

NONE = np.zeros(0, np.int64)


def test_without_pairs_it_is_newcombes_interval():
    change, low, high = Shares(70, 56, 80, 48).change()
    assert [-float(v) for v in (change, high, low)] == pytest.approx([0.2, *newcombe(56, 70, 48, 80)], abs=1e-12)
    # Newcombe (1998), table II (a), method 10: 0.0524, 0.3339.
    assert [round(-float(v), 4) for v in (high, low)] == [0.0524, 0.3339]


def test_of_nothing_but_pairs_it_is_newcombes_paired_interval():
    """Written out: 50 pairs, 12 hit in both, 9 in the first alone, 2 in the second alone, 27 in neither."""
    a, b, c, d = 12, 9, 2, 27
    n = a + b + c + d
    change, low, high = Shares(n, a + b, n, a + c, n, a + b, a + c, a).change()

    def wilson(k):
        z = norm.ppf(0.975)
        middle, half = 2 * k + z * z, z * (z * z + 4 * k * (1 - k / n)) ** 0.5
        return (middle - half) / (2 * (n + z * z)), (middle + half) / (2 * (n + z * z))

    phi = (a * d - b * c) / ((a + b) * (c + d) * (a + c) * (b + d)) ** 0.5
    (l1, u1), (l2, u2), p1, p2 = wilson(a + b), wilson(a + c), (a + b) / n, (a + c) / n
    below = ((p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2) ** 0.5
    above = ((u2 - p2) ** 2 - 2 * phi * (u2 - p2) * (p1 - l1) + (p1 - l1) ** 2) ** 0.5
    assert [float(v) for v in (change, low, high)] == pytest.approx([p2 - p1, p2 - p1 - below, p2 - p1 + above])


def test_p_values_at_both_ends():
    # No pairs: the pooled z test. Nothing but pairs: near McNemar's (b - c) / sqrt(b + c).
    p = (56 + 48) / 150
    z = (48 / 80 - 56 / 70) / (p * (1 - p) * (1 / 70 + 1 / 80)) ** 0.5
    assert float(Shares(70, 56, 80, 48).p_value()) == pytest.approx(2 * norm.sf(abs(z)))
    paired = float(Shares(500, 300, 500, 260, 500, 300, 260, 220).p_value())
    assert paired == pytest.approx(2 * norm.sf(abs(80 - 40) / 120**0.5), rel=0.2)


def test_pairs_that_never_differ_tell_nothing():
    # All that is new are 100 images in the second run; 3 of them would be too few to tell.
    grown = Shares(1000, 200, 1100, 260, 1000, 200, 200, 200)
    new = (60 - 200 / 1000 * 100) / 100  # .6 of the new ones, not .2
    assert float(grown.p_value()) < 1e-8 and float(grown.change()[0]) == pytest.approx(260 / 1100 - 0.2)
    assert new > 0.3 and np.isnan(Shares(1000, 200, 1003, 203, 1000, 200, 200, 200).p_value())
    same = Shares(1000, 200, 1000, 200, 1000, 200, 200, 200)
    assert np.isnan(same.p_value()) and float(same.change()[0]) == 0
    assert [round(float(v), 6) for v in same.change()[1:]] == pytest.approx([0, 0], abs=0.02)


def test_too_few_cases_are_not_tested():
    assert np.isnan(Shares(100, 0, 100, 9).p_value())  # four and a half expected in either
    assert not np.isnan(Shares(100, 0, 100, 10).p_value())
    assert np.isnan(Shares(0, 0, 10, 5).change()[0])


def test_mcnemar_is_a_coin():
    for lost, gained in ((3, 11), (20, 4), (7, 7)):
        assert mcnemar(lost, gained) == pytest.approx(min(1, binomtest(lost, lost + gained).pvalue))
    assert mcnemar(0, 0) == 1


def test_means_of_pairs_are_the_paired_interval():
    rng = np.random.default_rng(0)
    one = rng.normal(size=30)
    two = one + rng.normal(0.3, 0.2, 30)
    every = np.arange(30)
    gap, low, high = means_apart(one, two, every, every)
    assert (gap, low, high) == pytest.approx(((two - one).mean(), *mean_interval(two - one)))
    assert high - low < 0.5 * np.diff(means_apart(one, two, NONE, NONE)[1:])[0]
    assert np.isnan(means_apart(one[:4], two, NONE, NONE)[1]) and np.isnan(means_apart(one[:0], two, NONE, NONE)[0])


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.03, 0.3])
def test_intervals_hold_the_truth_and_nothing_is_found_by_chance(overlap, share):
    """4,000 comparisons of 400 images with 400, of which some are the same and alike in both."""
    rng = np.random.default_rng([7, int(10 * overlap), int(100 * share)])
    n, m, draws = 400, int(400 * overlap), 4000
    before = rng.random((draws, n)) < share
    after = rng.random((draws, n)) < share
    kept = rng.random((draws, m)) < 0.7  # of what is shared most stays as it was
    after[:, :m] = np.where(kept, before[:, :m], after[:, :m])
    one, two = before[:, :m], after[:, :m]
    found = Shares(n, before.sum(1), n, after.sum(1), m, one.sum(1), two.sum(1), (one & two).sum(1))
    _, low, high = found.change()
    assert 0.935 < np.mean((low <= 0) & (high >= 0)) < 0.985
    p = found.p_value()
    assert (p < 0.05).sum() / (~np.isnan(p)).sum() < 0.062
