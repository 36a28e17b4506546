"""Entropy and Gini index of a map, by hand and by slow twins."""

import numpy as np
import pytest

from activation_atlas.stages.evaluate.spread import complexity, sparseness


def test_by_hand():
    one, even = np.array([[0, 0], [0, -3.0]]), np.array([[2, -2], [2, 2.0]])
    assert (complexity(one), sparseness(one)) == (0, 0.75)
    assert (complexity(even), sparseness(even)) == (pytest.approx(np.log(4)), 0)
    halves = np.array([1.0, -1, 0, 0])
    assert complexity(halves) == pytest.approx(np.log(2)) and sparseness(halves) == 0.5


def test_slow_twins():
    values = np.random.default_rng(0).normal(size=(5, 6)).astype("float32") ** 3
    sizes = [abs(float(v)) for v in values.ravel()]
    total = sum(sizes)
    assert complexity(values) == pytest.approx(-sum(s / total * np.log(s / total) for s in sizes))
    # Gini: half of the mean difference of two values, as a share of the mean.
    apart = sum(abs(a - b) for a in sizes for b in sizes) / len(sizes) ** 2
    assert sparseness(values) == pytest.approx(apart / 2 / (total / len(sizes)))
    assert complexity(7 * values) == pytest.approx(complexity(values)), "of any unit"


def test_what_has_no_shares():
    assert complexity(np.zeros((2, 2))) is None and sparseness(np.zeros((2, 2))) is None
    assert complexity(np.array([1.0, np.inf])) is None
    outside = np.array([np.nan, 1.0, 1.0, np.nan])
    assert complexity(outside) == pytest.approx(np.log(2)) and sparseness(outside) == 0.5, "0 where nothing lies"
