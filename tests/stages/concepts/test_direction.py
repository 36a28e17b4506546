"""The direction of a concept and what is said of it: slow twins, numbers by hand, and what chance gives."""

import numpy as np
import pytest

from activation_atlas.stages.concepts.direction import Sides, at_random, directions, redrawn, told
from activation_atlas.stages.concepts.scores import scored
from activation_atlas.stages.concepts.testing import beyond, within
from activation_atlas.stages.concepts.trial import Half, effects, exchanged

SPREAD = 1 / (1 + np.arange(12))
"""Of channels: few vary much, as after a convolution."""


def drawn(rng, n=20, ahead=0.0):
    """n rows of either side, the first ahead by so much in the third channel."""
    rows = rng.normal(size=(2 * n, 12)) * SPREAD
    rows[:n, 2] += ahead
    return Sides(rows, n)


def test_two_points_on_either_side_are_told_by_the_line_between():
    rows = np.array([[3, 1.0, 0], [3, -1, 0], [1, 1, 0], [1, -1, 0]])
    np.testing.assert_allclose(directions(rows, np.array([1.0, 1, -1, -1])), [1, 0, 0], atol=1e-12)
    assert not directions(np.ones((4, 3)), np.array([1.0, 1, -1, -1])).any()


def test_the_direction_is_that_of_ridge_regression_in_its_own_form():
    rng = np.random.default_rng(0)
    sides = drawn(rng, ahead=0.5)
    centred = sides.rows - sides.rows.mean(0)
    ridge = (np.linalg.eigvalsh(centred @ centred.T)).mean()
    slow = np.linalg.solve(centred.T @ centred + ridge * np.eye(12), centred.T @ sides.signs)
    np.testing.assert_allclose(directions(sides.rows, sides.signs), slow / np.linalg.norm(slow), rtol=1e-9)
    many = directions(sides.rows, np.stack([sides.signs, -sides.signs], 1))
    np.testing.assert_allclose(many[0], -many[1])


def test_a_planted_concept_is_told_and_its_strength_found():
    sides = drawn(np.random.default_rng(1), n=100, ahead=3.0)
    found = told(sides)
    assert found.useful and found.accuracy > 0.95
    assert found.strength == pytest.approx(3, abs=0.3)
    assert abs(directions(sides.rows, sides.signs)[2]) > 0.95


def test_folders_that_do_not_differ_are_seldom_told_apart():
    rng = np.random.default_rng(2)
    found = [told(drawn(rng)) for _ in range(200)]
    assert np.mean([f.useful for f in found]) <= 0.025
    assert np.mean([f.accuracy for f in found]) == pytest.approx(0.5, abs=0.03)


def test_random_directions_know_nothing_of_the_concept():
    sides = drawn(np.random.default_rng(3), n=41, ahead=3.0)
    random = at_random(sides, 300, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(random, axis=1), 1)
    gaps = random @ (sides.rows[:41].mean(0) - sides.rows[41:].mean(0))
    assert np.abs(gaps.mean()) < 0.1 and np.abs(gaps).max() < 1.2  # the concept's own: 3
    again = redrawn(sides, 50, np.random.default_rng(0))
    assert (again @ directions(sides.rows, sides.signs) > 0.9).all()


@pytest.mark.slow
def test_a_concept_of_nothing_is_called_significant_as_often_as_said():
    """And by the test of the paper, which takes re-drawn directions for independent ones, every other time."""
    rng = np.random.default_rng(4)
    gradient = rng.normal(size=12)
    ours, theirs = [], []
    for _ in range(120):
        sides = drawn(rng)
        random = at_random(sides, 60, rng)
        ours.append(float(beyond(directions(sides.rows, sides.signs) @ gradient, random @ gradient)))
        one, other = (v @ gradient > 0 for v in (redrawn(sides, 20, rng), random[:20]))
        with np.errstate(invalid="ignore", divide="ignore"):
            t = (one.mean() - other.mean()) / np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 20)
        theirs.append(abs(t) > 2.02)  # Student's, 38 degrees of freedom
    assert 0.01 <= np.mean(np.array(ours) < 0.05) <= 0.09
    assert np.mean(theirs) > 0.3


def test_beyond_by_hand():
    # Mean 2, s 1, (4 - 2) / (1 + 1/3)^1/2 = 3^1/2: of Student's t with 2 degrees P(|t| > x) = 1 - x / (x^2 + 2)^1/2.
    null = np.array([1.0, 2.0, 3.0])
    assert float(beyond(np.array(4.0), null)) == pytest.approx(1 - (3 / 5) ** 0.5)
    assert np.isnan(beyond(np.array(4.0), np.ones(3)))
    low, high = within(null)
    assert float(beyond(high, null)) == pytest.approx(0.05) and low + high == pytest.approx(4)


def test_the_score_is_the_share_of_images_that_rise():
    rng = np.random.default_rng(5)
    gradients = np.array([[1.0, 0], [2, 0], [-1, 0], [0, 9]])
    found = scored(gradients, np.array([1.0, 0]), np.array([[1.0, 0]] * 50), rng.normal(size=(40, 2)), rng)
    slow = sum(float(np.dot(g, [1.0, 0])) > 0 for g in gradients) / 4
    assert found.score == slow == 0.5 and found.derivative == 0.5
    assert found.low <= 0.15 and found.high >= 0.85  # Wilson's of 2 of 4


class Linear:
    """Three images of 1 x 2 positions and two channels; two classes, each the sum of a channel."""

    maps = np.arange(12.0).reshape(3, 1, 2, 2)

    def along(self, vector):
        return self.maps @ vector

    def shifted(self, by, vector):
        return (self.maps + by[..., None] * vector).sum((1, 2))


def test_an_exchange_gives_the_components_of_the_donors():
    x, y = np.eye(2)
    half = Half(x, np.stack([y, y]), having=np.array([[[5.0, 7]]]), lacking=np.array([[[1.0, 1]]]))
    having, lacking = exchanged([Linear()], half, 3, np.random.default_rng(0))
    assert having.shape == lacking.shape == (3, 3, 2)
    np.testing.assert_allclose(having[0], [[12, 4], [12, 12], [12, 20]])  # the first channel is 5 and 7 in all images
    np.testing.assert_allclose(lacking[0], [[2, 4], [2, 12], [2, 20]])
    np.testing.assert_allclose((having - lacking)[1], [[0, 10]] * 3)  # as far along the other
    others = np.array([[True, True], [True, True], [True, False]])
    taken = having > 11, lacking > 11
    found = effects(having, lacking, taken, others, np.random.default_rng(0))
    np.testing.assert_allclose(found.effect, [10, 0])
    np.testing.assert_allclose([found.low, found.high], [[10, 0], [10, 0]])
    np.testing.assert_allclose(found.flips, [1, 0.5])
    np.testing.assert_allclose(found.lacking, [0, 0.5])
    assert found.images.tolist() == [3, 2] and np.isnan(found.p).all()  # both random ones are the same
