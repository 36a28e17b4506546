"""Calibration errors: by hand, without bias, and their intervals."""

import numpy as np
import pytest

from activation_atlas.stages.subgroups.calibration import ece, edges, plain


def test_the_plain_error_by_hand():
    # |3/4 - .5| of 4 images, |1/1 - .9| of one, and an empty bin.
    n, hits, probability = np.array([4, 0, 1]), np.array([3, 0, 1]), np.array([0.5, 0, 0.9])
    assert plain(n, hits, probability) == pytest.approx(4 / 5 * 0.25 + 1 / 5 * 0.1)
    assert edges(np.arange(30) / 30).tolist() == pytest.approx(np.quantile(np.arange(30) / 30, np.arange(1, 15) / 15))
    assert len(edges(np.r_[np.ones(20), 0.5])) <= 2 and len(edges(np.zeros(0))) == 0


@pytest.mark.slow
@pytest.mark.parametrize("off", [0.0, 0.1])
def test_few_images_add_nothing_and_intervals_cover(off):
    rng = np.random.default_rng(3)
    probability = np.linspace(0.55, 0.98, 15)
    found = []
    for _ in range(60):
        n = rng.multinomial(100, np.full(15, 1 / 15))
        hits = rng.binomial(n, probability - off)
        found.append([*ece(n, hits, probability, rng), plain(n, hits, probability)])
    value, low, high, biased = np.array(found).T
    assert biased.mean() > off + 0.04  # what it is for
    assert abs(np.median(value) - off) < (biased.mean() - off) / 2 and ((low <= off) & (off <= high)).mean() >= 0.85
    assert (low <= value).all() and (value <= high).all()


@pytest.mark.slow
def test_one_bin_that_is_off_is_not_taken_for_many():
    """Of 15 bins the last is off by .2: noise of the others, drawn out as far, would make more of it."""
    rng, probability = np.random.default_rng(4), np.linspace(0.55, 0.98, 15)
    share = probability - np.r_[np.zeros(14), 0.2]
    found = []
    for _ in range(60):
        n = rng.multinomial(2000, np.full(15, 1 / 15))
        found.append(ece(n, rng.binomial(n, share), probability, rng))
    value, low, high = np.array(found).T
    true = 0.2 / 15
    assert ((low <= true) & (true <= high)).mean() >= 0.8 and np.median(value) < 1.8 * true


def test_what_is_surely_off_is_found():
    n, rng = np.full(5, 200), np.random.default_rng(0)
    value, low, high = ece(n, np.full(5, 100), np.full(5, 0.8), rng)
    assert value == pytest.approx(0.3, abs=0.01) and 0.25 < low < 0.3 < high < 0.35
    assert ece(n, n, np.ones(5), rng)[0] == 0
