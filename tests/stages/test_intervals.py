"""The interval of a share."""

import numpy as np
import pytest

from activation_atlas.stages.intervals import clustered_share, paired, wilson, wilson_bounds


def test_wilson_interval_by_hand():
    # n = 10, 1 success: the textbook values of the score interval.
    assert wilson(1, 10) == pytest.approx((0.01788, 0.40415), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0 and wilson(0, 0) == (0.0, 1.0)


def test_intervals_of_arrays():
    low, high = wilson_bounds([0.1, 0.0, 1.0, 0.5], [10, 10, 10, 0])
    assert low == pytest.approx([0.01788, 0.0, 0.72247, 0.0], abs=1e-4)
    assert high == pytest.approx([0.40415, 0.27753, 1.0, 1.0], abs=1e-4)


def test_clustered_share_by_hand():
    # Five photographs, the first two and the last hit, of 4, 2, 2, 1 and 0 rows: p = 6 / 9; Kish: 81 / 25 = 3.24.
    hit, rows = np.array([True, True, False, False, True]), np.array([4, 2, 2, 1, 0])
    share, low, high, effective = clustered_share(hit, rows)
    # x = 4/3, 2/3, -4/3, -2/3, 0: V = 5 / 4 (40 / 9) / 81, and p (1 - p) / V = 3.24 again.
    assert (share, effective) == pytest.approx((6 / 9, 3.24))
    assert (low, high) == pytest.approx(wilson(6 / 9 * 3.24, 3.24))
    # Those last chosen are of none: x = 4, 2, 0, 0, 0 of mean 1.2: V = 5 / 4 (12.8) / 81.
    assert clustered_share(hit, rows, 0.0)[3] == pytest.approx(2 / 9 / (16 / 81))
    assert clustered_share(hit[:2], rows[:2])[0::2] == (1.0, 1.0) and clustered_share(hit[:2], rows[:2])[
        3
    ] == pytest.approx(36 / 20)
    assert clustered_share(hit[:1], rows[:1])[3] == 1
    assert clustered_share(hit[4:], rows[4:])[1:] == (0.0, 1.0, 0.0)


def purities(rng, photographs, positions, prevalence, shift, alike, times):
    """Of several draws: whether each photograph is of the class, how many of its positions are among the highest tenth,
    and the share of the class among the lowest fifth of these. Positions of its photographs score ``shift`` more."""
    own = rng.random((times, photographs)) < prevalence
    score = rng.normal(size=(times, photographs, positions)) * (1 - alike) ** 0.5
    score += rng.normal(size=(times, photographs, 1)) * alike**0.5 + shift * own[..., None]
    most = photographs * positions // 10
    best = np.argsort(-score.reshape(times, -1), axis=1)[:, :most] // positions
    rows = np.stack([np.bincount(one, minlength=photographs) for one in best])
    return own, rows, np.take_along_axis(own, best[:, -(most // 5) :], 1).mean(1)


@pytest.mark.parametrize("case", [(150, 10, 0.2, 1.5, 0.4), (150, 20, 0.05, 2, 0.2), (60, 10, 0.5, 0.3, 0.7)])
def test_the_interval_of_a_purity_covers_where_rows_taken_as_independent_would_not(case):
    photographs, *rest = case
    own, rows, _ = purities(np.random.default_rng(0), 30 * photographs, *rest, times=10)
    truth = (own * rows).sum() / rows.sum()
    drawn = list(zip(*purities(np.random.default_rng(1), photographs, *rest, times=400), strict=True))
    covers = [low <= truth <= high for _, low, high, _ in (clustered_share(*each) for each in drawn)]
    taken = [low <= truth <= high for low, high in (wilson((o * r).sum(), r.sum()) for o, r, _ in drawn)]
    assert np.mean(covers) >= 0.93 and np.mean(taken) < 0.85


def test_paired_interval_by_hand():
    # Of 10, 4 gained and 1 lost: (3 -+ 1.96 (6 - 9 / 12)^.5) / 12.
    assert paired(4, 1, 10) == pytest.approx((0.25 - 1.959964 * 5.25**0.5 / 12, 0.25 + 1.959964 * 5.25**0.5 / 12))
    low, high = paired(0, 0, 100)
    assert low == -high and 0 < high < 0.03
    assert paired(0, 0, 0) == (-1.0, 1.0)


def test_paired_intervals_hold_what_they_say():
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(60, [0.15, 0.05, 0.8], 4000)
    bounds = np.array([paired(gained, lost, 60) for gained, lost, _ in drawn.tolist()])
    assert 0.94 <= np.mean((bounds[:, 0] <= 0.1) & (0.1 <= bounds[:, 1])) <= 0.97
