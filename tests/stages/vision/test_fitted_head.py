"""A fitted linear head: normal equations, each image left out one by one, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest

from activation_atlas.stages.vision.attribution.fitted_head import PENALTIES, fitted_head


def noisy(count: int, channels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.gamma(1, 1, (count, channels))
    return features, features @ rng.normal(size=(channels, 3)) + [5, -2, 0] + rng.normal(0, 0.5, (count, 3))


def slow(features: np.ndarray, scores: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias by the normal equations, the bias as a channel without a penalty."""
    wide = np.concatenate([features, np.ones((len(features), 1))], 1)
    punished = penalty * np.diag([1.0] * features.shape[1] + [0])
    found = np.linalg.solve(wide.T @ wide + punished, wide.T @ scores)
    return found[:-1], found[-1]


@pytest.mark.parametrize(("count", "channels"), [(40, 6), (9, 14)])
def test_it_is_the_ridge_regression_that_does_best_on_images_left_out(count, channels):
    features, scores = noisy(count, channels)
    head = fitted_head(features, scores)
    spread = np.square(features - features.mean(0)).sum() / count
    errors = {}
    for share in PENALTIES[PENALTIES > 1e-5]:
        left_out = np.empty_like(scores)
        for k in range(count):
            others = np.arange(count) != k
            weights, bias = slow(features[others], scores[others], share * spread)
            left_out[k] = features[k] @ weights + bias
        errors[share] = np.square(scores - left_out).sum()
        if np.isclose(share, head.penalty):
            np.testing.assert_allclose(head.left_out, left_out, rtol=1e-6, atol=1e-6)
    assert np.isclose(head.penalty, min(errors, key=errors.__getitem__))
    weights, bias = slow(features, scores, head.penalty * spread)
    np.testing.assert_allclose(head.weights, weights, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.bias, bias, rtol=1e-4, atol=1e-4)


def test_what_is_linear_is_found_as_it_is():
    features, _ = noisy(60, 5)
    weights = np.random.default_rng(1).normal(size=(5, 2))
    head = fitted_head(features, features @ weights + [1, 2])
    np.testing.assert_allclose(head.weights, weights, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.bias, [1, 2], rtol=1e-4)


def test_a_logit_of_one_number_and_features_of_one_number_have_weights_of_zero():
    features, scores = noisy(20, 4)
    scores[:, 1] = 0.1
    head = fitted_head(features.astype(np.float32), scores.astype(np.float32))
    assert not head.weights[:, 1].any() and head.weights[:, [0, 2]].all()
    np.testing.assert_allclose(head.bias[1], 0.1, rtol=1e-6)
    head = fitted_head(np.full((20, 4), 0.3), scores)
    assert not head.weights.any()
    # Left out, the mean of the others is all there is.
    np.testing.assert_allclose(head.left_out[0], scores[1:].mean(0))
