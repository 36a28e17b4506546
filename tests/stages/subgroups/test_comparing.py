"""Gaps, their intervals and tests: by hand, by enumeration and by simulation."""

from itertools import combinations

import numpy as np
import pytest

from activation_atlas.stages.intervals import newcombe
from activation_atlas.stages.significance import bh
from activation_atlas.stages.subgroups.comparing import Side, gap, hypergeometric, lacking, tails, two_sided


def shares(hits, n):
    return Side.of(np.arange(n) < hits)


def test_newcombe_as_printed():
    # Newcombe 1998, table II: 56/70 less 48/80 by method 10, and 9/10 less 3/10.
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert np.isnan(newcombe(0, 0, 3, 10)).all()


def test_fisher_and_the_lady_who_tastes_tea():
    less, more = tails(shares(3, 4), shares(1, 4), True)
    assert (less, more) == pytest.approx((69 / 70, 17 / 70)) and two_sided(less, more) == pytest.approx(34 / 70)
    counts, chance = hypergeometric(900, 600, 700)
    assert chance.sum() == pytest.approx(1) and counts[0] == 200 and counts[-1] == 600
    assert tails(shares(5, 5), shares(5, 5), True) == (1, 1)  # nothing is wrong: one outcome only


def test_permutations_against_all_of_them():
    rng = np.random.default_rng(0)
    scores = rng.exponential(size=16)  # skewed
    for chosen in ([0, 1, 2, 3, 4], list(np.argsort(scores)[-5:]), list(np.argsort(scores)[:11])):
        inside = np.isin(np.arange(16), chosen)
        sums = np.array([scores[list(c)].sum() for c in combinations(range(16), len(chosen))])
        own = scores[inside].sum()
        exact = ((sums <= own + 1e-9).mean(), (sums >= own - 1e-9).mean())
        assert tails(Side.of(scores[inside]), Side.of(scores[~inside]), False) == pytest.approx(exact, abs=0.02)
    same = Side.of(np.full(12, 0.3))
    assert tails(same, same, False) == (1, 1)


def test_means_beside_means():
    one, other = Side.of(np.array([1.0, 2, 3])), Side.of(np.array([4.0, 6, 8, 10]))
    found, low, high = gap(one, other, False)
    # Welch: variances 1 and 20 / 3, errors 1 / 3 and 5 / 3: 2^.5; freedom 4 / (1/9/2 + 25/9/3) = 4.075; t = 2.7565.
    assert (found, low, high) == pytest.approx((-5, -5 - 2.7565 * 2**0.5, -5 + 2.7565 * 2**0.5), abs=2e-3)
    assert (one + other).mean == pytest.approx(34 / 7) and ((one + other) - other).variance == pytest.approx(1)
    assert one.interval(False) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)
    assert np.isnan(gap(one, Side.of(np.zeros(1)), False)[1])


def test_which_number_is_missing():
    def why(one, other):
        return lacking(one, other, True, "images", "other images")

    assert why(shares(2, 3), shares(50, 60)) == "3 images: a test needs 10, 7 more"
    assert why(shares(0, 1), shares(50, 60)) == "1 image: a test needs 10, 9 more"
    assert why(shares(9, 12), shares(1, 4)) == "4 other images: a test needs 10, 6 more"
    assert why(shares(9, 12), shares(0, 0)) == "no other images to compare with: a test needs 10"
    assert why(shares(0, 0), shares(9, 12)) == "no images: none to test"
    assert why(shares(9, 12), shares(9, 12)) is None
    # Of 20 images beside 20, k errors all on one side: 2 (20 choose k) / (40 choose k) is .106 of 4, .047 of 5.
    assert why(shares(20, 20), shares(17, 20)) == ("3 errors in all: a test of 20 images beside 20 needs 5, 2 more")
    assert why(shares(0, 20), shares(2, 20)).startswith("2 images that are right in all")
    assert lacking(shares(20, 20), shares(20, 20), False, "images", "other images") is None


@pytest.mark.parametrize("case", [(20, 0.9, 300, 0.8), (12, 0.95, 40, 0.9), (100, 0.5, 100, 0.6)])
def test_newcombe_covers(case):
    n, p, rest, q = case
    rng = np.random.default_rng(1)
    ends = [
        newcombe(*each)
        for each in zip(rng.binomial(n, p, 600), [n] * 600, rng.binomial(rest, q, 600), [rest] * 600, strict=True)
    ]
    assert np.mean([low <= p - q <= high for low, high in ends]) >= 0.93


def test_false_discoveries_over_groups():
    rng = np.random.default_rng(2)
    false, power = [], []
    for _ in range(60):
        # 16 groups of one column, four of which are worse: a hit for each image.
        n = rng.integers(15, 120, 16)
        chance = np.where(np.arange(16) < 4, 0.5, 0.85)
        sides = [shares(h, k) for h, k in zip(rng.binomial(n, chance), n, strict=True)]
        whole = sum(sides[1:], sides[0])
        # Beside the rest of groups as good, the null holds; the worse ones are left out of the rest of these.
        good = sum(sides[5:], sides[4])
        p = [two_sided(*tails(s, (whole if k < 4 else good) - s, True)) for k, s in enumerate(sides)]
        called = bh(np.array(p)) < 0.05
        false.append(called[4:].sum() / max(1, called.sum()))
        power.append(called[:4].mean())
    assert np.mean(false) <= 0.05 and np.mean(power) > 0.6
    nothing = [
        (
            bh(np.array([two_sided(*tails(shares(h, 40), shares(int(sum(hits)) - h, 360), True)) for h in hits])) < 0.05
        ).any()
        for hits in rng.binomial(40, 0.8, (100, 10))
    ]
    assert np.mean(nothing) <= 0.05


@pytest.mark.slow  # the import of scipy.stats
def test_fisher_is_that_of_scipy():
    from scipy.stats import fisher_exact

    for a, b, c, d in ((3, 9, 30, 12), (120, 4, 900, 100), (0, 12, 5, 7)):
        own = tails(shares(a, a + b), shares(c, c + d), True)
        peer = [fisher_exact([[a, b], [c, d]], alternative=which).pvalue for which in ("less", "greater")]
        assert own == pytest.approx(peer)
