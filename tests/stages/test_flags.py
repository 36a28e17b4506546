"""Maps that say nothing, by hand: what is flagged, with which word, and what is not."""

import numpy as np
import pytest

from activation_atlas.stages.tables.flags import CONSTANT, NOT_FINITE, ONE, ROUNDING, SILENT, TIES, ZERO, flag_of

PEAK = np.zeros((7, 7), np.float32)
PEAK[2, 3] = 0.4
HALF = np.maximum(np.random.default_rng(0).normal(size=(14, 14)), 0)  # a Grad-CAM after its ReLU
UP_TO_ROUNDING = np.float32(11.3) + np.float32([[0, 1, 0, -2]]) * np.spacing(np.float32(11.3))


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ([[0.0, 0.0]], ZERO),
        ([[0.0]], ZERO),
        ([[3.0]], ONE),
        ([[2.5, 2.5], [2.5, 2.5]], CONSTANT),
        ([[-1e-12, -1e-12]], CONSTANT),
        (UP_TO_ROUNDING, CONSTANT),
        ([[1.0, np.nan]], NOT_FINITE),
        ([[np.inf]], NOT_FINITE),
        (1 - PEAK, TIES),  # all but one place share the largest value: nothing comes first
        ([[1.0, 1.0, 0.0]], TIES),
        ([[1.0, 1.0, 0.0, 0.0]], None),  # half of it is before the other half
        (PEAK, None),  # one place, and nothing but it: that is where
        (HALF, None),
        ([[1.0, 0.0]], None),
        ([[1e-30, 2e-30]], None),
        ([[1.0, 1.0 + 4 * ROUNDING, 1.0, 1.0]], None),
    ],
)
def test_by_hand(values, flag):
    assert flag_of(np.array(values, np.float32), 1.0) == flag


def test_scores_that_never_change_make_no_map():
    """What a map shows of them are the masks, or rounding."""
    values = np.random.default_rng(1).random((5, 5))
    assert flag_of(values, 1.0, idle=True) == CONSTANT and flag_of(values, 1.0) is None
    assert flag_of(values, np.nan) == NOT_FINITE


def test_every_word_is_short_and_explained():
    assert set(SILENT) == {ZERO, NOT_FINITE, ONE, CONSTANT, TIES}
