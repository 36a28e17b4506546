"""What parts are worth: beside the definition of the Shapley value, scikit-learn's Ridge, and sums worked out."""

from __future__ import annotations

from itertools import combinations
from math import comb, factorial

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances

from activation_atlas.stages.vision.attribution.additive import FOLDS, Jobs, coalitions, proximity, ridge, shapley


def tangled(parts, seed=0):
    """Scores of rows of ``shown``, (n, 2), in which parts work together."""
    rng = np.random.default_rng(seed)
    inward, outward = rng.normal(size=(parts, 7)), rng.normal(size=(7, 2))
    return lambda shown: np.tanh(np.asarray(shown, float) @ inward) @ outward


def by_definition(score, parts):
    """Shapley values, (parts, 2): what a part adds to the others before it, over all of them (Shapley 1953)."""
    values = np.zeros((parts, 2))
    for part in range(parts):
        for size in range(parts):
            for others in combinations([p for p in range(parts) if p != part], size):
                before, after = np.zeros((2, parts))
                before[list(others)], after[[*others, part]] = 1, 1
                share = factorial(size) * factorial(parts - size - 1) / factorial(parts)
                values[part] += share * (score(after) - score(before))
    return values


def kernel_shap(score, parts, samples, seed=0):
    jobs = coalitions(np.random.default_rng(seed), parts, samples)
    return jobs, shapley(jobs, score(jobs.shown), score(np.ones(parts)), score(np.zeros(parts)))


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 7, 10])
def test_over_all_coalitions_kernel_shap_gives_shapley_values(parts):
    score = tangled(parts)
    jobs, worth = kernel_shap(score, parts, 2**parts)
    assert len(np.unique(jobs.shown, axis=0)) == len(jobs.shown) == max(0, 2**parts - 2) and jobs.folds is None
    np.testing.assert_allclose(worth.values, by_definition(score, parts), atol=1e-12)


def test_sampled_values_add_up_and_come_near():
    score, parts = tangled(12), 12
    exact = kernel_shap(score, parts, 2**parts)[1].values
    drawn = [kernel_shap(score, parts, 400, seed)[1].values for seed in range(20)]
    np.testing.assert_allclose(np.sum(drawn, 1), np.tile(score(np.ones(parts)) - score(np.zeros(parts)), (20, 1)))
    error = np.std(drawn, 0, ddof=1) / np.sqrt(20)
    rms, if_larger = (np.sqrt(np.mean(((f * exact - np.mean(drawn, 0)) / error) ** 2)) for f in (1, 1.2))
    assert 0.5 < rms < 1.5 < if_larger and np.std(drawn, 0).max() < 0.2 * np.abs(exact).max()


@pytest.mark.parametrize("samples", [100, 101, 1000])
def test_coalitions_are_those_of_the_kernel(samples):
    """Weights of whole sizes, complements together, no coalition twice."""
    parts = 12
    jobs = coalitions(np.random.default_rng(1), parts, samples)
    assert len(jobs.shown) == samples - samples % 2 == len(np.unique(jobs.shown, axis=0))
    kernel = np.array([(parts - 1) / (comb(parts, s) * s * (parts - s)) for s in range(1, parts)])
    mass = kernel * [comb(parts, s) for s in range(1, parts)]
    mass /= mass.sum()
    size, weight = jobs.shown.sum(1), dict(zip(map(bytes, jobs.shown), jobs.weights, strict=True))
    assert jobs.weights.sum() == pytest.approx(1)
    assert all(weight[bytes(~one)] == pytest.approx(w) for one, w in zip(jobs.shown, jobs.weights, strict=True))
    pairs = {bytes(one): fold for one, fold in zip(jobs.shown, jobs.folds, strict=True)}
    assert all(pairs[bytes(~one)] == fold for one, fold in zip(jobs.shown, jobs.folds, strict=True))
    whole = [s for s in range(1, parts) if (size == s).sum() == comb(parts, s)]
    assert whole == ([1, 2, 10, 11] if samples == 1000 else [1, 11])
    for s in whole:
        np.testing.assert_allclose(jobs.weights[size == s], mass[s - 1] / comb(parts, s))


