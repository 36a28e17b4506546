"""Domino: a mixture that models an image's features, its label and the model's prediction together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.slices.images import Finder, Images, Score, severity, surely

COMPONENTS = 25
AXES = 128
"""Principal components of the features."""
WEIGHT = 10.0
"""Of the log likelihood of label and prediction, each."""
STEPS, LITTLE = 100, 1e-3
"""Of EM at most, and the gain of the mean log likelihood below which it has converged."""
EACH = 10
"""A component stands for at least so many images."""
FLOOR = 1e-6
"""Added to variances; and the least probability of a class."""


@dataclass(frozen=True)
class Mixture:
    """k components: weights (k,), means and variances (k, d), probabilities of labels and predictions (k, K)."""

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray

    def log_likelihood(self, z: np.ndarray, y: np.ndarray | None, predicted: np.ndarray) -> np.ndarray:
        """log w + log N(z) + 10 log p(y) + 10 log p(predicted), (n, k); of an image without a label (0) not p(y)."""
        found = np.log(self.weights) - 0.5 * (np.log(2 * np.pi * self.variances).sum(1))
        found = found - 0.5 * (
            (z**2) @ (1 / self.variances).T
            - 2 * z @ (self.means / self.variances).T
            + (self.means**2 / self.variances).sum(1)
        )
        found += WEIGHT * np.log(np.maximum(predicted @ self.predictions.T, FLOOR))
        if y is not None:
            known = y.any(1)
            found[known] += WEIGHT * np.log(np.maximum(y[known] @ self.labels.T, FLOOR))
        return found


def shares(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities (n, K) that sum to 1, float64: of classes that stand for themselves they do not."""
    wide = probabilities.astype(np.float64)
    return wide / np.maximum(wide.sum(1, keepdims=True), FLOOR)


def maximised(share: np.ndarray, z: np.ndarray, y: np.ndarray, predicted: np.ndarray) -> Mixture:
    """The mixture of images (n) that belong to the components by ``share`` (n, k): the M step."""
    count = share.sum(0) + 10 * np.finfo(float).eps
    means = share.T @ z / count[:, None]
    variances = np.maximum(share.T @ (z**2) / count[:, None] - means**2, 0) + FLOOR
    labels = share.T @ y
    labels /= np.maximum(labels.sum(1, keepdims=True), FLOOR)
    return Mixture(count / count.sum(), means, variances, labels, share.T @ predicted / count[:, None])


def begun(search: Images, components: int, seed: int) -> np.ndarray:
    """Shares (n, k) to begin with: a cell of the confusion matrix for each component, at most half of them of errors.

    With a little noise, so that components of the same cell can part; images of other cells belong to all alike.
    """
    label = np.where(search.label >= 0, search.label, search.pred)
    pairs, own, count = np.unique(np.stack([label, search.pred], 1), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-count, kind="stable")
    right = pairs[order, 0] == pairs[order, 1]
    half = max(components - int(right.sum()), components // 2)
    chosen = np.concatenate([order[~right][:half], order[right]])[:components]
    share = np.full((len(search), components), 0.0)
    share[:, : len(chosen)] = own.reshape(-1)[:, None] == chosen
    share += np.random.default_rng(seed).uniform(0, 1e-3, share.shape)
    return share / share.sum(1, keepdims=True)


def fit(search: Images, seed: int, most: int) -> Score:
    """EM over components of the features (PCA), labels and predictions (Eyuboglu et al. 2022).

    Their slices are the components whose predictions differ most from their labels; without labels, those of the least
    confidence. A score leaves the label out: what is left of the likelihood is the marginal over labels.
    """
    from scipy.special import logsumexp
    from sklearn.decomposition import PCA

    assert search.features is not None
    pca = PCA(min(AXES, *search.features.shape), svd_solver="full").fit(search.features)
    z, predicted = pca.transform(search.features).astype(np.float64), shares(search.probabilities)
    y = np.zeros(predicted.shape)
    known = search.label >= 0
    y[np.flatnonzero(known), search.label[known]] = 1
    components = max(1, min(COMPONENTS, len(search) // EACH))
    mixture, before = maximised(begun(search, components, seed), z, y, predicted), -np.inf
    for _ in range(STEPS):
        joint = mixture.log_likelihood(z, y, predicted)
        whole = logsumexp(joint, axis=1)
        mixture = maximised(np.exp(joint - whole[:, None]), z, y, predicted)
        if abs(whole.mean() - before) < LITTLE:
            break
        before = whole.mean()
    if known.any():
        order = np.argsort(-(mixture.predictions - mixture.labels).max(1), kind="stable")
    else:
        mine = ~np.isnan(surely(mixture.log_likelihood(z, None, predicted)))
        order = np.argsort(-severity(search.risk, mine), kind="stable")
    order = order[:most]

    def score(images: Images) -> np.ndarray:
        assert images.features is not None
        joint = mixture.log_likelihood(pca.transform(images.features), None, shares(images.probabilities))
        return surely(joint)[:, order]

    return score


FINDER = Finder("domino", "an error-aware mixture of the features", "Domino: Eyuboglu et al. 2022", fit, ("features",))
