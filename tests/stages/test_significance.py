"""Findings among many."""

import numpy as np

from activation_atlas.stages.significance import bh


def test_q_values_by_hand():
    # Of four tests: .01 x 4 / 1, .02 x 4 / 2, .03 x 4 / 3, .5 x 4 / 4; a later one's is no smaller.
    np.testing.assert_allclose(bh(np.array([0.5, 0.02, np.nan, 0.01, 0.03])), [0.5, 0.04, np.nan, 0.04, 0.04])
    assert np.isnan(bh(np.array([np.nan]))).all() and bh(np.zeros(0)).shape == (0,)
