"""The last layer fitted anew: weights by hand, the objective as it is written, and data whose answer is known."""

import numpy as np
import pytest

from activation_atlas.stages.repair.refit import Linear, _Problem, group_weights, refit


def test_weights_by_hand():
    # Class 0 has four images, one with the cue: a half for it, a sixth for each other. Class 1 has none with it.
    label = np.array([0, 0, 0, 0, 1, 1])
    weights = group_weights(label, np.array([[1, 0, 0, 0, 0, 0]], bool).T)
    np.testing.assert_allclose(6 * weights, [2, 2 / 3, 2 / 3, 2 / 3, 1, 1])
    # Two cues share the half of those with one; who has both is of both groups.
    weights = group_weights(label[:4], np.array([[1, 0, 0, 0], [1, 1, 0, 0]], bool).T)
    np.testing.assert_allclose(weights, [1 / 4 + 1 / 8, 1 / 8, 1 / 4, 1 / 4])


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_the_solution_is_the_lowest_of_what_is_written(one, biased):
    """Cross-entropy and penalty written plainly, at the solution and around it."""
    rng = np.random.default_rng(1)
    features, units = rng.normal(2, [1, 3, 1e-3], (40, 3)), 1 if one else 3
    label = rng.integers(0, 2 if one else 3, 40)
    old = Linear(rng.normal(size=(3, units)), rng.normal(size=units) * biased, one, biased)
    weights = rng.uniform(size=40) / 20
    problem = _Problem(old, features, label, weights)

    def plain(at):
        new = problem.layer(at)
        logits = features @ new.kernel + new.bias
        logits = np.concatenate([np.zeros((40, 1)), logits], 1) if one else logits
        odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        moved = (new.kernel - old.kernel) * features.std(0)[:, None]
        return -(weights * np.log(odds[np.arange(40), label])).sum() + 0.05 / 2 * (moved**2).sum()

    best = problem.solve(0.05, np.zeros(problem.size))
    lowest = plain(best)
    assert lowest < plain(np.zeros(problem.size)) - 0.1
    for k in range(problem.size - (0 if biased else units)):
        for step in (-0.03, 0.03):
            assert plain(best + step * (np.arange(problem.size) == k)) > lowest
    assert biased or not problem.layer(best).bias.any()


def data(rng, images, correlated):
    """Two classes that the first number tells; the second is the cue, the third noise. Who carries it, too."""
    label = rng.integers(0, 2, images)
    cue = rng.uniform(size=images) < np.where(label == 1, correlated, 1 - correlated)
    features = np.stack([(2 * label - 1) + rng.normal(0, 0.7, images), 3.0 * cue, rng.normal(0, 1, images)], 1)
    return features, label, cue[:, None]


def test_what_leans_on_a_cue_leans_on_it_no_longer():
    rng = np.random.default_rng(2)
    old = Linear(np.array([[-0.5, 0.5], [-2.0, 2.0], [0.0, 0.0]]), np.array([3.0, -3.0]))
    features, label, cue = data(rng, 1500, 0.95)
    made = refit(old, features, label, cue, np.arange(1500) % 5)
    kernel = made.layer.kernel[:, 1] - made.layer.kernel[:, 0]
    assert abs(kernel[1] / kernel[0]) < 0.15 and old.kernel[1, 1] / old.kernel[0, 1] == 4
    others, label, cue = data(rng, 4000, 0.05)  # where the cue goes with the other class
    assert old.hits(others, label).mean() < 0.35 and made.layer.hits(others, label).mean() > 0.9
    assert made.left_out > made.before


def test_a_layer_that_leans_on_nothing_stays():
    rng = np.random.default_rng(3)
    features, label, cue = data(rng, 60, 0.5)
    features[:, 0] = 2 * label - 1  # told without an error: nothing does better
    old = Linear(np.array([[-1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]), np.zeros(2))
    made = refit(old, features, label, cue, np.arange(60) % 5)
    assert made.layer is old and made.penalty == np.inf and made.left_out == made.before > 0.999