def test_proximity_is_that_of_limes_image_explainer():
    shown = np.random.default_rng(0).random((40, 9)) < 0.5
    shown[:2] = [[True] * 9, [False] * 9]
    distance = pairwise_distances(shown.astype(float), np.ones((1, 9)), metric="cosine").ravel()
    np.testing.assert_allclose(proximity(shown, 0.25), np.sqrt(np.exp(-(distance**2) / 0.25**2)), rtol=1e-12)


@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_ridge_is_scikit_learns(penalty):
    rng = np.random.default_rng(0)
    shown = rng.random((60, 8)) < 0.5
    jobs, scores = Jobs(shown, proximity(shown, 0.25)), tangled(8)(shown) + 5
    worth = ridge(jobs, scores, penalty)
    theirs = Ridge(alpha=penalty).fit(shown, scores, sample_weight=jobs.weights)
    np.testing.assert_allclose(worth.values, theirs.coef_.T, atol=1e-12)
    own = [Ridge(alpha=penalty).fit(shown, s, sample_weight=jobs.weights) for s in scores.T]
    fit = [r.score(shown, s, sample_weight=jobs.weights) for r, s in zip(own, scores.T, strict=True)]
    np.testing.assert_allclose(worth.fit, fit, atol=1e-12)
    # The same, of a fifth at a time by the others.
    folds = np.arange(60) % FOLDS
    predicted = np.empty_like(scores)
    for fold in range(FOLDS):
        rest, out = folds != fold, folds == fold
        found = Ridge(alpha=penalty).fit(shown[rest], scores[rest], sample_weight=jobs.weights[rest])
        predicted[out] = found.predict(shown[out])
    around = scores - np.average(scores, axis=0, weights=jobs.weights)
    fit = 1 - jobs.weights @ (scores - predicted) ** 2 / (jobs.weights @ around**2)
    np.testing.assert_allclose(ridge(Jobs(shown, jobs.weights, folds), scores, penalty).fit, fit, atol=1e-12)


def test_contributions_that_add_up_are_found_exactly():
    """Of a sum of parts each value is its part, and the sum predicts everything."""
    parts = np.array([[1.0, 0], [-2, 0], [4, 3], [0.5, 0], [0, -1], [8, 0]])
    jobs, worth = kernel_shap(lambda shown: np.asarray(shown, float) @ parts - 3, 6, 20)
    assert jobs.folds is not None
    np.testing.assert_allclose(worth.values, parts, atol=1e-12)
    np.testing.assert_allclose(worth.fit, 1)
    shown = np.random.default_rng(0).random((40, 6)) < 0.5
    worth = ridge(Jobs(shown, proximity(shown, 0.25), np.arange(40) % FOLDS), shown @ parts - 3, 0)
    np.testing.assert_allclose(worth.values, parts, atol=1e-12)
    np.testing.assert_allclose(worth.fit, 1)


def test_the_fit_tells_noise_from_parts():
    """Values fitted to noise explain some of it, and predict none."""
    rng = np.random.default_rng(0)
    shown = rng.random((60, 30)) < 0.5
    noise, weights = rng.normal(size=(60, 1)), np.ones(60)
    assert ridge(Jobs(shown, weights), noise, 1).fit > 0.3
    assert ridge(Jobs(shown, weights, np.arange(60) % FOLDS), noise, 1).fit < 0
    assert np.isnan(ridge(Jobs(shown, weights), np.ones((60, 1)), 1).fit)


def test_a_score_that_is_not_finite_spoils_its_own_target_alone():
    jobs, scores = coalitions(np.random.default_rng(0), 5, 100), tangled(5)
    found = scores(jobs.shown)
    found[3, 1] = np.nan
    worth = shapley(jobs, found, scores(np.ones(5)), scores(np.zeros(5)))
    np.testing.assert_allclose(worth.values[:, 0], by_definition(scores, 5)[:, 0], atol=1e-12)
    assert np.isnan(worth.values[:, 1]).all()
