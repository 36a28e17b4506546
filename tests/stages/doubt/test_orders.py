"""Orders of the classes: by their names, fitted, and never out of noise."""

from itertools import permutations

import numpy as np
import pytest

from activation_atlas.stages.doubt.orders import better, fitted, listed, named
from tests.stages.doubt.ways import noise, seen

NAMES = ["wine", "coal", "teal", "Plum", "10", "9"]


def test_common_orders_by_hand():
    found = {name: order.tolist() for name, order in named(NAMES).items()}
    assert found == {
        "reversed": [5, 4, 3, 2, 1, 0],
        "from one": [-1, 0, 1, 2, 3, 4],
        "one short": [1, 2, 3, 4, 5, -1],
        "alphabetical": [5, 2, 4, 3, 0, 1],
        "alphabetical, capitals first": [5, 3, 4, 2, 0, 1],
        "numbers by value": [5, 2, 4, 3, 1, 0],
    }
    assert named([str(k) for k in range(12)])["alphabetical"].tolist() == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3]
    assert listed(np.array([2, 0, -1]), ["a", "b", "c"]) == ["b", "?", "a"]


def test_the_fitted_order_is_the_best_of_all():
    """Slow twin: all 120 orders of five classes, with the same bonus for those left in their place."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        label, pred = rng.integers(0, 5, (2, 60))
        counts = np.zeros((5, 5))
        np.add.at(counts, (label, pred), 1)
        counts += np.diag(np.sqrt(counts.sum(1)) / 2)
        best = max(permutations(range(5)), key=lambda order: counts[np.arange(5), list(order)].sum())
        assert fitted(label, pred, 5).tolist() == list(best)


@pytest.mark.parametrize(
    ("name", "classes", "order"),
    [
        ("reversed", 12, lambda k: 11 - k),
        ("from one", 12, lambda k: (k - 1) % 12),
        ("one short", 12, lambda k: (k + 1) % 12),
        ("numbers as texts", 12, lambda k: np.array([0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3])[k]),
        ("reversed", 1000, lambda k: 999 - k),
        ("reversed", 2, lambda k: 1 - k),
        ("", 12, lambda k: np.random.default_rng(0).permutation(12)[k]),
    ],
)
def test_an_order_is_found_and_called_by_its_name(name, classes, order):
    label = np.arange(max(48, classes)) % classes
    right = np.random.default_rng(1).random(len(label)) < 0.85
    found = better(seen(label, np.where(right, order(label), 0), [f"c{k:04}" for k in range(classes)]), 0)
    assert found.name == name and found.right > 0.7 * len(label) > 4 * found.before
    assert name == "from one" or name == "one short" or found.order.tolist() == order(np.arange(classes)).tolist()


def test_two_of_a_hundred_classes_that_are_swapped_are_found():
    found = noise(5000, 100, right=0.8, seed=4)
    swapped = np.arange(100)
    swapped[[3, 70]] = 70, 3
    order = better(seen(swapped[found.label], found.pred, found.classes), 0)
    moved = np.flatnonzero(order.order != np.arange(100))
    assert {3, 70} <= set(moved.tolist()) and len(moved) < 6


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("right", [0.0, 0.5])
def test_no_order_is_found_in_noise(classes, right):
    found = [better(noise(n, classes, right, seed), 0) for n in (20, 50, 200) for seed in range(15)]
    assert not any(found)


def test_a_model_that_says_one_thing_has_no_order():
    """Whatever class is moved there, it is right as often as the class is frequent, and no more."""
    label = np.array([0] * 70 + [1] * 30)
    assert better(seen(label, np.full(100, 2), ["a", "b", "c"]), 0) is None
    assert better(seen(np.zeros(50, int), np.ones(50, int), ["a", "b"]), 0) is None, "nor has a data set of one class"


def test_one_image_of_each_class_tells_no_order_but_a_common_one():
    label = np.arange(200)
    names = [f"c{k}" for k in range(200)]
    assert better(seen(label, np.random.default_rng(0).permutation(200), names), 0) is None
    assert better(seen(label, 199 - label, names), 0).name == "reversed"
