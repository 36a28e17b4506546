"""The interval of a share."""

import pytest

from stages.shares import intervals, wilson


def test_wilson_interval_by_hand():
    # n = 10, 1 success: the textbook values of the score interval.
    assert wilson(1, 10) == pytest.approx((0.01788, 0.40415), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0 and wilson(0, 0) == (0.0, 1.0)


def test_intervals_of_arrays():
    low, high = intervals([0.1, 0.0, 1.0, 0.5], [10, 10, 10, 0])
    assert low == pytest.approx([0.01788, 0.0, 0.72247, 0.0], abs=1e-4)
    assert high == pytest.approx([0.40415, 0.27753, 1.0, 1.0], abs=1e-4)
