"""Accuracy beside what chance has, by hand and by all ways to deal out the labels."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest

from activation_atlas.stages.doubt.chance import Agreement, at_least, at_most, no_better
from activation_atlas.stages.doubt.finding import draws
from tests.stages.doubt.ways import noise, seen


def test_binomial_tails_are_scipys():
    for count, n, share in ((0, 3, 0.25), (4, 48, 1 / 12), (10, 10, 0.9), (7, 20, 0.5)):
        assert at_most(count, n, share) == pytest.approx(binomtest(count, n, share, "less").pvalue, rel=1e-9)
        assert at_least(count, n, share) == pytest.approx(binomtest(count, n, share, "greater").pvalue, rel=1e-9)


def test_what_chance_has_right_is_what_all_orders_of_the_labels_have():
    """Slow twin: every one of the 5,040 ways to deal out seven labels."""
    label, pred = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 2, 2, 2])
    every = np.array([(label[list(order)] == pred).sum() for order in permutations(range(7))])
    found = Agreement(label, pred)
    assert found.right == 5 and found.expected == pytest.approx((3 * 2 + 2 * 2 + 2 * 3) / 7)
    assert found.expected == pytest.approx(every.mean())
    assert found.more == pytest.approx((every >= 5).mean(), abs=0.01)
    assert found.fewer == pytest.approx((every <= 5).mean(), abs=0.01)


def test_four_of_forty_eight_in_twelve_classes_are_chance():
    label = np.repeat(np.arange(12), 4)
    found = no_better(seen(label, np.zeros(48, int)), 0)
    assert (found.right, found.n, found.expected) == (4, 48, pytest.approx(4)) and found.dealt and not found.worse
    assert no_better(seen(label, label), 0) is None


@pytest.mark.parametrize("n", [1, 3, 9])
def test_of_a_few_images_nothing_can_be_said(n):
    assert no_better(seen(np.arange(n), np.arange(n)[::-1] + 1, [str(k) for k in range(12)]), 0) is None


def test_two_classes_that_are_swapped_are_worse_than_chance():
    label = np.arange(60) % 2
    assert no_better(seen(label, 1 - label), 0).worse


def test_a_frequent_class_is_no_merit_and_a_data_set_of_one_class_no_fault():
    """90 % of one class and a model that says nothing else; then one class alone, four in five recognised."""
    label = np.array([0] * 450 + [1] * 50)
    assert no_better(seen(label, np.zeros(500, int)), 0).expected == pytest.approx(450)
    names = [str(k) for k in range(12)]
    assert no_better(seen(np.zeros(200, int), np.arange(200) % 5 // 4, names), 0) is None
    assert no_better(seen(np.array([0] * 198 + [1] * 2), np.arange(200) % 5 // 4, names), 0) is None
    assert no_better(seen(np.zeros(50, int), np.ones(50, int), names), 0).dealt is False


def test_rare_classes_recognised_are_better_than_chance():
    """5 of 100 right where 1,000 classes are one image each in ten: far below a half, far above chance."""
    label = np.arange(100)
    assert no_better(seen(label, np.where(label < 5, label, label + 100), [str(k) for k in range(1000)]), 0) is None


def test_predictions_at_random_are_told_and_weak_ones_are_not():
    at_random = [no_better(noise(200, 10, seed=s), 0) is not None for s in range(12)]
    weak = [no_better(noise(200, 10, right=0.3, seed=s), 0) is not None for s in range(12)]
    assert sum(at_random) >= 11 and not any(weak)


def test_a_draw_belongs_to_the_image_and_the_seed():
    ids = [f"{k:016x}" for k in range(1000)]
    one = draws(ids, 0)
    assert len(set(one.tolist())) == 1000 and np.array_equal(draws(ids[500:], 0), one[500:])
    assert (draws(ids, 1) != one).all()
    low = np.argsort(np.argsort(one))[:500]
    assert 450 < low.mean() < 550, "ids that follow each other do not come together"
